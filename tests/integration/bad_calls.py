"""Whether test_bad_calls.c has what is wrong for every parameter of every exported function: what a parameter is, the headers say; what was tried, the rows
of the test. A function that is new, or takes one thing more, fails here until there are rows for it."""
import os
import re
import sys

SOURCE = os.environ["RECO_SOURCE_DIR"]
# As in the test: called by plugins with what libreco hands them.
PLUGINS = ("reco_board_", "reco_candidates_", "reco_generations_", "reco_head_", "reco_stream_tick_")
# What must have been given at least once, by how a parameter is declared; the first pattern that fits.
KINDS = [
    (r"^reco_call \*call|^reco_error \*err|^void \*(context|block)|\(\*", {}),
    (r"^reco_str ", {"broken UTF-8": r"\bbroken\b|ids\[i\]", "NUL inside": r"\bzeroed\b|ids\[i\]", "NULL with a size": r"\babsent\b|ids\[i\]",
                  "too long": r"of_size\(|ids\[i\]"}),
    (r"^(uint32_t|int) \w*(flags|form|what)$", {"an unknown bit or number": r"1u << |\b99\b"}),
    (r"^size_t \w+_size$", {"no size": r"^0$"}),
    (r"^int64_t \w", {"negative": r"^-"}),
    (r"^(size_t|uint32_t|int32_t|int|double) \w", {}),
    (r"^char \w+\[", {"NULL": r"^NULL$"}),
    (r"reco_(event|item|user|query|str)s? \*(events|items|users|queries)$", {"NULL": r"^NULL$"}),
    (r"^reco_\w+(options|query|input|result|receipt|verification|progress|archived|reply|allocator|backend|backend_\w+) \*\w+$",
     {"a size that is wrong": r"\{|^&\w*(small|short)|^&progress|^&receipt|^NULL$"}),
    (r"\*\*?\w+$", {"NULL": r"^NULL$"}),
    (r"_(sink|fn) \w+$", {"NULL": r"^NULL$"}),
]
# Where it is no mistake.
FINE = {
    ("reco_settings_load_environment", "environment", "NULL"): "the environment of the process",
}


def split(text):
    """At commas outside of brackets and strings."""
    parts, depth, quoted, at = [""], 0, False, 0
    while at < len(text):
        ch = text[at]
        if ch == "\\" and quoted:
            parts[-1] += text[at:at + 2]
            at += 2
            continue
        quoted ^= ch == '"'
        depth += 0 if quoted else (ch in "([{") - (ch in ")]}")
        if ch == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += ch
        at += 1
    return [" ".join(part.split()) for part in parts]


def inside(text, at):
    """What stands in the brackets that open at `at`."""
    depth, quoted, begin = 0, False, at + 1
    while True:
        ch = text[at]
        at += 2 if quoted and ch == "\\" else 1
        if ch == '"':
            quoted = not quoted
        elif not quoted:
            depth += (ch == "(") - (ch == ")")
            if depth == 0:
                return text[begin:at - 1]


def prototypes():
    made = {}
    for folder, _, files in os.walk(os.path.join(SOURCE, "include")):
        for name in files:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
            for found in re.finditer(r"RECO_API [^;(]*?\b(reco_\w+)\(", text):
                parts = split(inside(text, found.end() - 1))
                made[found.group(1)] = [re.sub(r"\b(const|struct|volatile) ", "", part) for part in parts if part != "void"]
    return made


def rows():
    with open(os.path.join(SOURCE, "tests/integration/test_bad_calls.c"), encoding="utf-8") as file:
        text = file.read()
    made = {}
    for found in re.finditer(r"\n *BAD\(", text):
        parts = split(inside(text, found.end() - 1))
        made.setdefault(parts[2], []).append(parts[3:])
    for found in re.finditer(r"\b(reco_\w+)\(", re.sub(r"#define.*?[^\\]\n", "", text, flags=re.S)):
        made.setdefault(found.group(1), []).append(split(inside(found.string, found.end() - 1)))
    return made


def main():
    with open(os.path.join(SOURCE, "tests/abi/exports.txt"), encoding="utf-8") as file:
        exported = file.read().split()
    known, tried, missing = prototypes(), rows(), []
    for function in exported:
        if function.startswith(PLUGINS):
            continue
        if function not in known:
            missing.append(f"{function}: no header declares it")
            continue
        for place, parameter in enumerate(known[function]):
            kinds = next((kinds for pattern, kinds in KINDS if re.search(pattern, parameter)), None)
            if kinds is None:
                missing.append(f"{function}: nobody knows what is wrong for {parameter}")
                continue
            given = [row[place] for row in tried.get(function, []) if len(row) > place]
            missing += [f"{function}: {parameter}: {kind}" for kind, pattern in kinds.items() if not any(re.search(pattern, one) for one in given)
                        and (function, parameter.split()[-1].strip("*"), kind) not in FINE]
    for line in missing:
        print(line)
    print(f"{len(exported)} functions, {len(missing)} rows are missing")
    sys.exit(bool(missing))


main()
