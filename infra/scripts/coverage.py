#!/usr/bin/env python3
"""Sums up gcov's counters of a build folder: lines of lib/ that were run, by file and room.

coverage.py FOLDER [--least PERCENT] [--missing FILE]: with --missing the lines of FILE (as in the table) that nobody ran are listed.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"


def counted(folder):
    """file below lib/ -> line -> how often it was run."""
    lines = collections.defaultdict(lambda: collections.defaultdict(int))
    data = sorted(p.resolve() for p in folder.rglob("*.gcda") if "/lib/" in p.as_posix())
    for at in range(0, len(data), 50):
        found = subprocess.run(["gcov", "--json-format", "--stdout", *map(str, data[at:at + 50])], cwd=folder, check=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        for text in found.splitlines():
            report = json.loads(text)
            for source in report["files"]:
                path = pathlib.Path(report["current_working_directory"], source["file"]).resolve()
                if LIB not in path.parents:
                    continue
                file = lines[path.relative_to(LIB).as_posix()]
                for line in source["lines"]:
                    file[line["line_number"]] += line["count"]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--least", type=float, default=0)
    parser.add_argument("--missing", action="append", default=[])
    options = parser.parse_args()
    lines = counted(options.folder.resolve())
    if not lines:
        print("there are no counters: build with --coverage and run the tests")
        return 1
    rooms = collections.defaultdict(lambda: [0, 0])
    for name in sorted(lines):
        run, there = sum(count > 0 for count in lines[name].values()), len(lines[name])
        print(f"{100 * run / max(there, 1):6.1f} %  {run:5} of {there:5}  {name}")
        rooms[name.split("/")[0]][0] += run
        rooms[name.split("/")[0]][1] += there
    print()
    for room, (run, there) in sorted(rooms.items()):
        print(f"{100 * run / there:6.1f} %  {run:5} of {there:5}  {room}/")
    run, there = (sum(pair[i] for pair in rooms.values()) for i in (0, 1))
    print(f"{100 * run / there:6.1f} %  {run:5} of {there:5}  lib/")
    for name in options.missing:
        print(f"\n{name}: not run:", *(number for number, count in sorted(lines[name].items()) if count == 0))
    if 100 * run / there < options.least:
        print(f"fewer than {options.least:g} % of the lines of lib/ were run")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
