#!/usr/bin/env python3
"""The course in examples/: every program runs, ends well, says nothing on stderr and prints what its comments promise; the README lists all of them.
The programs are bin/example_NAME below RECO_BUILD_DIR, or NAME in the folder RECO_EXAMPLES (of programs built against an installed libreco)."""
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.environ.get("RECO_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.environ.get("RECO_EXAMPLES")
ERRORS = "  event 1, item_id: INVALID\n  event 2, event_type: INVALID\n  event 3, timestamp: TOO_LATE\n  event 4, properties: INVALID\n"


def program(name):
    return os.path.join(FOLDER, name) if FOLDER else os.path.join(os.environ["RECO_BUILD_DIR"], "bin", "example_" + name)


def names():
    return sorted(os.path.basename(path)[:-2] for path in glob.glob(os.path.join(ROOT, "examples", "*.c")))


class Examples(unittest.TestCase):
    def said(self, name, *arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RECO_")}
        done = subprocess.run([program(name), *arguments], text=True, capture_output=True, timeout=120, env=environment, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def folder(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        return os.path.join(holder.name, "data.reco")

    def test_all_are_tested_and_listed(self):
        tests = {name[5:] for name in dir(self) if name.startswith("test_")}
        with open(os.path.join(ROOT, "examples", "README.md"), encoding="utf-8") as source:
            listed = re.findall(r"^\| (\d) \| \[(\w+)\.c\]\((\w+)\.c\) \|", source.read(), re.M)
        self.assertEqual([int(row[0]) for row in listed], list(range(1, len(listed) + 1)))
        self.assertEqual(sorted(row[1] for row in listed), names())
        self.assertTrue(all(row[1] == row[2] for row in listed))
        self.assertLessEqual(set(names()), tests)

    def test_hello(self):
        where = self.folder()
        for arguments in ([], [where], [where]):
            said = self.said("hello", *arguments)
            self.assertIn("learned = replayed: yes\n", said)
            self.assertIn("of f3", said.split("for eve, after")[1])

    def test_batches(self):
        one = "one by one: OK, 2 accepted, 4 rejected\n" + ERRORS
        self.assertEqual(self.said("batches"), "atomic: INVALID, 0 accepted, 4 rejected\n" + ERRORS + "  because of event 1: is required\n" + one + one
                         + "learned from 2 events, passed over 2 that came twice\npast its deadline: TIMEOUT, may be sent again\n")

    def test_items(self):
        lines = dict(line.split(": ", 1) for line in self.said("items").splitlines() if ": " in line and not line.startswith("coffee is now"))
        self.assertEqual(lines.pop("in 2019 it had been").count("mulled wine"), 1)
        self.assertEqual(lines, {"goes with tea": "coffee, pot", "cheap, and not of coast": "pot", "popular of one category": "pot",
                                 "coffee is hidden": "pot", "and back": "coffee, pot", "tea has no document": "coffee, pot"})
        documents = re.findall(r"^coffee is now (.*)$", self.said("items"), re.M)
        self.assertEqual(["hidden" in text for text in documents], [True, False])
        self.assertTrue(all('"price":8' in text and '"brand":"coast"' in text for text in documents))

    def test_stage(self):
        without, with_both = self.said("stage").split('with "offers')
        self.assertIn("pot: ", without)
        self.assertNotIn("offers", without)
        self.assertRegex(with_both, r"(?m)^jam: offers popular$")
        self.assertRegex(with_both, r"(?m)^honey: offers popular$")
        self.assertNotIn("pot:", with_both)
        self.assertNotIn("add up", without + with_both)
        self.assertIn("refused: points: must be a number from 1 to 1000\n", with_both)

    def test_store(self):
        self.assertEqual(self.said("store"), 'from the table: {"item_id":"tea","title":"Tea"}\nrecommended: tea\n')

    def test_threads(self):
        said = self.said("threads")
        taken, answered, reflected = map(int, re.match(r"(\d+) events taken, (\d+) questions answered, (\d+) of them reflect", said).groups())
        self.assertEqual((taken, answered), (100, 200))
        self.assertLessEqual(reflected, taken)
        self.assertGreater(reflected, 0)
        self.assertIn("learned = replayed: yes, 100 events\n", said)

    def test_processes(self):
        where = self.folder()
        for _ in range(2):
            self.assertEqual(sorted(self.said("processes", where).splitlines()), ["asker: pot", "processor: 5 events"])


if __name__ == "__main__":
    if not os.path.exists(program("hello")):
        print("skipped: the examples were not built")
        sys.exit(77)
    result = unittest.main(exit=False, verbosity=1).result
    sys.exit(0 if result.wasSuccessful() else 1)
