#!/usr/bin/env python3
"""The symbols libreco.so shows against the golden list. exports.py LIBRARY LIST [--update]"""
import re
import subprocess
import sys

import tree


def exported(library):
    ran = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library], text=True, capture_output=True, check=True)
    return sorted(line.split()[0].split("@")[0] for line in ran.stdout.splitlines())


def main():
    library, path = sys.argv[1], sys.argv[2]
    names = exported(library)
    offences = [f"{name} may not be exported: names begin with reco_, not reco__" for name in names if not re.match(r"reco_[a-z0-9]", name)]
    if "--update" in sys.argv and not offences:
        with open(path, "w", encoding="utf-8") as target:
            target.write("".join(name + "\n" for name in names))
    with open(path, encoding="utf-8") as source:
        golden = source.read().split()
    offences += [f"{name} is gone: that breaks every program that calls it" for name in golden if name not in names]
    offences += [f"{name} is new: run infra/check/exports.py {library} {path} --update" for name in names if name not in golden]
    tree.finish("exports", offences, len(names))


main()
