#!/usr/bin/env python3
"""Plants an offence of every kind in a small tree and sees each check refuse it by name, and accept the tree without it."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
GUARD = "#ifndef A_H\n#define A_H\n{}#endif\n"
CLEAN = {
    "include/reco/status.h": GUARD.format("typedef int reco_status;\n"),
    "lib/base/base.h": "#include <reco/status.h>\n",
    "lib/kv/kv.c": '#include <lmdb.h>\n#include "base/base.h"\n#include "kv/kv.h"\n',
    "lib/kv/CMakeLists.txt": "reco_room(kv SOURCES kv.c)\n",
    "lib/features/CMakeLists.txt": "reco_room(features SOURCES lmdb.c)\n",
    "lib/recommend/CMakeLists.txt": "reco_room(recommend SOURCES plan.c sources/popular.c)\n",
    "lib/recommend/sources/popular.c": "\n",
    "lib/engine/CMakeLists.txt": "reco_room(engine SOURCES engine.c)\n",
    "lib/kv/kv.h": "/* malloc(1) in a comment is no call */\n",
    "lib/features/lmdb.c": '#include "kv/kv.h"\n#include "features/features.h"\n',
    "lib/features/features.h": "\n",
    "lib/recommend/plan.c": '#include "features/features.h"\n',
    "lib/engine/engine.c": '#include "recommend/plan.h"\n#include "kv/kv.h"\n',
    "services/http/http.h": "\n",
    "services/api/main.c": '#include <reco/status.h>\n#include "http/http.h"\n#include "routes.h"\n',
    "services/api/routes.h": "\n",
}
# (check, path, content, words the check must say)
OFFENCES = [
    ("layering", "lib/base/base.h", '#include "model/event.h"\n', "base may not include"),
    ("layering", "lib/base/base.h", "#include <reco/event.h>\n", "base may not include"),
    ("layering", "lib/features/lmdb.c", '#include "stream/stream.h"\n', "features may not include"),
    ("layering", "lib/features/lmdb.c", "#include <lmdb.h>\n", "only for"),
    ("layering", "lib/features/lmdb.c", '#  include  "../stream/stream.h"\n', "leaves its folder"),
    ("layering", "lib/features/lmdb.c", "#include <stream/stream.h>\n", "angle brackets"),
    ("layering", "lib/recommend/plan.c", '#include "features/internal.h"\n', "recommend may not include"),
    ("layering", "lib/learn/cell.c", '#include "features/features.h"\n', "learn may not include"),
    ("layering", "lib/kv/kv.c", '#include "engine/engine.h"\n', "kv may not include"),
    ("layering", "lib/odd/odd.c", "\n", "not in layering.json"),
    ("layering", "include/reco/event.h", '#include "status.h"\n', "public headers"),
    ("layering", "services/api/main.c", '#include "base/base.h"\n', "sees include/ only"),
    ("layering", "services/api/main.c", '#include "../../lib/base/base.h"\n', "may not include"),
    ("layering", "services/ingest/main.c", '#include "../api/routes.h"\n', "may not include"),
    ("layering", "services/api/main.c", "#include <civetweb.h>\n", "only for"),
    ("layering", "examples/one.c", '#include "kv/kv.h"\n', "sees include/ only"),
    ("hygiene", "lib/kv/kv.c", "/* see /" + "work/notes */\n", "path of one machine"),
    ("hygiene", "docs/notes.md", "in /" + "home/me/x\n", "path of one machine"),
    ("hygiene", "services/api/main.c", 'static const char *p = "/' + 'tmp/x";\n', "path of one machine"),
    ("hygiene", "lib/kv/kv.c", "/* TO" + "DO later */\n", "unfinished"),
    ("hygiene", "infra/x.sh", "# FIX" + "ME\n", "unfinished"),
    ("hygiene", "lib/kv/kv.c", "void *f(void) { return malloc(1); }\n", "reco__alloc"),
    ("hygiene", "lib/kv/kv.c", "void f(int x) { assert(x); }\n", "end its host"),
    ("hygiene", "lib/kv/kv.c", "static _Thread_local int x;\n", "thread-local"),
    ("hygiene", "lib/kv/kv.c", "/* " + "x" * 150 + " */\n", "columns"),
    ("hygiene", "lib/kv/kv.c", "\tint x;\n", "tab"),
    ("hygiene", "lib/kv/kv.c", "int x; \n", "space at the end"),
    ("hygiene", "lib/kv/kv.c", "int x;", "newline"),
    ("rooms", "lib/kv/extra.c", "\n", "is in no library"),
    ("rooms", "lib/recommend/sources/extra.c", "\n", "is in no library"),
    ("rooms", "lib/kv/CMakeLists.txt", "reco_room(kv SOURCES kv.c gone.c)\n", "gone.c is listed"),
    ("rooms", "lib/learn/cell.c", "\n", "no CMakeLists.txt"),
    ("headers", "include/reco/alone.h", "size_t reco_x(void);\n", "alone.h as c99"),
    ("headers", "include/reco/cpp.h", GUARD.format("typedef struct a { int class; } a;\n"), "cpp.h as c++11"),
    ("headers", "include/reco/twice.h", "struct reco_twice { int x; };\n", "twice.h"),
    ("headers", "include/reco/c99.h", GUARD.format("_Static_assert(1, \"\");\n"), "c99.h as c99"),
]


def write(root, path, content):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as target:
        target.write(content)


def run(check, *arguments):
    ran = subprocess.run([sys.executable, os.path.join(HERE, check + ".py"), *arguments], text=True, capture_output=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def plant(check, path, content):
    with tempfile.TemporaryDirectory() as root:
        for name, text in CLEAN.items():
            write(root, name, text)
        if path:
            write(root, path, content)
        return run(check, "--root", root)


def tree_failures():
    for check in ("layering", "rooms", "hygiene", "headers"):
        status, output = plant(check, None, None)
        if status != 0:
            yield f"{check} refuses a clean tree: {output}"
    for check, path, content, words in OFFENCES:
        status, output = plant(check, path, content)
        if status == 0 or words not in output or (check != "rooms" and path.split("/")[-1] not in output):
            yield f"{check} does not name the offence in {path} ({content.strip()}): {output}"


def export_failures():
    with tempfile.TemporaryDirectory() as root:
        library, golden = os.path.join(root, "lib.so"), os.path.join(root, "exports.txt")

        def build(*names):
            source = "".join(f"void {name}(void);\nvoid {name}(void) {{}}\n" for name in names)
            subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=source, text=True, check=True)

        build("reco_open", "reco_close")
        write(root, "exports.txt", "")
        for names, arguments, expected, words in [
            (("reco_open", "reco_close"), (), 1, "reco_open is new"),
            (("reco_open", "reco_close"), ("--update",), 0, "ok, 2"),
            (("reco_open", "reco_close"), (), 0, "ok, 2"),
            (("reco_open",), (), 1, "reco_close is gone"),
            (("reco_open", "reco_close", "reco__secret"), ("--update",), 1, "reco__secret may not"),
            (("reco_open", "reco_close", "helper"), (), 1, "helper may not"),
        ]:
            build(*names)
            status, output = run("exports", library, golden, *arguments)
            if status != expected or words not in output:
                yield f"exports of {names} {arguments}: {output}"


def main():
    failures = list(tree_failures()) + list(export_failures())
    for failure in failures:
        print("selftest:", failure)
    print(f"selftest: {len(OFFENCES) + 6} planted, {len(failures)} missed")
    sys.exit(1 if failures else 0)


main()
