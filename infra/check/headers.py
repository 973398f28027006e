#!/usr/bin/env python3
"""Each public header compiles alone, and twice, as C99 and as C++11; then all of them together. headers.py [--root DIR]"""
import os
import subprocess
import sys

import tree

COMPILERS = [
    (os.environ.get("CC", "gcc"), "c", "c99"),
    (os.environ.get("CXX", "g++"), "c++", "c++11"),
]


def compile_headers(root, compiler, language, standard, names):
    source = "".join(f"#include <{name}>\n" for name in names)
    command = [compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I", "include", "-"]
    ran = subprocess.run(command, cwd=root, input=source, text=True, capture_output=True, check=False)
    return None if ran.returncode == 0 else f"{' '.join(names)} as {standard}:\n{ran.stderr.strip()}"


def main():
    root = tree.root_of(sys.argv)
    names = [os.path.relpath(path, "include") for path in tree.files(root, ["include"], ".h")]
    offences = []
    for compiler, language, standard in COMPILERS:
        for group in [[name, name] for name in names] + [names]:
            offence = compile_headers(root, compiler, language, standard, group)
            if offence:
                offences.append(offence)
    tree.finish("headers", offences, len(names))


main()
