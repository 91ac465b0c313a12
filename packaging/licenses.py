#!/usr/bin/env python3
"""Writes the licenses of everything that is in the two programs: most want to be passed on with a binary.

    packaging/licenses.py >FILE

Each text once, below the crates that come with it. A crate without such a file is listed with what its manifest says.
"""

import json
import pathlib
import subprocess
import sys

from sbom import crates

NAMES = ("license", "licence", "copying", "copyright", "notice", "unlicense")


def texts(directory):
    """The license files of a crate, which lie at its top or in a folder of that name."""
    for path in sorted(directory.iterdir()):
        if not path.name.lower().startswith(NAMES):
            continue
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file():
                yield file.read_text(encoding="utf-8", errors="replace").strip()


def main():
    metadata = ["cargo", "metadata", "--locked", "--format-version", "1"]
    packages = json.loads(subprocess.run(metadata, check=True, capture_output=True, text=True).stdout)["packages"]
    inside = crates("nightlatch", "normal") | crates("nightlatch-bot", "normal")
    by_text, without = {}, []
    for package in sorted(packages, key=lambda package: (package["name"], package["version"])):
        # What has no source is of this workspace.
        if (package["name"], package["version"]) not in inside or package["source"] is None:
            continue
        inside.remove((package["name"], package["version"]))
        label = f"{package['name']} {package['version']} ({package['license']})"
        found = list(texts(pathlib.Path(package["manifest_path"]).parent))
        for text in found:
            by_text.setdefault(text, []).append(label)
        if not found:
            without.append(label)
    unknown = [name for name, _ in inside if not name.startswith("nightlatch")]
    if unknown:
        sys.exit(f"cargo metadata does not know {unknown}")
    print("What nightlatch and nightlatch-bot have in them of others, and under which license.\n")
    print("Without a file of their own:\n\n" + "\n".join(without))
    for text, labels in by_text.items():
        print("\n" + "=" * 80 + "\n" + "\n".join(labels) + "\n" + "-" * 80 + "\n" + text)


if __name__ == "__main__":
    main()
