"""The public data sets, what is to be reached on them, and `reco evaluate` on their files. The data are no part of the project: they are looked for in
$RECO_DATA_DIR, else in ../shared/data beside the sources: a folder a set with train, test, for P2 queries, and valid/, the same again made from train."""
import collections
import gzip
import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PRESETS = ("default", "sessions", "shop", "long-history", "catalogue-small")
SECONDS = {"diginetica": 60}  # to learn, ask and score, the whole process

# preset: the one that is held to the goals, which are those of the two metrics
PublicSet = collections.namedtuple("PublicSet", "name folder protocol preset metrics goals")
SETS = (
    PublicSet("ml100k", "ml100k/p1", "p1", "long-history", ("ndcg@10", "recall@20"), (.151, .225)),
    PublicSet("games", "games/p1", "p1", "long-history", ("ndcg@10", "recall@20"), (.059, .128)),
    PublicSet("diginetica", "diginetica", "p2", "sessions", ("hr@20", "mrr@20"), (.525, .189)),
    PublicSet("yoochoose100k", "yoochoose100k/p2", "p2", "sessions", ("hr@20", "mrr@20"), (.705, .386)),
)
# Nothing is to be reached on these; presets are compared on them, too.
BESIDE = (
    PublicSet("ml100k", "ml100k/p2", "p2", None, ("hr@20", "mrr@20"), ()),
    PublicSet("ml1m", "ml1m", "p1", None, ("ndcg@10", "recall@20"), ()),
    PublicSet("gowalla", "gowalla", "p1", None, ("ndcg@10", "recall@20"), ()),
)


def data_folder():
    return os.environ.get("RECO_DATA_DIR") or os.path.join(ROOT, "..", "shared", "data")


def rows_of(path):
    with gzip.open(path, "rt", encoding="utf-8") as text:
        return [line.rstrip("\n").split("\t") for line in text]


class Files:
    """Those of one set, or of its valid/."""

    def __init__(self, data, one, valid=False, protocol=None):
        self.folder = os.path.join(data, one.folder, *(["valid"] if valid else []))
        self.protocol = protocol or one.protocol
        names = ("train", "test") if self.protocol == "p1" else ("train", "test", "queries")
        self.paths = {name: os.path.join(self.folder, name + ".tsv.gz") for name in names}

    def are_there(self):
        return all(map(os.path.isfile, self.paths.values()))

    def line(self):
        return ["--protocol", self.protocol] + [part for name, path in self.paths.items() for part in (f"--{name}", path)]


def settings_line(settings):
    return [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]


def evaluate(build, *line):
    """What `reco evaluate` says, and the seconds that it took from its start to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RECO_")}  # they would be taken for settings
    begun = time.monotonic()
    done = subprocess.run([os.path.join(build, "bin", "reco"), "evaluate", *line, "--json"], capture_output=True, text=True, check=False, env=clean,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"reco evaluate {' '.join(line)}: {done.stderr}")
    return json.loads(done.stdout), time.monotonic() - begun


def value(side, metric):
    return side["metrics"][metric]["value"]


def below(one, what, side):
    """A line for each metric that misses its goal."""
    return [f"{one.name}, {what}: {metric} is {value(side, metric):.4f}, to be {goal}"
            for metric, goal in zip(one.metrics, one.goals) if value(side, metric) < goal]


def too_slow(one, what, seconds):
    most = SECONDS.get(one.name)
    return [f"{one.name}, {what}: took {seconds:.0f} s, to be less than {most}"] if most and seconds >= most else []
