"""reco evaluate: the scores against a scorer of its own, what may be in lists, resampling, tuning, reports, bad files."""
import collections
import gzip
import html.parser
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import unittest

from http_support import BIN, PATIENCE, WithData, environment, run, wait_for
from servers import die_with_the_test

PER_QUESTION = [f"{name}@{k}" for name in ("ndcg", "recall", "hr", "mrr", "map") for k in (10, 20)]


# --- data: users of a few tastes, items of as many clusters -----------------------------------------------------------------------------------------

def make_events(seed, users, items=120, clusters=6):
    """user, item, order: no user has an item twice."""
    chance = random.Random(seed)
    events = []
    for user in range(users):
        taste = chance.randrange(clusters)
        wanted = set()
        while len(wanted) < chance.randint(5, 24):
            cluster = taste if chance.random() < .8 else chance.randrange(clusters)
            wanted.add(cluster + clusters * int(items / clusters * chance.random() ** 2))
        order = list(wanted)
        chance.shuffle(order)
        events += [(f"u{user}", f"i{item}", at) for at, item in enumerate(order)]
    return events


def split_p1(events):
    by_user = collections.defaultdict(list)
    for event in events:
        by_user[event[0]].append(event)
    train, test = [], []
    for rows in by_user.values():
        cut = len(rows) - math.ceil(.2 * len(rows))
        train += rows[:cut]
        test += rows[cut:]
    return train, test + [("u0", "never-seen", 99), ("stranger", "i0", 1), ("nobody", "never-seen", 1)]


def split_p2(seed, events):
    """Prefixes of visits; about one in four goes back to an item."""
    chance = random.Random(seed)
    by_user = collections.defaultdict(list)
    for user, item, _ in events:
        by_user[user].append(item)
    cut = len(by_user) * 4 // 5
    train = [(user, item, at) for user in list(by_user)[:cut] for at, item in enumerate(by_user[user])]
    queries, test = [], []
    for user in list(by_user)[cut:]:
        visit = by_user[user]
        if chance.random() < .25:
            visit = visit + [chance.choice(visit)]
        for at in range(1, len(visit)):
            queries.append((f"{user}:{at}", visit[:at]))
            test.append((f"{user}:{at}", visit[at]))
    return train, queries, test


def write(path, rows):
    with (gzip.open if path.endswith(".gz") else open)(path, "wt", encoding="utf-8") as out:
        for row in rows:
            out.write("\t".join(",".join(cell) if isinstance(cell, list) else str(cell) for cell in row) + "\n")


# --- a scorer of its own ----------------------------------------------------------------------------------------------------------------------------

def score_one(targets, shown):
    values = {}
    for k in (10, 20):
        hits = [rank for rank, item in enumerate(shown[:k], 1) if item in targets]
        best = min(len(targets), k)
        values[f"ndcg@{k}"] = sum(1 / math.log2(rank + 1) for rank in hits) / sum(1 / math.log2(rank + 1) for rank in range(1, best + 1))
        values[f"recall@{k}"] = len(hits) / len(targets)
        values[f"hr@{k}"] = float(bool(hits))
        values[f"mrr@{k}"] = 1 / hits[0] if hits else 0.0
        values[f"map@{k}"] = sum((at + 1) / rank for at, rank in enumerate(hits)) / best
    return values


def score(train, test, lists):
    fans = collections.defaultdict(set)
    for user, item, *_ in train:
        fans[item].add(user)
    users = len({user for user, *_ in train})
    targets = collections.defaultdict(set)
    for question, item, *_ in test:
        targets[question].add(item)
    rows, shown, places, rarity, spreads = [], collections.Counter(), 0, 0.0, []
    for question, wanted in targets.items():
        known = {item for item in wanted if item in fans}
        if not known:
            continue
        answer = lists.get(question, [])
        rows.append(score_one(known, answer))
        top = [item for item in answer[:10] if item in fans]
        shown.update(top)
        places += len(top)
        rarity += sum(-math.log2(len(fans[item]) / users) for item in top)
        pairs = [(a, b) for at, a in enumerate(top) for b in top[at + 1:]]
        if pairs:
            spreads.append(sum(1 - len(fans[a] & fans[b]) / math.sqrt(len(fans[a]) * len(fans[b])) for a, b in pairs) / len(pairs))
    values = {name: sum(row[name] for row in rows) / len(rows) for name in PER_QUESTION}
    counts = sorted(shown.get(item, 0) for item in fans)
    values["coverage@10"] = len(shown) / len(fans)
    values["novelty@10"] = rarity / places
    values["diversity@10"] = sum(spreads) / len(spreads)
    values["gini@10"] = sum((2 * at - len(counts) - 1) * count for at, count in enumerate(counts, 1)) / (len(counts) * sum(counts))
    return values, len(rows)


def read_lists(path):
    with open(path, encoding="utf-8") as text:
        rows = [line.rstrip("\n").split("\t") for line in text]
    return {name: items.split(",") if items else [] for name, items in rows}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.addresses = collections.Counter(), []

    def handle_starttag(self, tag, attributes):
        self.seen[tag] += 1
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href")]


class Evaluate(WithData):
    def setUp(self):
        super().setUp()
        events = make_events(7, 300)
        self.p1 = split_p1(events)
        self.p2 = split_p2(7, events)
        for folder, seed in (("valid", 11),):
            os.mkdir(self.path(folder))
            train, test = split_p1(make_events(seed, 200))
            write(self.path(folder, "train.tsv.gz"), train)
            write(self.path(folder, "test.tsv"), test)
        write(self.path("train1.tsv.gz"), self.p1[0])
        write(self.path("test1.tsv"), self.p1[1])
        write(self.path("train2.tsv"), self.p2[0])
        write(self.path("queries2.tsv.gz"), self.p2[1])
        write(self.path("test2.tsv"), self.p2[2])

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def evaluate(self, *line, check=0):
        done = run("reco", "evaluate", *line, env=environment(TMPDIR=self.folder), check=check)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("reco-evaluate")], [])
        return done

    def ask(self, *line):
        return json.loads(self.evaluate(*line, "--json").stdout)

    def p1_line(self, *more):
        return ("--protocol", "p1", "--train", self.path("train1.tsv.gz"), "--test", self.path("test1.tsv"), *more)

    def p2_line(self, *more, protocol="p2"):
        return ("--protocol", protocol, "--train", self.path("train2.tsv"), "--test", self.path("test2.tsv"), "--queries", self.path("queries2.tsv.gz"), *more)

    def compare(self, result, train, test, lists, least=.2):
        values, count = score(train, test, lists)
        self.assertEqual(result["questions"], count)
        for name, value in values.items():
            self.assertAlmostEqual(result["configurations"][0]["metrics"][name]["value"], value, places=6, msg=name)
        self.assertGreater(values["hr@20"], least)

    def test_users(self):
        result = self.ask(*self.p1_line("--preset", "long-history", "--recs", self.path("recs"), "--limit", "40"))
        lists = read_lists(self.path("recs"))
        self.compare(result, *self.p1, lists)
        self.assertEqual(result["cold_test_events"], 2)
        own = collections.defaultdict(set)
        for user, item, _ in self.p1[0]:
            own[user].add(item)
        for user, items in lists.items():
            self.assertEqual(len(items), len(set(items)))
            self.assertFalse(own[user] & set(items))
            self.assertEqual(len(items), 40)
        self.assertIn("stranger", lists)
        self.assertNotIn("nobody", lists)

    def test_users_beyond_what_is_remembered(self):
        self.ask(*self.p1_line("--set", "cell.history=3", "--set", "cell.recents=3", "--set", "pairs.window=3", "--recs", self.path("recs")))
        own = collections.defaultdict(set)
        for user, item, _ in self.p1[0]:
            own[user].add(item)
        for user, items in read_lists(self.path("recs")).items():
            self.assertFalse(own[user] & set(items))
            self.assertEqual(len(items), 20)

    def test_visits(self):
        result = self.ask(*self.p2_line("--preset", "sessions", "--recs", self.path("recs")))
        lists = read_lists(self.path("recs"))
        self.compare(result, self.p2[0], self.p2[2], lists)
        back = [query for query, items in self.p2[1] if set(items) & set(lists[query])]
        self.assertGreater(len(back), 20)

    def test_visits_to_what_is_new(self):
        result = self.ask(*self.p2_line("--preset", "sessions", "--recs", self.path("recs"), protocol="p2-novel"))
        history = dict(self.p2[1])
        test = [(query, item) for query, item in self.p2[2] if item not in history[query]]
        self.assertLess(len(test), len(self.p2[2]))
        lists = read_lists(self.path("recs"))
        self.compare(result, self.p2[0], test, lists)
        for query, items in lists.items():
            self.assertFalse(set(history[query]) & set(items))

    def test_threads_and_seeds(self):
        def figures(*line):
            result = self.ask(*self.p1_line(*line))
            for side in result["configurations"]:
                for name in ("learn_seconds", "ask_seconds", "answer_p50_us", "answer_p99_us"):
                    side.pop(name)
            return result
        once = figures("--threads", "1", "--against", "sessions")
        self.assertEqual(once, figures("--threads", "4", "--against", "sessions"))
        other = figures("--seed", "5", "--against", "sessions")
        first = once["configurations"][0]["metrics"]["ndcg@10"]
        self.assertEqual(first["value"], other["configurations"][0]["metrics"]["ndcg@10"]["value"])
        self.assertNotEqual(first["low"], other["configurations"][0]["metrics"]["ndcg@10"]["low"])

    def test_intervals_and_differences(self):
        result = self.ask(*self.p1_line("--preset", "long-history", "--against", "sessions", "--set", "recommend.revisit=0", "--set",
                                        "recommend.filter_seen=yes"))
        a, b = result["configurations"]
        for side in (a, b):
            for name in PER_QUESTION:
                value = side["metrics"][name]
                self.assertLess(value["low"], value["value"])
                self.assertLess(value["value"], value["high"])
                self.assertLess(value["high"] - value["low"], .2)
        for name, difference in result["differences"].items():
            self.assertAlmostEqual(difference["mean"], b["metrics"][name]["value"] - a["metrics"][name]["value"], places=7)
            self.assertLessEqual(difference["low"], difference["mean"])
            self.assertLessEqual(difference["mean"], difference["high"])
            self.assertLessEqual(difference["better"] + difference["worse"], result["questions"])
        done = self.evaluate(*self.p1_line("--against", "default", "--json"))
        self.assertIn("warning: the second configuration is the first: default says nothing else", done.stderr)
        same = json.loads(done.stdout)["differences"]["ndcg@10"]
        self.assertEqual((same["mean"], same["p"], same["better"], same["worse"]), (0, 1, 0, 0))
        # lists without anything personal are clearly worse
        write(self.path("popular.yaml"), [("recommend:",), ("  weight_coview: 0",)])
        done = self.evaluate(*self.p1_line("--against", self.path("popular.yaml"), "--json"))
        self.assertNotIn("warning", done.stderr)
        worse = json.loads(done.stdout)["differences"]["ndcg@10"]
        self.assertLess(worse["high"], 0)
        self.assertLess(worse["p"], .01)

    def test_tuning(self):
        line = self.p1_line("--set", "recommend.recency_value=1", "--set", "recommend.popularity_power=2", "--tune", "--valid", self.path("valid"),
                            "--trials", "30")
        result = self.ask(*line)
        tuning = result["tuning"]
        self.assertEqual(tuning["objective"], "ndcg@10")
        self.assertLessEqual(tuning["trials"], 30)
        self.assertGreater(tuning["after"], tuning["before"])
        found = result["configurations"][0]["settings"]
        self.assertNotEqual(found["recommend.popularity_power"], "2")
        # what was found, given by hand, makes the same answers: only settings of answers were changed
        again = self.ask(*self.p1_line(*[part for name, value in found.items() for part in ("--set", f"{name}={value}")]))
        self.assertEqual(again["configurations"][0]["metrics"], result["configurations"][0]["metrics"])
        # what is told as found is what was: the settings of the first, whatever the second has
        text = self.evaluate(*line, "--against", "sessions").stdout
        told = dict(re.findall(r"^  (recommend\.\w+): (\S+)$", text, re.M))
        self.assertEqual(told, found)
        # test/ is not looked at: with another one the same is found
        write(self.path("test1.tsv"), self.p1[1][:40])
        self.assertEqual(self.ask(*line)["configurations"][0]["settings"], found)

    def test_lists_of_others(self):
        asked = self.ask(*self.p1_line("--recs", self.path("recs"), "--limit", "50"))
        given = self.ask(*self.p1_line("--lists", self.path("recs")))
        self.assertEqual(given["configurations"][0]["metrics"], asked["configurations"][0]["metrics"])
        lists = read_lists(self.path("recs"))
        lists.pop("u3")
        write(self.path("fewer"), [(name, items[:7]) for name, items in lists.items()] + [("nobody", ["i1"]), ("u3",)])
        result = self.ask(*self.p1_line("--lists", self.path("fewer")))
        self.compare(result, *self.p1, {name: items[:7] for name, items in lists.items()}, least=.1)
        own = next(item for user, item, _ in self.p1[0] if user == "u1")
        for rows, word in (([("u1", ["i9999", "i9999"])], "twice"), ([("u1", [lists["u1"][0]] * 2)], "twice"),
                           ([("u1", [own])], "may not be"),
                           ([("u1", lists["u1"][:1]), ("u1", lists["u1"][1:2])], "line 2: the question has a list already")):
            write(self.path("bad"), rows)
            done = self.evaluate(*self.p1_line("--lists", self.path("bad")), check=None)
            self.assertEqual(done.returncode, 2)
            self.assertIn(word, done.stderr)

    def test_lists_as_the_scorer_has_them(self):
        """Items nobody knows take a place and are no hit; what is behind 100 is not looked at; what has no list is told."""
        self.ask(*self.p1_line("--recs", self.path("recs"), "--limit", "60"))
        lists = {name: ["new-" + name] + items[:3] + ["", "new"] + items[3:] + [f"more{at}" for at in range(60)] + items for name, items in read_lists(self.path("recs")).items()}
        lists.pop("u3")
        lists["u4"] = []
        write(self.path("given"), lists.items())
        result = self.ask(*self.p1_line("--lists", self.path("given")))
        self.compare(result, *self.p1, {name: items[:100] for name, items in lists.items()}, least=.1)
        self.assertEqual(result["configurations"][0]["unanswered"], 2)
        line = self.p1_line("--lists", self.path("given"), "--html", self.path("page.html"))
        text = self.evaluate(*line).stdout
        with open(self.path("page.html"), encoding="utf-8") as file:
            page = file.read()
        for told in (text, page):
            self.assertIn(f"2 of {result['questions']} questions have no list", told)
            self.assertNotIn("learned in", told)  # nor were any settings in force
        self.assertNotIn("recommend.", page)
        self.assertNotIn("settings", result["configurations"][0])
        self.assertNotIn("no list", self.evaluate(*self.p1_line("--lists", self.path("recs"))).stdout)
        for rows, word in (([], "there is no list"), ([("nobody", ["i1"]), ("u1 i1,i2",)], "no line")):
            write(self.path("bad"), rows)
            done = self.evaluate(*self.p1_line("--lists", self.path("bad")), check=None)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(word, done.stderr)

    def label(self, *line, **more):
        done = run("reco", *line[:line.index("evaluate") + 1], *self.p1_line(*line[line.index("evaluate") + 1:], "--json", "--resamples", "100", "--html", self.path("page")),
                   env=environment(TMPDIR=self.folder, **more), check=0)
        labels = [side["label"] for side in json.loads(done.stdout)["configurations"]]
        with open(self.path("page"), encoding="utf-8") as page:
            text = page.read()
        for label in labels:
            self.assertIn(f"<strong>{label}</strong>", text)
        return labels

    def test_labels_say_what_was_in_force(self):
        """By whatever way the settings came."""
        self.assertEqual(self.label("-s", "preset=shop", "evaluate"), ["preset shop"])
        self.assertEqual(self.label("evaluate", RECO_PRESET="shop", RECO_LOG_LEVEL="error"), ["preset shop"])
        self.assertEqual(self.label("evaluate", "--preset", "shop", "--against", "default"), ["preset shop", "default settings"])
        self.assertEqual(self.label("-s", "recommend.row_power=0.1", "evaluate", "-p", "shop", RECO_LATENESS="2h"), ["preset shop and 2 settings of its own"])
        self.assertEqual(self.label("-s", "preset=shop", "-s", "event_types.view.weight=2", "evaluate"), ["preset shop and 1 setting of its own"])
        self.assertEqual(self.label("-d", self.path("data"), "-s", "recommend.row_power=0.1", "evaluate"), ["default settings and 1 of its own"])
        write(self.path("mine.yaml"), [("preset: sessions",), ("recommend:",), ("  row_power: 0.1",)])
        mine = f"{self.path('mine.yaml')} (preset sessions and 1 setting of its own)"
        self.assertEqual(self.label("-c", self.path("mine.yaml"), "evaluate"), [mine])
        self.assertEqual(self.label("evaluate", "--against", self.path("mine.yaml")), ["default settings", mine])
        self.assertEqual(self.label("evaluate", RECO_CONFIG=self.path("mine.yaml"), RECO_PRESET="shop"), [mine.replace("sessions", "shop")])

    def test_items_with_commas(self):
        train = [(user, item.replace("i7", "i,7"), at) for user, item, at in self.p1[0]]
        write(self.path("train1.tsv.gz"), train)
        self.ask(*self.p1_line())
        done = self.evaluate(*self.p1_line("--recs", self.path("recs")), check=None)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn('the item "i,7', done.stderr)
        self.assertFalse(os.path.exists(self.path("recs")))

    def test_tuning_on_what_is_tested(self):
        def refused():
            done = self.evaluate(*self.p1_line("--tune", "--valid", self.path("valid"), "--trials", "2"), check=None)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("--valid", done.stderr)
            self.assertIn("never tune on what is tested", done.stderr)
        os.remove(self.path("valid", "test.tsv"))
        os.symlink(self.path("test1.tsv"), self.path("valid", "test.tsv"))
        shutil.copy(self.path("train1.tsv.gz"), self.path("valid", "train.tsv.gz"))
        refused()
        # neither another order, nor less of it, nor another form hides it
        os.remove(self.path("valid", "test.tsv"))
        write(self.path("valid", "test.tsv.gz"), list(reversed(self.p1[1]))[5:])
        write(self.path("valid", "train.tsv.gz"), self.p1[0][:2000])
        refused()

    def test_files_that_cannot_be_written(self):
        """Refused before anything is learned."""
        os.mkdir(self.path("folder"))
        train = self.path("train1.tsv.gz")
        with open(train, "rb") as file:
            before = file.read()
        os.symlink("train1.tsv.gz", self.path("link"))
        none, recs = self.path("none", "file"), self.path("recs")
        for line, code, word in ((["--html", none], 1, "--html"), (["--recs", none], 1, "--recs"), (["--html", self.path("folder")], 1, "--html"),
                                 (["--recs", os.path.join(train, "x")], 1, "--recs"), (["--recs", "-"], 2, "--recs"), (["--html", "-"], 2, "--html"),
                                 (["--recs", recs, "--html", recs], 2, "--html"), (["--recs", recs, "--html", self.path("folder", "..", "recs")], 2, "--html"),
                                 (["--recs", train], 2, "--recs"), (["--html", self.path("link")], 2, "--html"), (["--recs", self.path("test1.tsv")], 2, "--recs"),
                                 (["--tune", "--valid", self.path("valid"), "--recs", self.path("valid", "test.tsv")], 2, "--recs")):
            done = self.evaluate(*self.p1_line(*line, "--resamples", "1000000"), check=None)
            self.assertEqual((done.returncode, done.stdout), (code, ""), (line, done.stderr))
            self.assertIn(word, done.stderr)
        with open(train, "rb") as file:
            self.assertEqual(file.read(), before)
        self.assertFalse(os.path.exists(recs))
        # what fails at the end takes nothing else with it
        done = self.evaluate(*self.p1_line("--recs", "/dev/full", "--html", self.path("page.html"), "--json"), check=None)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/dev/full", done.stderr)
        self.assertGreater(json.loads(done.stdout)["questions"], 0)
        self.assertGreater(os.path.getsize(self.path("page.html")), 1000)

    @staticmethod
    def as_a_shell_starts_it():
        die_with_the_test()
        for number in (signal.SIGINT, signal.SIGHUP):  # ignored where the test runs behind something
            signal.signal(number, signal.SIG_DFL)

    def begin(self, *line):
        process = subprocess.Popen([os.path.join(BIN, "reco"), "evaluate", *self.p1_line(*line)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=environment(TMPDIR=self.path("tmp")), preexec_fn=self.as_a_shell_starts_it)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def folders(self):
        return [name for name in os.listdir(self.path("tmp")) if not name.endswith(".csv")]

    def test_interrupted(self):
        """Nothing is left behind, however far it was; it would take long to its end."""
        os.mkdir(self.path("tmp"))
        train, test = split_p1(make_events(3, 4000, items=600))
        write(self.path("train1.tsv.gz"), train)
        write(self.path("test1.tsv"), test)
        write(self.path("valid", "test.tsv"), split_p1(make_events(11, 200))[1] * 2)
        learned = lambda: any(os.path.isdir(self.path("tmp", name)) and os.listdir(self.path("tmp", name)) for name in self.folders())
        told = lambda process, word: lambda: word in process.stderr.readline()
        for number, line, reached in ((signal.SIGTERM, [], lambda process: self.folders), (signal.SIGHUP, [], lambda process: learned),
                                      (signal.SIGINT, ["--resamples", "30000", "--against", "shop"], lambda process: told(process, "asking")),
                                      (signal.SIGINT, ["--tune", "--valid", self.path("valid")], lambda process: told(process, "trial 3"))):
            process = self.begin("--progress", "--threads", "2", *([] if "--resamples" in line else ["--resamples", "1000000"]), *line)
            wait_for(reached(process), "it to come that far")
            self.assertTrue(self.folders())
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
            self.assertEqual((process.returncode, out), (-number, ""), (line, err))
            self.assertEqual(err.splitlines()[-1], "reco: stopped")
            self.assertEqual(os.listdir(self.path("tmp")), [], line)

    def test_nobody_reads(self):
        os.mkdir(self.path("tmp"))
        process = self.begin("--json")
        process.stdout.close()
        process.wait(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1)
        self.assertIn("cannot write", process.stderr.read())
        self.assertEqual(os.listdir(self.path("tmp")), [])
        process.stdout = None

    def test_page_and_table(self):
        line = self.p1_line("--preset", "long-history", "--against", "default", "--html", self.path("page.html"))
        text = self.evaluate(*line).stdout
        self.assertRegex(text, r"ndcg@10 +0\.\d{4} +0\.\d{4} to 0\.\d{4}")
        self.assertIn("default settings less preset long-history", text)
        with open(self.path("page.html"), encoding="utf-8") as file:
            source = file.read()
        page = Page()
        page.feed(source)
        self.assertEqual(page.addresses, [])
        self.assertNotRegex(source, r"https?://|@import|url\(")
        self.assertGreaterEqual(page.seen["svg"], 4)
        self.assertGreaterEqual(page.seen["table"], 3)
        figure = re.search(r"ndcg@10 +(0\.\d{4})", text).group(1)
        self.assertIn(f"<td>{figure}", source)

    def test_bad_lines(self):
        train, test = self.path("train1.tsv.gz"), self.path("test1.tsv")
        for line, word in (
                (["--protocol", "p3", "--train", train, "--test", test], "--protocol"),
                (["--train", train, "--test", test], "--protocol"),
                (["--protocol", "p1", "--test", test], "--train"),
                (["--protocol", "p1", "--train", train], "--test"),
                (["--protocol", "p2", "--train", train, "--test", test], "--queries"),
                (["--protocol", "p1", "--train", train, "--test", test, "--queries", test], "--queries"),
                (self.p1_line("--tune"), "--valid"),
                (self.p1_line("--valid", self.folder), "--valid"),
                (self.p1_line("--limit", "5"), "--limit"),
                (self.p1_line("--lists", "x", "--preset", "shop"), "--lists"),
                (self.p1_line("--limit", "101"), "--limit"),
                (self.p1_line("--time", "years"), "--time"),
                (self.p1_line("--objective", "coverage@10", "--tune", "--valid", self.folder), "--objective"),
                (self.p1_line("--preset", "nonsense"), "preset"),
                (self.p1_line("--against", "nonsense"), "nonsense is no preset"),
                (self.p1_line("--resamples", "3"), "--resamples"),
        ):
            done = self.evaluate(*line, check=None)
            self.assertEqual((done.returncode, done.stdout), (2, ""), line)
            self.assertTrue(done.stderr.startswith("reco: ") and done.stderr.count("\n") == 1, done.stderr)
            self.assertIn(word, done.stderr)

    def test_bad_files(self):
        def refused(word, code=2, **files):
            line = []
            for name in ("train", "test", "queries"):
                if name in files or name != "queries":
                    line += [f"--{name}", files.get(name, self.path(f"{name}1.tsv.gz" if name == "train" else "test1.tsv"))]
            done = self.evaluate("--protocol", "p2" if "queries" in files else "p1", *line, check=None)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(word, done.stderr)

        def file(name, content):
            with open(self.path(name), "wb") as out:
                out.write(content)
            return self.path(name)
        refused("none.tsv", code=1, train=self.path("none.tsv"))
        refused("line 1: 2 columns", train=file("a", b"alone\n"))
        refused("line 2: column 2 is empty", train=file("b", b"u\ti\t1\nu\t\t1\n"))
        refused("line 1: column 3", train=file("c", b"u\ti\tnan\n"))
        refused("line 1: column 3", train=file("d", b"u\ti\t-1\n"))
        refused("line 1: column 3", train=file("e", b"u\ti\t1x\n"))
        refused("NUL", train=file("f", b"u\ti\0j\t1\n"))
        refused("no event", train=file("g", b""))
        refused("nothing is hidden", test=file("h", b"\n\n"))
        refused("no question is left", test=file("i", b"u1\tnever\n"))
        with open(self.path("train1.tsv.gz"), "rb") as whole:
            cut = whole.read()[:-40]
        refused("cannot read", code=1, train=file("cut.gz", cut))
        refused("no query", test=file("j", b"q1\ti0\nq2\ti0\n"), queries=file("k", b"q1\ti1\n"))
        refused("given twice", test=file("l", b"q1\ti0\n"), queries=file("m", b"q1\ti1\nq1\ti2\n"))
        refused("more than one hidden", test=file("n", b"q1\ti0\nq1\ti1\n"), queries=file("o", b"q1\ti1\n"))
        refused("too long", code=1, train=file("p", b"u\t" + b"x" * (20 << 20) + b"\n"))
        refused("line 2: column 2 has 300 bytes", train=file("q", b"u1\ti0\nu\t" + b"x" * 300 + b"\n"))
        refused("line 1: column 1 has 257 bytes", test=file("r", b"u" * 257 + b"\ti0\n"))
        for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
            refused("line 1: column 1 is not UTF-8", train=file("s", b"u" + bad + b"\ti\n"))


if __name__ == "__main__":
    unittest.main()
