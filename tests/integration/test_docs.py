#!/usr/bin/env python3
"""What is generated is what the programs say now: settings, manual pages; completion completes; the numbers in docs/LIMITS.md are those of the sources.
Needs RECO_BUILD_DIR and RECO_SOURCE_DIR, and the programs."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.environ.get("RECO_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["RECO_BUILD_DIR"]
BIN = os.path.join(BUILD, "bin")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RECO_")}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as source:
        return source.read()


def run(*command, **more):
    return subprocess.run(command, text=True, capture_output=True, timeout=120, env=ENVIRONMENT, check=False, **more)


def reco(*arguments):
    return run(os.path.join(BIN, "reco"), *arguments)


def commands():
    return re.findall(r"^  ([a-z-]+)\b", reco("--help").stdout.split("commands:")[1].split("\noptions")[0], re.M)


class Faults(unittest.TestCase):
    def test_the_tests_named_are_there(self):
        text = read("docs/TESTING.md").split("\n## Faults\n")[1].split("\n## ")[0]
        named = re.findall(r"`(\w+): (\w+)`", text)
        self.assertGreater(len(named), 20)
        for program, case in named:
            files = glob.glob(os.path.join(ROOT, "tests", "*", program + ".*"))
            self.assertEqual(len(files), 1, program)
            self.assertRegex(read(files[0]), r"(START_TEST\(|def )%s\b" % case)
        for path in re.findall(r"`(tests/[\w./]+)`", text):
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), path)


class Findings(unittest.TestCase):
    def test_each_is_made_and_explained(self):
        """Every word that doctor has stands in the table of DEPLOYMENT, and is brought about by test_doctor."""
        words = set(re.findall(r'RECO_FINDING_[A-Z]+,\s+"(\w+)"', read("lib/engine/doctor.c")))
        self.assertGreater(len(words), 35)
        table = read("docs/DEPLOYMENT.md").split("| word | what was found |")[1].split("\n\n")[0]
        self.assertEqual(set(re.findall(r"`(\w+)`", re.sub(r"\|[^|]*\|$", "", table, flags=re.M))), words)
        made = set(re.findall(r'(?:only|expect)\("(\w+)"', read("tests/integration/test_doctor.c")))
        self.assertEqual(made, words)


class Generated(unittest.TestCase):
    def test_is_what_the_programs_say(self):
        done = run(sys.executable, "-B", os.path.join(ROOT, "infra", "scripts", "docs.py"), "--check", BUILD)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stdout + done.stderr)

    def test_a_difference_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in ("CMakeLists.txt", "infra/scripts/docs.py", "docs/reference/configuration.md", "docs/man"):
                whole, copy = os.path.join(ROOT, path), os.path.join(folder, path)
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                (shutil.copytree if os.path.isdir(whole) else shutil.copy)(whole, copy)
            path = os.path.join(folder, "docs", "reference", "configuration.md")
            with open(path, encoding="utf-8") as file:
                text = file.read()
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace("`512`", "`513`", 1))
            script = os.path.join(folder, "infra", "scripts", "docs.py")
            done = run(sys.executable, "-B", script, "--check", BUILD)
            self.assertEqual(done.returncode, 1)
            self.assertIn("configuration.md differs", done.stdout)
            self.assertEqual(run(sys.executable, "-B", script, BUILD).returncode, 0)
            self.assertEqual(run(sys.executable, "-B", script, "--check", BUILD).returncode, 0)

    def test_settings(self):
        text, lines = read("docs/reference/configuration.md"), reco("settings").stdout.splitlines()
        self.assertGreater(len(lines), 60)
        for line in lines:
            self.assertIn(f"`{line.split()[0]}`", text)
        current = reco("--set", "pairs.window=77", "settings", "--current")
        self.assertEqual(current.returncode, 0)
        self.assertIn("  window: 77\n", current.stdout)
        self.assertEqual(reco("--set", "coview.cat=77", "settings", "--current").returncode, 2)

    def test_pages(self):
        pages = glob.glob(os.path.join(ROOT, "docs", "man", "*.[15]"))
        self.assertGreaterEqual(len(pages), 6)
        for page in pages:
            with self.subTest(page=page):
                if shutil.which("groff"):
                    done = run("groff", "-man", "-ww", "-z", "-Tutf8", page)
                    self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        text = read("docs/man/reco.1")
        for command in commands():
            self.assertIn(f'.SS "{command}"'.replace("reco ", "").replace("-", r"\-"), text.replace('"reco ', '"'))


class Limits(unittest.TestCase):
    """The tables of docs/LIMITS.md against the sources and the defaults of settings."""

    @classmethod
    def setUpClass(cls):
        cls.values = {}
        for folder in ("include", "lib", "services"):
            for path in sorted(glob.glob(os.path.join(ROOT, folder, "**", "*.[ch]"), recursive=True)):
                text = read(os.path.relpath(path, ROOT))
                found = re.findall(r"^#define (\w+_(?:MAX|BYTES))[ \t]+(\(?[\du][\du <]*\)?)(?=\s)", text, re.M)
                found += re.findall(r"[{,] ?(\w+_MAX) = (\d+)", text)
                for name, value in found:
                    cls.values.setdefault(name, set()).add(cls.number(value))
        cls.rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", read("docs/LIMITS.md"), re.M)

    @staticmethod
    def number(text):
        left, _, shift = text.strip("() ").replace("u", "").partition("<<")
        return int(left) << int(shift or 0)

    def test_names(self):
        self.assertGreater(len(self.rows), 30)
        for name, value in self.rows:
            with self.subTest(name=name):
                self.assertIn(int(value.replace(",", "")), self.values.get(name, ()))

    def test_public_ones_are_complete(self):
        told = {name for name, _ in self.rows} | {"RECO_FILTER_MAX", "RECO_PACKED_ENTRY_MAX"}  # a flag; arithmetic of a format
        for path in glob.glob(os.path.join(ROOT, "include", "**", "*.h"), recursive=True):
            for name in re.findall(r"^#define (RECO_\w+_MAX)[ \t]+[\d(]", read(os.path.relpath(path, ROOT)), re.M):
                with self.subTest(name=name):
                    self.assertIn(name, told)

    def test_defaults(self):
        defaults = {line.split()[0]: line.split()[1] for line in reco("settings").stdout.splitlines()}
        found = re.findall(r"`([a-z]+\.[a-z_]+)` \((\d[\d,]*)\s?((?:[KMGT]iB|ms|s|m|h|d)\b)?", read("docs/LIMITS.md"))
        self.assertGreater(len(found), 8)
        for name, value, unit in found:
            with self.subTest(name=name):
                self.assertEqual(value.replace(",", "") + unit, defaults.get(name))


class Quickstart(unittest.TestCase):
    """docs/QUICKSTART.md, from its first answer to its last line of curl, as it stands but for the ports."""

    BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.M | re.S)

    def script(self, text):
        return subprocess.run(["bash", "-euc", text], capture_output=True, text=True, timeout=120, check=False, cwd=self.folder,
                              env=ENVIRONMENT | {"PATH": BIN + ":" + os.environ["PATH"]})

    def serve(self, line):
        file = os.path.join(self.folder, "ports")
        line += f" --port-file {file} --ingest-listen=127.0.0.1:0 --api-listen=127.0.0.1:0 --processor-listen=127.0.0.1:0"
        with open(os.path.join(self.folder, "log"), "w", encoding="utf-8") as log:
            server = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "bash", "-c", "exec " + line], cwd=self.folder, stdout=log, stderr=log,
                                      env=ENVIRONMENT | {"PATH": BIN + ":" + os.environ["PATH"]})
        self.addCleanup(server.wait, 60)
        self.addCleanup(server.terminate)
        until = time.monotonic() + 60
        while not os.path.exists(file) and time.monotonic() < until and server.poll() is None:
            time.sleep(0.01)
        with open(file, encoding="utf-8") as ports:
            return dict(line.strip().split("=") for line in ports), server

    def test_all_of_it(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        server, ports, answers = None, {}, []
        for block, said in self.BLOCK.findall(read("docs/QUICKSTART.md")):
            if block.startswith(("bash infra", "cc ")):
                continue
            if block.strip().endswith(" serve"):
                ports, server = self.serve(block.strip())
                continue
            if server and not block.startswith("curl"):
                server.terminate()
                self.assertEqual(server.wait(60), 0)
            for part in block.strip().split("\n") if block.startswith("curl") else [block]:
                part = part.replace("localhost:8080", "127.0.0.1:" + ports.get("ingest", "")).replace("localhost:8081", "127.0.0.1:" + ports.get("api", ""))
                if answers:
                    part = part.replace("POSITION", json.loads(answers[0])["position"])
                done = self.script(part + (" -f" if part.startswith("curl") else ""))
                self.assertEqual(done.returncode, 0, part + done.stdout + done.stderr)
                if part.startswith("curl"):
                    answers.append(done.stdout)
                elif said.endswith("\n...\n"):  # what follows takes its time, another one each time
                    self.assertEqual(done.stdout[:len(said) - 4], said[:-4])
                elif said:
                    self.assertEqual(done.stdout, said)
                last = done.stdout
        taken, recommended, patched, similar = map(json.loads, answers)
        self.assertEqual(taken["accepted"], 1)
        self.assertFalse(recommended["behind"])
        self.assertFalse(patched.get("hidden", False))
        self.assertEqual([item["item_id"] for item in similar["items"]][:1], ["pot"])
        self.assertIn("equal: 7 events replayed", last)


class Completion(unittest.TestCase):
    """bash completes what the tables of the program allow; what it is given is a line as bash would have split it."""

    def complete(self, line):
        words = []
        for word in line.split(" "):  # "=" breaks words
            words += [part for part in re.split(r"(=)", word) if part] or [""]
        quoted = " ".join("'" + word + "'" for word in words)
        script = f"eval \"$('{BIN}/reco' completion bash)\"\nCOMP_WORDS=({quoted})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n" \
                 "_reco\nprintf '%s\\n' \"${COMPREPLY[@]}\""
        done = run("bash", "-uc", script, cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        return done.stdout.split()

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        for name in ("events.ndjson", "items.json"):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8"):
                pass

    def test_commands(self):
        self.assertEqual(sorted(self.complete("reco ")), sorted(commands()))
        self.assertEqual(self.complete("reco veri"), ["verify"])
        self.assertEqual(self.complete("reco --data some veri"), ["verify"])
        self.assertEqual(self.complete("reco --data=some veri"), ["verify"])
        self.assertEqual(self.complete("reco --set coview.cut=5 veri"), ["verify"])

    def test_options(self):
        for command in commands():
            with self.subTest(command=command):
                known = set(re.findall(r"(?m)^  (?:-\w, |    )(--[\w-]+)", reco(command, "--help").stdout))
                self.assertEqual({word for word in self.complete(f"reco {command} --") if word.startswith("--")}, known)
        self.assertEqual(self.complete("reco --d"), ["--data"])

    def test_values(self):
        names = [line.split()[0] for line in reco("settings").stdout.splitlines() if not line.startswith("event_types")]
        self.assertEqual(self.complete("reco --set "), [name + "=" for name in names])
        self.assertEqual(self.complete("reco verify -s coview.le"), ["coview.length="])
        self.assertEqual(self.complete("reco --set=coview.le"), ["coview.length="])
        self.assertEqual(self.complete("reco import --format ndjson ev"), ["events.ndjson"])
        self.assertEqual(self.complete("reco --config it"), ["items.json"])
        self.assertEqual(self.complete("reco recommend ev"), [])
        self.assertEqual(self.complete("reco recommend --limit "), [])
        self.assertEqual(self.complete("reco completion "), ["bash", "zsh"])
        self.assertEqual(self.complete("reco import --format "), ["csv", "ndjson", "movielens", "reco"])
        self.assertEqual(self.complete("reco import -f c"), ["csv"])
        self.assertEqual(self.complete("reco generate --format=n"), ["ndjson"])
        self.assertEqual(self.complete("reco serve --console "), ["off", "read", "write"])
        self.assertIn(":(csv ndjson movielens reco)", reco("completion", "zsh").stdout)

    def test_zsh(self):
        self.assertEqual(reco("completion", "fish").returncode, 2)
        text = reco("completion", "zsh").stdout
        for command in commands():
            self.assertIn(f"\n    {command})\n", text)
        if shutil.which("zsh"):
            script = "autoload -Uz compinit && compinit -D -u && source /dev/stdin && [[ $_comps[reco] == _reco ]] && whence _reco_commands"
            done = run("zsh", "-fc", script, input=text)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)


if __name__ == "__main__":
    if not os.path.exists(os.path.join(BIN, "reco")):
        print("skipped: the programs were not built")
        sys.exit(77)
    result = unittest.main(exit=False, verbosity=1).result
    sys.exit(0 if result.wasSuccessful() else 1)
