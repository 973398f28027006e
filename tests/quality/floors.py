"""Presets as they stand reach on public data what they have to, and the data's own scorer says the same of the lists to the fourth digit."""
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sets import SECONDS, SETS, Files, below, data_folder, evaluate, too_slow, value

BUILD = os.environ.get("RECO_BUILD_DIR") or sys.exit("RECO_BUILD_DIR is not set")
DATA = data_folder()
SCORER = os.path.join(DATA, "evaluate.py")
METRICS = ("ndcg@10", "ndcg@20", "recall@20", "hr@10", "hr@20", "mrr@20")


def python_with_numpy():
    """Debian's has it (python3-numpy); the one that runs this may be another."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import numpy"], capture_output=True, check=False).returncode == 0:
            return python
    sys.exit("the scorer of the data needs numpy: install python3-numpy (infra/scripts/deps.sh)")


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def unpack(source, target, kept=lambda line: True):
    with gzip.open(source, "rt", encoding="utf-8") as text, open(target, "w", encoding="utf-8") as out:
        out.writelines(filter(kept, text))


class Floors(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="reco-floors-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def second_opinion(self, files):
        """{name: text} of the data's scorer, which knows no p2-novel: questions that go back are taken out of its test."""
        going_back = set()
        if files.protocol == "p2-novel":
            with gzip.open(files.paths["queries"], "rt", encoding="utf-8") as text:
                histories = {name: set(items.rstrip("\n").split(",")) for name, items in (line.split("\t") for line in text)}
            with gzip.open(files.paths["test"], "rt", encoding="utf-8") as text:
                going_back = {line for line in text if line.rstrip("\n").split("\t")[1] in histories[line.split("\t")[0]]}
            self.assertTrue(going_back)
        unpack(files.paths["train"], self.path("train"))
        unpack(files.paths["test"], self.path("test"), lambda line: line not in going_back)
        done = subprocess.run([python_with_numpy(), "-B", SCORER, "--train", self.path("train"), "--test", self.path("test"), "--recs",
                               self.path("recs"), *(["--seen"] if files.protocol == "p2" else [])], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        names, figures = (line.split("\t") for line in done.stdout.splitlines())
        return dict(zip(names, figures))

    def agree(self, files, preset, *line):
        """With both scorers; what `reco evaluate` said, and the processor time it took: other tests run beside this one."""
        begun = processor_seconds()
        result, _ = evaluate(BUILD, *files.line(), "--preset", preset, "--recs", self.path("recs"), *line)
        seconds = processor_seconds() - begun
        side, other = result["configurations"][0], self.second_opinion(files)
        for ours, theirs in [(name, name) for name in METRICS] + [("coverage@10", "cov@10")]:
            self.assertAlmostEqual(value(side, ours), float(other[theirs]), delta=.00005001, msg=ours)
        self.assertEqual((result["questions"], result["cold_test_events"]), (int(other["users"]), int(other["cold_test_events"])))
        return side, seconds

    def test_sets(self):
        for one in SETS:
            with self.subTest(one.name):
                fewer = [] if one.name in SECONDS else ["--resamples", "100"]  # what takes its time is measured as anybody would run it
                side, seconds = self.agree(Files(DATA, one), one.preset, *fewer)
                print(f"{one.name}, {one.preset}: " + ", ".join(f"{name} {value(side, name):.4f}" for name in one.metrics) + f", {seconds:.1f} s")
                self.assertEqual(below(one, one.preset, side) + too_slow(one, one.preset, seconds), [])

    def test_what_is_new_to_a_visit(self):
        one = next(one for one in SETS if one.name == "yoochoose100k")
        self.agree(Files(DATA, one, protocol="p2-novel"), one.preset, "--resamples", "100")


if __name__ == "__main__":
    missing = [one.folder for one in SETS if not Files(DATA, one).are_there()]
    if missing or not os.path.isfile(SCORER):
        print(f"skipped: no data: {DATA} has no {', '.join(missing) or 'evaluate.py'}")
        sys.exit(77)
    unittest.main()
