#!/usr/bin/env python3
"""Says what one program is built from, as CycloneDX JSON on standard output.

    packaging/sbom.py PROGRAM FILE

FILE is what cargo cyclonedx made of the program's package. It follows features that tests alone ask for, and lists crates
that no program has in it. So this leaves out what `cargo tree` does not know, and marks as "excluded" what only takes part in
the build. A crate that cargo knows and FILE does not is an error.
"""

import json
import os
import subprocess
import sys


def crates(program, edges):
    """What cargo builds the program from: names and versions, without the program itself."""
    tree = ["cargo", "tree", "--locked", "--package", program, "--edges", edges, "--prefix", "none"]
    lines = subprocess.run(tree, check=True, capture_output=True, text=True).stdout.splitlines()
    words = [line.split() for line in lines if line.strip()]
    return {(name, version.removeprefix("v")) for name, version, *_ in words if name != program}


def main(program, path):
    with open(path, encoding="utf-8") as file:
        bom = json.load(file)
    inside = crates(program, "normal")
    known = inside | crates(program, "normal,build")

    def crate(component):
        return component["name"], component["version"]

    missing = known - {crate(component) for component in bom["components"]}
    if missing:
        sys.exit(f"{path} does not name {sorted(missing)}")
    bom["components"] = [component for component in bom["components"] if crate(component) in known]
    for component in bom["components"]:
        component["scope"] = "required" if crate(component) in inside else "excluded"
    kept = {bom["metadata"]["component"]["bom-ref"]} | {component["bom-ref"] for component in bom["components"]}
    bom["dependencies"] = [
        entry | {"dependsOn": [ref for ref in entry.get("dependsOn", []) if ref in kept]}
        for entry in bom["dependencies"]
        if entry["ref"] in kept
    ]
    # Where it was built is nobody's business, and would make each build another one.
    print(json.dumps(bom, indent=2).replace("path+file://" + os.getcwd(), "path+file://."))


if __name__ == "__main__":
    main(*sys.argv[1:])
