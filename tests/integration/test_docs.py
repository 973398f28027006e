#!/usr/bin/env python3
"""What is generated is what the programs say now: settings, manual pages; completion completes; the numbers in docs/LIMITS.md are those of the sources.
Needs RECO_BUILD_DIR and RECO_SOURCE_DIR, and the programs."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
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
    return re.findall(r"^  ([a-z]+)\b", reco("--help").stdout.split("commands:")[1].split("\noptions")[0], re.M)


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
            self.assertIn(f'.SS "{command}"'.replace("reco ", ""), text.replace('"reco ', '"'))


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
