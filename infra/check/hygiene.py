#!/usr/bin/env python3
"""What may not stand in the sources. hygiene.py [--root DIR]"""
import re
import sys

import tree

COLUMNS = 150
SOURCES = ["include", "lib", "services", "bindings", "examples"]
OWN = SOURCES + ["infra"]
EVERYTHING = OWN + ["tests", "docs", "pkgconfig", ".ci", ""]
C_FILES = (".c", ".h")

# (where, endings, files excepted, pattern, what is wrong); patterns are written so that they do not match themselves
RULES = [
    (EVERYTHING, None, (), re.compile(r"(?<![\w./*-])/(?:work|home|root|Users)/"), "path of one machine"),
    (SOURCES, None, (), re.compile(r"(?<![\w.])/(?:tmp)/"), "path of one machine"),
    (OWN, None, (), re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b"), "unfinished business"),
    (["lib"], C_FILES, ("lib/base/memory.c",), re.compile(r"(?<![\w>.])(?:malloc|calloc|realloc|strdup|strndup|v?asprintf|reallocarray)\s*\("),
     "memory that does not come from reco__alloc"),
    (["lib"], C_FILES, (), re.compile(r"(?<![\w>.])(?:abort|assert|exit|_exit|alloca)\s*\("), "a library does not end its host or grow its stack"),
    (["lib"], C_FILES, (), re.compile(r"\b(?:_Thread_local|__thread)\b"), "thread-local state"),
    (EVERYTHING, C_FILES + (".py", ".sh", ".cmake", ".txt", ".yaml", ".yml", ".json"), (), re.compile(r"[ \t]+$", re.M), "space at the end of a line"),
    (EVERYTHING, C_FILES, (), re.compile(r"\t"), "tab"),
    (EVERYTHING, C_FILES, (), re.compile(r"^.{%d,}$" % (COLUMNS + 1), re.M), f"more than {COLUMNS} columns"),
    (EVERYTHING, C_FILES, (), re.compile(r"(?<!\n)\Z|\n\n\Z"), "the file does not end with one newline"),
]
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)


def code_only(content):
    """Comments and strings blanked, lines kept: words in them are no calls."""
    return COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), content)


def main():
    root = tree.root_of(sys.argv)
    offences, seen = [], set()
    for where, endings, excepted, pattern, wrong in RULES:
        is_code = where == ["lib"]
        for path in tree.files(root, where, endings):
            content = None if path in excepted else tree.text(root, path)
            if content is None:
                continue
            seen.add(path)
            for match in pattern.finditer(code_only(content) if is_code else content):
                offences.append(f"{path}:{content.count(chr(10), 0, match.start()) + 1}: {wrong}")
    tree.finish("hygiene", offences, len(seen))


main()
