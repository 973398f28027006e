#!/usr/bin/env python3
"""How good answers are on public data, beside popularity and the item kNN of a public library, all lists scored by reco evaluate in one run.

    quality.py [--build DIR] [--data DIR] [--only NAME]... [--write]

--data (default $RECO_DATA_DIR, else ../shared/data beside the sources) has a folder a data set: train, test, for P2 queries, and valid/ with the same
made from the training part. Settings of answers are tuned on valid/ and looked at on test once. --write puts the table into docs/BENCHMARKS.md.
The library is implicit (pip install implicit); without it its rows are left out, and the table says so."""
import argparse
import collections
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BEGIN, END = "<!-- quality: begin -->", "<!-- quality: end -->"
NEIGHBOURS = 100

# name, folder, protocol, preset, the two metrics looked at, what they should reach
SETS = (
    ("ml100k", "ml100k/p1", "p1", "long-history", ("ndcg@10", "recall@20"), (.151, .225)),
    ("games", "games/p1", "p1", "long-history", ("ndcg@10", "recall@20"), (.059, .128)),
    ("diginetica", "diginetica", "p2", "sessions", ("hr@20", "mrr@20"), (.525, .189)),
    ("yoochoose100k", "yoochoose100k/p2", "p2", "sessions", ("hr@20", "mrr@20"), (.705, .386)),
)


def read(path):
    with gzip.open(path, "rt", encoding="utf-8") as text:
        return [line.rstrip("\n").split("\t") for line in text]


class Data:
    def __init__(self, folder, protocol):
        self.files = {name: os.path.join(folder, name + ".tsv.gz") for name in ("train", "test") + (("queries",) if protocol != "p1" else ())}
        self.valid = os.path.join(folder, "valid")
        self.protocol = protocol
        self.train = [(row[0], row[1]) for row in read(self.files["train"])]
        self.own = collections.defaultdict(list)
        for user, item in self.train:
            self.own[user].append(item)
        if protocol == "p1":
            self.questions = {row[0]: self.own.get(row[0], []) for row in read(self.files["test"])}
        else:
            self.questions = {row[0]: row[1].split(",") for row in read(self.files["queries"])}

    def line(self):
        return ["--protocol", self.protocol] + [part for name, path in self.files.items() for part in (f"--{name}", path)]


# --- what others answer -----------------------------------------------------------------------------------------------------------------------------

def popular(data):
    order = [item for item, _ in collections.Counter(item for _, item in data.train).most_common(2000)]
    lists = {}
    for question, history in data.questions.items():
        barred = set(history) if data.protocol == "p1" else ()
        lists[question] = [item for item in order[:20 + len(barred)] if item not in barred][:20]
    return lists


def item_knn(data):
    """The library's: cosine between items, the 100 nearest of each, summed over the history."""
    import numpy
    import scipy.sparse
    from implicit.nearest_neighbours import CosineRecommender
    users = {user: at for at, user in enumerate(data.own)}
    items = {item: at for at, item in enumerate(dict.fromkeys(item for _, item in data.train))}
    names = list(items)
    rows, columns = zip(*{(users[user], items[item]) for user, item in data.train})
    matrix = scipy.sparse.csr_matrix((numpy.ones(len(rows), dtype=numpy.float32), (rows, columns)), shape=(len(users), len(items)))
    model = CosineRecommender(K=NEIGHBOURS)
    model.fit(matrix, show_progress=False)
    asked = list(data.questions)
    pairs = {(at, items[item]) for at, question in enumerate(asked) for item in data.questions[question] if item in items}
    rows, columns = zip(*pairs)
    history = scipy.sparse.csr_matrix((numpy.ones(len(rows), dtype=numpy.float32), (rows, columns)), shape=(len(asked), len(items)))
    ids, scores = model.recommend(numpy.arange(len(asked)), history, N=20, filter_already_liked_items=data.protocol == "p1")
    # what is left to fill a row with has no score, and may be the user's own
    return {question: [names[item] for item, sum_ in zip(ids[at], scores[at]) if item >= 0 and sum_ > 0] for at, question in enumerate(asked)}


# --- scoring ----------------------------------------------------------------------------------------------------------------------------------------

def reco(build, *line):
    done = subprocess.run([os.path.join(build, "bin", "reco"), "evaluate", *line, "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"reco evaluate {' '.join(line)}: {done.stderr}")
    return json.loads(done.stdout)


def score(build, data, lists):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as file:
        for question, items in lists.items():
            file.write(f"{question}\t{','.join(items)}\n")
        file.flush()
        return reco(build, *data.line(), "--lists", file.name)["configurations"][0]


def cells(side, metrics):
    return " | ".join("{value:.4f} ({low:.4f}–{high:.4f})".format(**side["metrics"][name]) for name in metrics)


def measure(build, folder, name, place, protocol, preset, metrics, goals):
    data = Data(os.path.join(folder, place), protocol)
    rows = [("popularity", score(build, data, popular(data)))]
    try:
        rows.append(("item kNN, cosine (implicit)", score(build, data, item_knn(data))))
    except ImportError:
        print("implicit is not installed: its rows are left out", file=sys.stderr)
    begun = time.monotonic()
    rows.append((f"`{preset}`", reco(build, *data.line(), "--preset", preset)["configurations"][0]))
    seconds = time.monotonic() - begun
    tuned = reco(build, *data.line(), "--preset", preset, "--tune", "--valid", data.valid)
    rows.append((f"`{preset}`, tuned on valid/", tuned["configurations"][0]))
    lines = [f"| {name}, {protocol} | {what} | {cells(side, metrics)} | {side['metrics']['coverage@10']['value']:.3f} |" for what, side in rows]
    best = rows[-1][1]["metrics"]
    reached = all(best[metric]["value"] >= goal for metric, goal in zip(metrics, goals))
    found = ", ".join(f"{key.split('.')[1]} {value}" for key, value in tuned["configurations"][0]["settings"].items())
    note = f"{name}: {metrics[0]} and {metrics[1]} are to be {goals[0]} and {goals[1]}: {'reached' if reached else '**missed**'}; learned, asked and " \
           f"scored in {seconds:.0f} s. Tuned in {tuned['tuning']['trials']} trials: {found}."
    return lines, note, reached


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.environ.get("RECO_BUILD_DIR", os.path.join(ROOT, "build")))
    parser.add_argument("--data", default=os.environ.get("RECO_DATA_DIR", os.path.join(ROOT, "..", "shared", "data")))
    parser.add_argument("--only", action="append", choices=[one[0] for one in SETS])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if not os.path.isdir(given.data):
        print(f"skipped: no data in {given.data}")
        return 0
    table = ["| data, protocol | lists of | ndcg@10, or hr@20 | recall@20, or mrr@20 | coverage@10 |", "|---|---|---|---|---|"]
    notes, good = [], True
    for one in SETS:
        if not given.only or one[0] in given.only:
            lines, note, reached = measure(given.build, given.data, *one)
            table += lines
            notes.append(note)
            good = good and reached
            print("\n".join(lines) + "\n" + note, flush=True)
    if given.write:
        page = os.path.join(ROOT, "docs", "BENCHMARKS.md")
        with open(page, encoding="utf-8") as file:
            text = file.read()
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        with open(page, "w", encoding="utf-8") as file:
            file.write(before + BEGIN + "\n" + "\n".join(table) + "\n\n" + "\n".join(f"- {note}" for note in notes) + "\n" + END + after)
    return 0 if good else 1


sys.exit(main())
