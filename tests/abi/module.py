#!/usr/bin/env python3
"""A module of others: built from an installed libreco by pkg-config alone, put through the installed reco-conformance, used by its address; and broken
variants of it, which must fail by name. module.py BUILD ROOT"""
import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUILD, ROOT = sys.argv[1], sys.argv[2]
SOURCE = os.path.join(ROOT, "examples", "modules", "records-file")

# (what is wrong, text that is there once, what takes its place, check that must say so, what it must say)
MUTANTS = [
    ("tells of keys", "        if (mark->kind == RECO_RECORD_KEY)\n            continue;\n", "", "keys_are_not_told", "the change log told a key"),
    ("half a call", "    else\n        take_back(store, steps, taken);", "    else\n        (void)take_back;", "all_or_none", "of a failed batch"),
    ("loses everything", "    return read_file(store, err);", "    return ftruncate(store->file, 0) == 0 ? RECO_OK : read_file(store, err);", "reopen",
     "is missing"),
    ("crashes", '    sink(context, "bytes", bytes);', "    *(volatile int *)(uintptr_t)bytes = 0;", "stats", "ended by signal 11"),
    ("hangs", '    sink(context, "bytes", bytes);', "    for (;; (void)bytes)\n        pause();", "stats", "not over after 3 seconds"),
]


class Module(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.prefix = os.path.join(cls.folder, "prefix")
        done = subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout[-2000:] + done.stderr)
        config = os.path.dirname(glob.glob(os.path.join(cls.prefix, "**", "libreco.pc"), recursive=True)[0])
        cls.environment = {name: value for name, value in os.environ.items() if not name.startswith("RECO_")}
        cls.environment |= {"PKG_CONFIG_PATH": config,
                            "PATH": os.path.join(cls.prefix, "bin") + ":" + os.environ["PATH"]}
        cls.module = cls.make("sound")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def make(cls, name, old="", new=""):
        """A folder with the module built in it, perhaps with one piece of text changed."""
        folder = os.path.join(cls.folder, name)
        shutil.copytree(SOURCE, folder)
        path = os.path.join(folder, "textfile.c")
        with open(path, encoding="utf-8") as source:
            text = source.read()
        if old:
            assert text.count(old) == 1, f"the text to change must be in textfile.c exactly once: {old}"
            with open(path, "w", encoding="utf-8") as target:
                target.write(text.replace(old, new))
        done = subprocess.run(["make", "-C", folder, "CFLAGS=-std=c99 -O1 -Wall -Wextra -pedantic -Werror"], capture_output=True, text=True,
                              env=cls.environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    def run_it(self, *command, text=None):
        return subprocess.run(command, input=text, capture_output=True, text=True, env=self.environment, cwd=self.folder, timeout=120, check=False)

    def conformance(self, folder, *options):
        return self.run_it("reco-conformance", "records", "textfile:%s", "--module", os.path.join(folder, "libreco-textfile.so"), *options)

    def test_it_conforms(self):
        done = self.run_it("make", "-C", self.module, "check")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        listed = self.run_it("reco-conformance", "records", "--list").stdout.split()
        self.assertGreaterEqual(len(listed), 18)
        self.assertEqual(re.findall(r"^passed (\w+)$", done.stdout, re.M), listed)
        self.assertIn(f"{len(listed)} passed, 0 failed", done.stdout)

    def test_only_headers_that_are_installed(self):
        headers = subprocess.run(["cc", "-std=c99", "-MM", os.path.join(self.module, "textfile.c"), "-I" + os.path.join(self.prefix, "include")],
                                 capture_output=True, text=True, check=True).stdout
        named = re.findall(r"\S+\.h", headers)
        self.assertTrue(named)
        self.assertTrue(all(name.startswith(self.prefix) for name in named), headers)

    def test_broken_ones_fail_by_name(self):
        for number, (what, old, new, check, said) in enumerate(MUTANTS):
            with self.subTest(mutant=what):
                done = self.conformance(self.make(f"mutant{number}", old, new), "--check", check, "--seconds", "3")
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertRegex(done.stdout, rf"(?m)^FAILED {check}: .*{said}")
                self.assertIn("0 passed, 1 failed", done.stdout)

    def test_manual_and_completion_are_installed(self):
        found = {os.path.basename(path) for path in glob.glob(os.path.join(self.prefix, "share", "**", "*"), recursive=True)}
        for name in ("reco.1", "reco-ingest.1", "reco-api.1", "reco-processor.1", "reco-conformance.1", "reco.yaml.5", "_reco", "reco"):
            self.assertIn(name, found)

    def test_what_is_no_module(self):
        for arguments, said in ((("records", "textfile:%s"), "libreco-textfile.so"), (("records", "x:", "--module", "libc.so.6"), "cannot open"),
                                (("features", "textfile:", "--module", self.module + "/libreco-textfile.so"), "has no backend"),
                                (("verses", "x:"), "none of the contracts"), (("records",), "usage"), (("records", "x:", "--loud"), "unknown option"),
                                (("records", "no address"), "is no address")):
            with self.subTest(arguments=arguments):
                done = self.run_it("reco-conformance", *arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(said, done.stderr)

    def test_features_beside_libreco(self):
        """The suite of features, one case of it, on a module that is found by its scheme."""
        if not shutil.which("redis-server") or not glob.glob(os.path.join(self.prefix, "**", "libreco-redis.so"), recursive=True):
            self.skipTest("there is no Redis")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                                   "--appendonly", "yes", "--maxmemory-policy", "noeviction", "--dir", self.folder], stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait, 60)
        self.addCleanup(server.terminate)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        done = self.run_it("reco-conformance", "features", f"redis://127.0.0.1:{port}/0", "--slow", "--check", "adds_sum_up")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"100%: Checks: [1-9]")

    def reco(self, *arguments, text=None, modules=None):
        return self.run_it("reco", "--set", "modules=" + (self.module if modules is None else modules), "--set", "records=textfile:known", "--set",
                           "limits.map_size=1GiB", "--data", "shop.reco", *arguments, text=text)

    def test_an_engine_by_its_address(self):
        items = '[{"item_id":"tea","title":"Tea\\twith\\nlines"},{"item_id":"a\\\\b"}]'
        done = self.reco("items", "-", text=items)
        self.assertEqual(done.returncode, 0, done.stderr)
        path = os.path.join(self.folder, "known", "default.records")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("put\t1\ttea\t", text)
        self.assertRegex(text, r"(?m)^commit\t\d+\t[0-9a-f]{16}$")
        for name, title in (("tea", "Tea\\twith\\nlines"), ("a\\b", "")):
            done = self.reco("item", name, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(title, done.stdout)
        with open(path, "a", encoding="utf-8") as file:
            file.write("put\t1\tlost\t{}\n")  # a call that was never acknowledged
        self.assertEqual(self.reco("item", "tea").returncode, 0)
        self.assertEqual(self.reco("item", "lost").returncode, 1)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), text)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("tea", "tee", 1) + text)
        done = self.reco("item", "tea")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is damaged", done.stderr)
        os.remove(path)

    def test_where_modules_lie(self):
        done = self.reco("item", "tea", modules="")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no module with one beside libreco or where modules says", done.stderr)
        done = self.reco("item", "tea", modules="relative/folder")
        self.assertEqual(done.returncode, 2)
        self.assertIn("(modules)", done.stderr)
        done = self.reco("item", "tea", modules=self.folder)
        self.assertIn("where modules says", done.stderr)


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=1).result
    sys.exit(0 if result.wasSuccessful() else 1)
