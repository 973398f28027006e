"""Bad input of every command: exit code 1 or 2, one line on stderr that names what is wrong, nothing on stdout, nothing changed.

Rows are made from what `--help` says: every command, every option by the word that stands for its value, every argument by the word that stands for it.
A new word fails the test until VALUES or ARGUMENTS has what is wrong for it."""
import concurrent.futures
import json
import os
import re
import subprocess
import unittest

from http_support import BIN, PATIENCE, WithData, environment, run
from servers import die_with_the_test

PROGRAMS = ("reco-ingest", "reco-api", "reco-processor")
LONG = "x" * 257
HUGE = "9" * 30
# Bytes that no text has stand in them as os.fsdecode has them.
BROKEN = os.fsdecode(b"a\xff")

VALUES = {
    "N": ["", "x", "-1", "1.5", "NaN", HUGE, "0x10", "1 ", " 1", "1e3", BROKEN],
    "X": ["", "x", "-1", "NaN", "inf", "1e999", "1 ", BROKEN],
    "SHARE": ["", "x", "NaN", "-0.1", "1.5", "inf", BROKEN],
    "TIME": ["", "yesterday", "-1", "1.5", "NaN", "2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", HUGE, BROKEN],
    "DURATION": ["", "3 moons", "-1s", "1.5h", "NaN", "h", HUGE + "d", BROKEN],
    "BYTES": ["", "x", "-1B", "1.5GiB", "NaN", "GiB", HUGE + "TiB", BROKEN],
    "NAME=VALUE": ["no.such.setting=1", "", "partitions", "=1", "partitions=zero", "partitions=-1", "partitions=", "lateness=NaN", "partitions=" + HUGE, BROKEN + "=1"],
    "NAME=N": ["", "brand", "=1", "brand=", "brand=-1", "brand=0", "brand=1.5", "brand=x", "brand=" + HUGE, LONG + "=1", BROKEN + "=1"],
    "JSON": ["", "{", "1", "[]", "null", '{"a":{}}', '{"a":[]}', '{"price":{"gte":NaN}}', '{"price":{"gte":1e999}}', '{"price":{"gte":2,"lt":1}}', '{"a":1}x',
             '{"' + LONG + '":1}', '{"a":' * 3000, '{"item_id":{"gte":1}}', BROKEN],
    "ITEM": ["", LONG, BROKEN],
    "ID": ["", LONG, BROKEN],
    "NAME": ["x y" * 100, BROKEN],
    "POSITION": ["", "zzz", "!", "A" * 3000, BROKEN],
    "NEXT": ["", "zzz", "!", "A" * 9000, BROKEN],
    "csv|ndjson|movielens|reco": ["", "xml", "CSV", BROKEN],
    "ndjson|csv": ["", "xml", "CSV", "reco", BROKEN],
    "p1|p2|p2-novel": ["", "p3", "P1", BROKEN],
    "ADDRESS:PORT": ["", "x", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:65536", "256.1.1.1:0", "127.0.0.1:" + HUGE, BROKEN],
    "FILE": ["", "/no/such/file", "/"],
    "FILE|-": ["", "/no/such/file", "/"],
    "DIR": ["", "/dev/null", "/proc/no/such"],
    "PRESET|FILE": ["", "nonsense", "/no/such/file", BROKEN],
    "auto|order|s|ms": ["", "years", "S", BROKEN],
    "METRIC": ["", "ndcg", "ndcg@11", "coverage@10", BROKEN],
    "off|read|write": ["", "on", "READ", BROKEN],
    "MIX": ["", "events", "events=", "events=-1", "events=x", "events=0", "nonsense=1", "=1", "events=1,", "events=1,events=1", "events=" + HUGE, BROKEN],
    "URL": ["", "ftp://127.0.0.1:1", "http://", "http://a b", "http://127.0.0.1:x", "http://127.0.0.1:1/?a=b", "http://" + "x" * 600, BROKEN],
    "NAME:TEXT": ["", "x", ":x", "a: b\r\nc: d", BROKEN],
    "SNAPSHOT": ["", "/no/such/file", "/", "/dev/null"],
}
# Where the word says too little, or the command has no use for the value.
SPECIAL = {("popular", "--category"): ["", LONG, BROKEN], ("migrate", "--data"): [""]}
# Of an option that several commands have, all values are tried with the first of them, and these with the others; those that all have come with this.
FEW = 2
COMMON, THOROUGH = ("--config", "--data", "--set"), "stats"
# They say more: programs that log what they do, one that asks whether to go on, one that tells what it finds.
TALKERS = ("serve", "replay", "doctor")
ARGUMENTS = {
    "USER": VALUES["ID"], "ITEM...": VALUES["ITEM"], "ID": VALUES["ID"],
    "PATH": ["", "/no/such/file", "/"], "PATH...": ["", "/no/such/file", "/proc/no/such"],
    "FILE": ["", "/no/such/file", "/", "/dev/null"], "FILE|-": ["", "/no/such/file", "/"], "[FILE|-]": ["", "/no/such/file", "/"],
    "[USER]": VALUES["ID"], "FILE|DIR": ["", "/no/such/file"], "[URL]": VALUES["URL"],
    "[URL|DIR]...": VALUES["URL"] + ["/no/such/folder", "./none"], "bash|zsh": ["", "fish", BROKEN],
}
# What else a command must be given so that it comes to the value at hand.
NEEDED = {"import": [["--format", "csv"]], "replay": [["--yes"], ["--into", "/dev/null"]],
          "evaluate": [["--protocol", "p1"], ["--train", "train.tsv"], ["--test", "test.tsv"]],
          "whatif": [["--against", "shop"]], "bench": [["--duration", "1s"], ["--timeout", "1s"], ["--ingest-url", "http://127.0.0.1:1"]], "top": [["--once"]]}
GOOD = {"USER": "u1", "[USER]": "u1", "ITEM...": "i1", "ID": "i1", "PATH": "/no/such/snapshot", "PATH...": "/no/such/history", "FILE": "/no/such/backup", "FILE|-": "/no/such/lines",
        "[FILE|-]": "/no/such/export", "FILE|DIR": "/no/such/backup", "[URL]": "http://127.0.0.1:1", "[URL|DIR]...": "http://127.0.0.1:1", "bash|zsh": "bash"}
# What commands read lines of JSON from, and what they say of each line.
READERS = ("ingest", "batch", "items", "users")
BODIES = [b"", b" ", b"{", b"[", b"nul", b"NaN", b"1", b'"text"', b"null", b"[1]", b"[[]]", b"{]", b"{'a':1}", b"\xff\xfe", b'{"a":"\xff"}', b'{"a\0":1}', b"\0" * 100,
          b"[" * 100_000, b'{"a":' * 50_000, b'{"a":1e999}', b"{}", b"[{}]", b'{"user_id":1}', b'{"item_id":""}', b'{"user_id":"a\\u0000b","item_id":"a\\u0000b"}',
          b'{"user_id":"' + b"x" * 300 + b'","item_id":"' + b"x" * 300 + b'","event_type":"view"}', b"[" + b"{}," * 100_000 + b"{}]", b"x" * 10_000_000]
# These are patches, though they are none of the others.
PATCHES = (b"{}", b'{"user_id":1}', b'{"item_id":""}')


def pieces(text):
    """Options of a help: name, word of its value ("" when it is a switch)."""
    return re.findall(r"^ +(?:-\w, )?(--[a-z-]+)(?: ([A-Z][A-Z:=|-]*|[a-z0-9-]+(?:\|[a-z0-9-]+)+))?(?: |$)", text, re.M)


class Commands(WithData):
    def setUp(self):
        super().setUp()
        run("reco", "--data", self.data, "ingest", "-", stdin='{"user_id":"u1","item_id":"i1","event_type":"view"}\n', check=0)
        run("reco", "--data", self.data, "items", "-", stdin='{"item_id":"i1","title":"Tea"}', check=0)
        run("reco", "--data", self.data, "users", "-", stdin='{"user_id":"u1","segment":"new"}', check=0)
        for name in ("train", "test"):
            with open(os.path.join(self.folder, name + ".tsv"), "w", encoding="utf-8") as file:
                file.write("u1\ti1\t1\nu2\ti2\t2\n")
        self.before = self.state()
        self.names = re.findall(r"^  ([a-z-]+)", run("reco", "--help", check=0).stdout.split("options, before")[0], re.M)
        self.helps = {name: run("reco", name, "--help", check=0).stdout for name in self.names}
        self.assertGreater(len(self.names), 20)

    def state(self):
        lines = [json.loads(line) for line in run("reco", "--data", self.data, "export", "-", check=0).stdout.splitlines()]
        return [{name: value for name, value in line.items() if name != "created_at"} for line in lines], sorted(os.listdir(self.folder))

    def tearDown(self):
        self.assertEqual(self.state(), self.before, "bad input changed something")
        super().tearDown()

    def try_line(self, row):
        line, stdin = row
        done = subprocess.run([os.path.join(BIN, line[0]), *line[1:]], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), timeout=PATIENCE,
                              preexec_fn=die_with_the_test, cwd=self.folder)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    def refused(self, rows):
        """Each is a line, what it reads from stdin and what is to be named ("": anything)."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for (line, stdin, named), (code, out, said) in zip(rows, pool.map(self.try_line, [row[:2] for row in rows])):
                talks = line[0] != "reco" or line[3] in TALKERS or (line[3] in READERS and stdin is not None)
                with self.subTest(line=[part[:60] for part in line if part != self.data], stdin=(stdin or b"")[:40]):
                    self.assertIn(code, (1, 2), (said, out[:300]))
                    if line[3] == "batch" and stdin is not None:  # each line has its answer
                        problems = [json.loads(one) for one in out.splitlines()]
                        self.assertTrue(said or problems)
                        self.assertTrue(all(one["detail"] and one["status"] >= 400 for one in problems), out[:300])
                        continue
                    last = said.splitlines()[-1] if said else ""
                    self.assertTrue(last.startswith("reco: ") or line[3] == "doctor", said[:300])
                    self.assertTrue(talks or said.count("\n") == 1, said[:1000])
                    self.assertIn(named, last)
                    self.assertTrue(talks or not out, out[:300])

    def arguments(self, name):
        return re.search(rf"usage: reco \[options\] {name} ?(.*)", self.helps[name]).group(1).split()

    def line(self, name, arguments=None, *options):
        words = self.arguments(name)
        needed = [part for more in NEEDED.get(name, []) if more[0] not in options for part in more]
        return ["reco", "--data", self.data, name, *options, *needed,
                *([GOOD[word] for word in words] if arguments is None else arguments)]

    def test_values_of_options(self):
        rows, tried = [], set()
        for name in self.names:
            for option, word in pieces(self.helps[name]):
                if not word:
                    if option not in ("--help", "--version"):
                        rows.append((self.line(name, None, option + "=yes"), None, option.strip("-")))
                    continue
                values = SPECIAL.get((name, option), VALUES[word])
                first = name == THOROUGH if option in COMMON else (option, word) not in tried
                tried.add((option, word))
                for value in values if first else values[:1] if option in COMMON else values[:FEW]:
                    rows.append((self.line(name, None, option, value), None, ""))
                rows.append((self.line(name, []) + [option], None, option.strip("-")))
        self.assertGreater(len(rows), 300)
        self.refused(rows)

    def test_programs(self):
        rows = []
        for program in PROGRAMS:
            for option, word in pieces(run(program, "--help", check=0).stdout):
                for value in VALUES[word] if word else []:
                    rows.append(([program, "--data", self.data, "--listen", "127.0.0.1:0", option, value], None, ""))
            rows += [([program, "--data", self.data, "x"], None, ""), ([program, "--data", self.data, "--no-such"], None, "no-such")]
        self.refused(rows)

    def test_arguments(self):
        rows = []
        for name in self.names:
            words = self.arguments(name)
            for place, word in enumerate(words):
                for value in ARGUMENTS[word]:
                    rows.append((self.line(name, [value if at == place else GOOD[other] for at, other in enumerate(words)]), None, ""))
            if words and not words[0].startswith("["):
                rows.append((self.line(name, []), None, ""))
            if not any(word.endswith("...") for word in words):
                rows.append((self.line(name, [GOOD[word] for word in words] + ["more"]), None, ""))
            rows.append((self.line(name, None, "--no-such"), None, "no-such"))
        self.refused(rows)

    def test_bodies(self):
        rows = [(self.line(name, ["-"]), body, "") for name in READERS for body in BODIES if body.strip() or name not in ("ingest", "batch")]  # no lines are fine
        rows += [(self.line(name, ["i1"], "--patch", "-"), body, "") for name in ("item", "user") for body in BODIES if body not in PATCHES]
        for kind in ("csv", "ndjson", "reco"):
            for at, body in enumerate(BODIES):
                path = os.path.join(self.folder, "bad")
                rows.append((self.line("import", [f"{path}-{at}"], "--format", kind), None, ""))
        with self.files():
            self.refused(rows)

    def files(self):
        test = self

        class Written:
            def __enter__(self):
                for at, body in enumerate(BODIES):
                    with open(os.path.join(test.folder, f"bad-{at}"), "wb") as file:
                        file.write(body)

            def __exit__(self, *ignored):
                for at in range(len(BODIES)):
                    os.unlink(os.path.join(test.folder, f"bad-{at}"))

        return Written()


if __name__ == "__main__":
    unittest.main()
