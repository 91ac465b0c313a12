#!/bin/bash
# What docs/troubleshooting.md says that the programs say: each text in its first columns is in the sources. And the links
# between the pages of docs/ lead somewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v python3 >/dev/null; then
    echo "skipped: python3 is not installed"
    exit 0
fi
python3 - <<'PYTHON'
import re
import sys
from pathlib import Path

PAGE = Path("docs/troubleshooting.md")
wrong = []
counted = 0

# A text in the sources may go on in the next line, and may have a value where the page has a number. Comments and tests
# say nothing to anybody.
def said_in(path):
    return re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*//.*$", "", path.read_text().split("#[cfg(test)]\nmod tests {")[0]))


sources = "".join(
    said_in(path)
    for tree in ("src", "bot/src", "approval-api/src")
    for path in Path(tree).rglob("*.rs")
    if "tests" not in path.relative_to(tree).with_suffix("").parts
)


def is_said(text):
    words = [re.escape(part) for part in re.split(r"\d+", text)]
    return re.search(r"(?:\d+|\{[^}]*\})".join(words), sources) is not None


# Tables of what others say follow a line that names them.
OTHERS = ("These are not nightlatch's words", "Of systemd:")
lines = PAGE.read_text().splitlines()
foreign = False
for number, line in enumerate(lines, 1):
    if line and not line.startswith("|"):
        foreign = line.startswith(OTHERS)
        continue
    cells = re.split(r"(?<!\\)\|", line)
    # The header of a table, and the line below it, say nothing.
    is_row = len(cells) > 2 and not (cells[1].startswith(" ---") or "".join(lines[number : number + 1]).startswith("| ---"))
    if foreign or not is_row:
        continue
    for text in re.findall(r"`([^`]+)`", cells[1]):
        # The kernel's words, and the name of a command.
        if text in ("Permission denied", "No such file or directory", "recover"):
            continue
        counted += 1
        if not is_said(text):
            wrong.append(f"{PAGE}:{number}: no program says: {text}")

if counted < 60:
    wrong.append(f"{PAGE}: only {counted} texts were found in its tables")


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


anchors = {
    path.resolve(): {slug(line.lstrip("#")) for line in path.read_text().splitlines() if line.startswith("#")}
    for path in [*Path("docs").rglob("*.md"), *Path(".").glob("*.md")]
}
for path in Path("docs").rglob("*.md"):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        to, _, anchor = link.partition("#")
        target = (path.parent / to if to else path).resolve()
        if not target.exists():
            wrong.append(f"{path}: there is no {to}")
        elif anchor and anchor not in anchors.get(target, {anchor}):
            wrong.append(f"{path}: there is no heading for {link}")

print(f"{counted} texts")
sys.exit("\n".join(wrong) or None)
PYTHON
echo ok
