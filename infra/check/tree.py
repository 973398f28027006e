"""What the checks share: walking the source tree and reporting offences."""
import os
import sys

SKIPPED = {".git", "__pycache__", "build"}


def files(root, folders, endings=None):
    """Paths, relative to root, of the files below folders ("" is the top folder without its subfolders)."""
    for folder in folders:
        if folder == "":
            names = sorted(n for n in os.listdir(root) if n not in SKIPPED and os.path.isfile(os.path.join(root, n)))
            yield from (n for n in names if not endings or n.endswith(endings))
            continue
        for where, inside, names in os.walk(os.path.join(root, folder)):
            inside[:] = sorted(d for d in inside if d not in SKIPPED and not d.startswith("build-"))
            for name in sorted(names):
                if not endings or name.endswith(endings):
                    yield os.path.relpath(os.path.join(where, name), root)


def text(root, path):
    """The text of a file, or None when it is not text."""
    with open(os.path.join(root, path), "rb") as source:
        data = source.read()
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def root_of(arguments):
    """--root DIR, or the tree this file stands in."""
    if "--root" in arguments:
        return arguments[arguments.index("--root") + 1]
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def finish(what, offences, looked_at):
    """Prints the offences and ends the process. Having looked at nothing is an offence too."""
    if looked_at == 0:
        offences = ["nothing was found to check"]
    for offence in offences:
        print(f"{what}: {offence}")
    if not offences:
        print(f"{what}: ok, {looked_at} checked")
    sys.exit(1 if offences else 0)
