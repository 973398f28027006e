#!/usr/bin/env python3
"""Enforces layering.json: which room of the library may include which. layering.py [--root DIR]"""
import json
import os
import re
import sys

import tree

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)


def below(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def library_offence(table, path, name):
    allowed = table["libraries"].get(name)
    if allowed is not None and not below(path, allowed):
        return f"<{name}> is only for {', '.join(allowed)}"
    return None


def public_offence(table, room, name):
    allowed = table["public"].get(room)
    if allowed is not None and name not in allowed:
        return f"{room} may not include <{name}>"
    return None


def room_offence(table, room, path, name):
    """A quoted include in lib/: "room/header.h", by the table."""
    target = name.split("/")[0]
    if ".." in name.split("/"):
        return f'"{name}" leaves its folder: write "room/header.h"'
    if "/" not in name or target not in table["rooms"]:
        return f'"{name}" names no room of the table: write "room/header.h"'
    if target == room or target in table["rooms"][room] or name in table["rooms"][room]:
        return None
    return f'{room} may not include "{name}"'


def outside_offence(table, root, path, name):
    """A quoted include in services/, bindings/ or examples/: only what lies beside it, or in a folder the table shares."""
    top = path.split("/")[0]
    here = os.path.dirname(path)
    own = "/".join(path.split("/")[:2]) if here.count("/") >= 1 else here
    for start in (here, top):
        found = os.path.normpath(os.path.join(start, name))
        if os.path.isfile(os.path.join(root, found)):
            return None if below(found, [own] + table["outside"][top] + table["outside"].get(own, [])) else f'{own} may not include "{name}"'
    return f'"{name}" is not found beside it; {top} sees include/ only'


def file_offence(table, root, path, bracket, name):
    parts = path.split("/")
    if bracket == "<":
        if name.startswith("reco/") or name == "reco.h":
            return public_offence(table, parts[1], name) if parts[0] == "lib" else None
        if name.split("/")[0] in table["rooms"]:
            return f"<{name}> reaches a room with angle brackets"
        return library_offence(table, path, name)
    if parts[0] == "include":
        return f'"{name}": public headers include each other as <reco/...>'
    if parts[0] == "lib":
        return room_offence(table, parts[1], path, name)
    return outside_offence(table, root, path, name)


def main():
    root = tree.root_of(sys.argv)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "layering.json"), encoding="utf-8") as source:
        table = json.load(source)
    offences, count = [], 0
    for path in tree.files(root, ["include", "lib"] + sorted(top for top in table["outside"] if "/" not in top), (".c", ".h", ".cc", ".cpp", ".hpp")):
        count += 1
        content = tree.text(root, path) or ""
        if path.startswith("lib/") and path.split("/")[1] not in table["rooms"]:
            offences.append(f"{path}: {path.split('/')[1]} is not in layering.json")
            continue
        for match in INCLUDE.finditer(content):
            offence = file_offence(table, root, path, match[1], match[2])
            if offence:
                offences.append(f"{path}:{content.count(chr(10), 0, match.start()) + 1}: {offence}")
    tree.finish("layering", offences, count)


main()
