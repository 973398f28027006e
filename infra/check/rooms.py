#!/usr/bin/env python3
"""Each room's CMakeLists.txt lists the sources that lie in the room, all of them and no other (or globs). rooms.py [--root DIR]"""
import os
import re
import sys

import tree


def in_module(root, path, room):
    """A folder within a room that has a recipe of its own is a module."""
    folder = os.path.dirname(path)
    return folder != f"lib/{room}" and os.path.isfile(os.path.join(root, folder, "CMakeLists.txt"))


def room_offences(root, room):
    found = {os.path.relpath(path, f"lib/{room}") for path in tree.files(root, [f"lib/{room}"], ".c") if not in_module(root, path, room)}
    recipe = f"lib/{room}/CMakeLists.txt"
    if not os.path.isfile(os.path.join(root, recipe)):
        return [f"lib/{room} has sources and no CMakeLists.txt"] if found else []
    text = tree.text(root, recipe) or ""
    if "file(GLOB" in text:
        return []
    listed = set(re.findall(r"[\w./-]+\.c\b", text))
    return [f"lib/{room}/{name} is in no library: {recipe} does not list it" for name in sorted(found - listed)] + [
        f"lib/{room}/{name} is listed in {recipe} and missing" for name in sorted(listed - found)
    ]


def main():
    root = tree.root_of(sys.argv)
    rooms = sorted(name for name in os.listdir(os.path.join(root, "lib")) if os.path.isdir(os.path.join(root, "lib", name)))
    tree.finish("rooms", [offence for room in rooms for offence in room_offences(root, room)], len(rooms))


main()
