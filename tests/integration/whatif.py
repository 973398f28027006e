"""reco whatif: one user at another moment, two plans over traffic; likeness against arithmetic of its own; nothing is changed; what is refused."""
import datetime
import json
import math
import os
import random
import shutil
import tempfile
import time
import unittest

from http_support import Service, run, wait_for

DAY = 86_400_000
START = 1_760_000_000_000
WEIGHTS = {"view": 1, "purchase": 5, "impression": 0, "dislike": 0}


def make_events(seed):
    """Five days of users with a taste, in the order of time."""
    chance = random.Random(seed)
    events, t = [], START
    for number in range(4000):
        t += chance.randrange(1, 2 * 5 * DAY // 4000)
        user = chance.randrange(60)
        item = user % 6 + 6 * int(20 * chance.random() ** 2) if chance.random() < .8 else chance.randrange(120)
        events.append({"user_id": f"u{user}", "item_id": f"i{item}", "event_type": chance.choice(["view"] * 8 + ["purchase", "impression", "dislike"]),
                       "timestamp": t, "event_id": f"e{number}"})
    return events


def overlap(a, b):
    return len(set(a) & set(b)) / max(len(a), len(b))


def rbo(a, b, p=.9):
    depth = max(len(a), len(b))
    agreement = [len(set(a[:d]) & set(b[:d])) / d for d in range(1, depth + 1)]
    return agreement[-1] * p ** depth + (1 - p) / p * sum(x * p ** d for d, x in enumerate(agreement, 1))


def tau(a, b):
    both = [item for item in a if item in b]
    pairs = [(x, y) for at, x in enumerate(both) for y in both[at + 1:]]
    return sum(1 if b.index(x) < b.index(y) else -1 for x, y in pairs) / len(pairs) if pairs else None


def items(answer):
    return [item["item_id"] for item in answer["items"]]


def ms_of(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000 + .5)


class Learned(unittest.TestCase):
    """A data directory that has learned some events."""
    SETTINGS = ()

    @classmethod
    def learn(cls, events):
        cls.folder = tempfile.mkdtemp(prefix="reco-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.data = os.path.join(cls.folder, "data")
        cls.events = events
        path = os.path.join(cls.folder, "events.ndjson")
        with open(path, "w", encoding="utf-8") as out:
            out.write("".join(json.dumps(event) + "\n" for event in events))
        run("reco", "--data", cls.data, *cls.SETTINGS, "import", "--format", "ndjson", path, check=0)


class WhatIf(Learned):
    @classmethod
    def setUpClass(cls):
        cls.learn(make_events(1))

    def ask(self, *arguments, check=0):
        return json.loads(run("reco", "--data", self.data, "whatif", *arguments, "--json", check=check).stdout)

    def test_a_user_now_is_what_recommend_answers(self):
        now = str(self.events[-1]["timestamp"])
        for user in ("u1", "u7", "stranger"):
            told = self.ask(user, "--as-of", now, "-n", "15")
            plain = json.loads(run("reco", "--data", self.data, "recommend", user, "--as-of", now, "-n", "15", "--json", check=0).stdout)
            self.assertEqual(told["plans"][0]["answer"]["items"], plain["items"])
            self.assertEqual(told["events"], sum(event["user_id"] == user for event in self.events))

    def test_a_user_then_knows_nothing_of_later(self):
        moment = self.events[1500]["timestamp"]
        for user in ("u1", "u2", "u3", "u4"):
            told = self.ask(user, "--as-of", str(moment), "-n", "100")
            before = [event for event in self.events if event["user_id"] == user and event["timestamp"] <= moment]
            self.assertEqual(told["events"], len(before))
            shown = told["plans"][0]["answer"]
            seen = {event["item_id"] for event in before if WEIGHTS[event["event_type"]] or event["event_type"] == "dislike"}
            self.assertFalse(seen & set(items(shown)))
            later = {event["item_id"] for event in self.events if event["user_id"] == user and event["timestamp"] > moment} - seen
            self.assertTrue(later & set(items(shown)), "what was taken later was there to be shown")
            because = {reason.get("because") for item in shown["items"] for reason in item["reasons"]} - {None}
            self.assertTrue(because <= seen)

    def test_nothing_is_shown_before_its_first_event(self):
        first = {}
        for event in self.events:
            first.setdefault(event["item_id"], event["timestamp"])
        for number in (0, 1, 40, 200, 600):
            moment = self.events[number]["timestamp"]
            shown = items(self.ask("u1", "--as-of", str(moment), "-n", "100")["plans"][0]["answer"])
            self.assertEqual([item for item in shown if first[item] > moment], [])
            self.assertTrue(shown)
            before = items(self.ask("u1", "--as-of", str(moment - 1), "-n", "100")["plans"][0]["answer"])
            self.assertEqual([item for item in before if first[item] >= moment], [])

    def test_of_when_pairs_are(self):
        newest = self.events[-1]["timestamp"]
        for arguments in (("u1", "--as-of", str(self.events[2000]["timestamp"])), ("--against", "shop", "--moments", "20")):
            self.assertEqual(ms_of(self.ask(*arguments)["pairs_as_of"]), newest)
            text = run("reco", "--data", self.data, "whatif", *arguments, check=0).stdout
            self.assertIn("pairs of items are not those of then: they are what was learned until ", text)
        self.assertNotIn("pairs of items", run("reco", "--data", self.data, "whatif", "u1", "--as-of", str(newest), check=0).stdout)

    def test_popularity_that_is_gone_is_told_of(self):
        """48 hours are kept: two days before the end a window of 24 hours lacks some of them."""
        kept = self.ask("--against", "shop", "--from", str(self.events[-1]["timestamp"] - DAY // 2), "--moments", "20")
        self.assertEqual(kept["popularity_gone"], {"by_hours": [0, 0], "by_days": [0, 0]})
        begin = START + 2 * DAY
        asked = ("--against", "shop", "--from", str(begin), "--to", str(begin + DAY // 4), "--moments", "20")
        self.assertEqual(self.ask(*asked)["popularity_gone"], {"by_hours": [20, 20], "by_days": [0, 0]})
        said = run("reco", "--data", self.data, "whatif", *asked, check=0).stderr
        for plan in ("first", "second"):
            self.assertIn(f"warning: popularity by hours is not what it was in 20 of 20 answers of the {plan} plan: recommend.window_hours", said)
        self.assertNotIn("by days", said)
        one = run("reco", "--data", self.data, "whatif", "u1", "--as-of", str(begin), check=0)
        self.assertIn("warning: popularity by hours is not what it was: recommend.window_hours", one.stderr)
        self.assertEqual(self.ask("u1", "--as-of", str(begin))["popularity_gone"], {"by_hours": [1], "by_days": [0]})

    def test_as_of_elsewhere_is_of_the_user_as_known_now(self):
        """What was touched before and after is touched after: only going back knows of before."""
        moment, told_apart = self.events[2500]["timestamp"], 0
        for user in ("u1", "u2", "u3", "u5"):
            own = [event for event in self.events if event["user_id"] == user and WEIGHTS[event["event_type"]]]
            before, after = ({event["item_id"] for event in own if (event["timestamp"] < moment) == early} for early in (True, False))
            now = run("reco", "--data", self.data, "explain", user, "--as-of", str(moment), "--json", check=0).stdout
            recents = {recent["item_id"] for recent in json.loads(now)["recents"]}
            self.assertTrue(recents <= before - after, user)
            then = self.ask(user, "--as-of", str(moment), "-n", "100")["plans"][0]["answer"]
            because = {reason.get("because") for item in then["items"] for reason in item["reasons"]}
            told_apart += bool(because & before & after)
        self.assertEqual(told_apart, 4)

    def test_the_event_of_the_moment_counts(self):
        """As it does for recommend."""
        for user in ("u1", "u5"):
            own = [event["timestamp"] for event in self.events if event["user_id"] == user]
            for number in (0, 1, len(own) // 2, len(own) - 1):
                self.assertEqual(self.ask(user, "--as-of", str(own[number]))["events"], number + 1)
                self.assertEqual(self.ask(user, "--as-of", str(own[number] - 1))["events"], number)
            last = next(event for event in reversed(self.events) if event["user_id"] == user and WEIGHTS[event["event_type"]])
            for at in (last["timestamp"] - 1, last["timestamp"]):
                told = json.loads(run("reco", "--data", self.data, "explain", user, "--as-of", str(at), "--json", check=0).stdout)
                self.assertEqual(last["item_id"] in {recent["item_id"] for recent in told["recents"]}, at == last["timestamp"])

    def test_two_plans_for_one_user(self):
        for user in ("u1", "u9"):
            told = self.ask(user, "--against", "sessions", "-n", "20")
            a, b = (items(plan["answer"]) for plan in told["plans"])
            self.assertEqual(told["plans"][1]["label"], "preset sessions")
            difference = told["difference"]
            self.assertAlmostEqual(difference["overlap"], overlap(a, b), 5)
            self.assertAlmostEqual(difference["rbo"], rbo(a, b), 5)
            self.assertAlmostEqual(difference["tau"], tau(a, b), 5)
            self.assertEqual(difference["new"], [item for item in b if item not in a])
            self.assertEqual(difference["gone"], [item for item in a if item not in b])
        text = run("reco", "--data", self.data, "whatif", "u1", "--against", "sessions", check=0).stdout
        self.assertIn("only in the second: ", text)

    def test_traffic(self):
        begin, end = START + 2 * DAY, START + 3 * DAY
        counted = [event for event in self.events if begin <= event["timestamp"] < end and WEIGHTS[event["event_type"]]]
        told = self.ask("--against", "shop", "--from", str(begin), "--to", str(end))
        self.assertEqual((told["events"], told["moments"]), (len(counted), len(counted)))
        self.assertEqual(told, self.ask("--against", "shop", "--to", str(end)))
        for name in ("overlap", "rbo", "tau"):
            value = told[name]
            self.assertTrue(value["low"] <= value["mean"] <= value["high"] < 1, (name, value))
        self.assertLess(told["identical"], told["moments"])
        self.assertEqual(len({one["user_id"] for one in told["least_alike"]}), len(told["least_alike"]))
        moments = {(event["user_id"], event["timestamp"]) for event in counted}
        for one in told["least_alike"][:3]:
            single = self.ask(one["user_id"], "--as-of", one["as_of"], "--against", "shop")
            self.assertAlmostEqual(single["difference"]["rbo"], one["rbo"], 5)
            as_of = [at for user, at in moments if user == one["user_id"] and abs(ms_of(one["as_of"]) - (at - 1)) < 1]
            self.assertTrue(as_of, one)
        gains = [places[1] - places[0] for places in (one["places"] for one in told["gainers"])]
        losses = [places[1] - places[0] for places in (one["places"] for one in told["losers"])]
        self.assertEqual(gains, sorted(gains, reverse=True))
        self.assertEqual(losses, sorted(losses))
        self.assertTrue(min(gains) > 0 > max(losses))
        text = run("reco", "--data", self.data, "whatif", "--against", "shop", "--to", str(end), check=0).stdout
        self.assertIn(f"{len(counted)} moments of {len(counted)}", text)
        self.assertIn("gains most", text)

    def test_places_are_those_of_the_answers(self):
        """Few moments, each asked by itself."""
        begin = self.events[-40]["timestamp"]
        told = self.ask("--against", "sessions", "--from", str(begin), "-n", "5")
        counted = [event for event in self.events[-40:] if WEIGHTS[event["event_type"]]]
        self.assertEqual(told["moments"], len(counted))
        places, first, same = {}, 0, 0
        values = {"overlap": [], "rbo": [], "tau": []}
        for event in counted:
            single = self.ask(event["user_id"], "--as-of", str(event["timestamp"] - 1), "--against", "sessions", "-n", "5")
            lists = [items(plan["answer"]) for plan in single["plans"]]
            for side, shown in enumerate(lists):
                for item in shown:
                    places.setdefault(item, [0, 0])[side] += 1
            first += lists[0][:1] == lists[1][:1]
            same += lists[0] == lists[1]
            for name, how in (("overlap", overlap), ("rbo", rbo), ("tau", tau)):
                values[name].append(how(*lists))
        for name, told_of in values.items():
            told_of = [value for value in told_of if value is not None]
            self.assertAlmostEqual(told[name]["mean"], math.fsum(told_of) / len(told_of), 4)
        self.assertEqual((told["same_first"], told["identical"]), (first, same))
        self.assertEqual(told["items"], [sum(of[side] > 0 for of in places.values()) for side in (0, 1)])
        for one in told["gainers"] + told["losers"]:
            self.assertEqual(one["places"], places[one["item_id"]])
        best = max(of[1] - of[0] for of in places.values())
        self.assertEqual(told["gainers"][0]["places"][1] - told["gainers"][0]["places"][0], best)

    def test_the_same_plan_twice(self):
        told = self.ask("--against", "default", "--moments", "50")
        self.assertEqual((told["moments"], told["identical"], told["same_first"]), (50, 50, 50))
        self.assertEqual([told[name]["mean"] for name in ("overlap", "rbo", "tau")], [1, 1, 1])
        self.assertEqual((told["gainers"], told["losers"], told["least_alike"]), ([], [], []))
        path = os.path.join(self.folder, "nothing.yaml")
        with open(path, "w", encoding="utf-8") as out:
            out.write("coview:\n  cut: 100\n")
        done = run("reco", "--data", self.data, "whatif", "u1", "--against", path, "--json", check=0)
        self.assertIn("says nothing else of recommend.*", done.stderr)

    def test_a_file_says_what_differs(self):
        path = os.path.join(self.folder, "plan.yaml")
        with open(path, "w", encoding="utf-8") as out:
            out.write("recommend:\n  weight_popular: 0.5\ncoview:\n  length: 3d\n")
        told = self.ask("--against", path, "--moments", "100")  # what it says of learning does not count
        self.assertEqual(told["plans"][1], path)
        self.assertLess(told["rbo"]["mean"], 1)
        again = self.ask("--against", path, "--moments", "100")
        self.assertEqual(told, again)
        self.assertNotEqual(told, self.ask("--against", path, "--moments", "100", "--seed", "5"))

    def test_nothing_is_changed(self):
        before = run("reco", "--data", self.data, "verify", check=0).stdout
        self.ask("--against", "shop", "--moments", "100")
        self.assertEqual(before, run("reco", "--data", self.data, "verify", check=0).stdout)

    def test_a_bare_name_is_a_preset(self):
        """Whatever stands in the working directory."""
        os.mkdir(os.path.join(self.folder, "shop"))
        with open(os.path.join(self.folder, "mine"), "w", encoding="utf-8") as out:
            out.write("recommend:\n  weight_popular: 0.5\n")
        asked = ("reco", "--data", self.data, "whatif", "u1", "--json", "--against")
        self.assertEqual(json.loads(run(*asked, "shop", cwd=self.folder, check=0).stdout)["plans"][1]["label"], "preset shop")
        self.assertIn("(--against)", run(*asked, "mine", cwd=self.folder, check=2).stderr)
        self.assertEqual(json.loads(run(*asked, "./mine", cwd=self.folder, check=0).stdout)["plans"][1]["label"], "./mine")

    def test_no_data_is_not_made(self):
        empty = os.path.join(self.folder, "empty")
        os.mkdir(empty)
        for arguments in (("whatif", "u1"), ("recommend", "u1"), ("whatif", "--against", "shop")):
            self.assertIn("there is no data in", run("reco", "--data", empty, *arguments, check=1).stderr)
        self.assertEqual(os.listdir(empty), [])

    def test_refusals(self):
        for arguments, words in (([], "(--against)"), (["--against", "nope"], "(--against)"), (["u1", "--from", "1"], "(--from)"),
                                 (["u1", "--moments", "5"], "(--moments)"), (["--against", "shop", "--as-of", "1"], "(--as-of)"),
                                 (["u1", "-n", "101"], "(--limit)"), (["--against", "shop", "--from", "2000", "--to", "1000"], "(--to)"),
                                 (["--against", "shop", "--from", "1000", "--to", "2000"], "(--from)"), (["u" * 300], "(user_id)"),
                                 (["u1", "--as-of", "0"], "as-of"), (["--against", "shop", "--from", "0"], "from"),
                                 (["--against", "./nope"], "(--against)"), (["--against", "nope.yaml"], "(--against)")):
            done = run("reco", "--data", self.data, "whatif", *arguments)
            self.assertIn(done.returncode, (1, 2), arguments)
            self.assertIn(words, done.stderr, arguments)
            self.assertEqual(done.stdout, "", arguments)


class Trimmed(Learned):
    """A stream that lost its first half, beside the same one that did not. Every day some items come up, and go with old ones from then on."""
    CUT = START + 5 * DAY // 2

    @classmethod
    def setUpClass(cls):
        events, chance = make_events(3), random.Random(4)
        for day in range(5):
            for number in range(200):
                at = START + day * DAY + DAY * 7 // 10 + number * 60_000
                user, fresh = f"u{chance.randrange(60)}", f"i{1000 + 10 * day + number % 4}"
                events.append({"user_id": user, "item_id": fresh, "event_type": "view", "timestamp": at, "event_id": f"n{day}-{number}"})
        cls.learn(sorted(events, key=lambda event: event["timestamp"]))
        cls.first = {}
        for event in cls.events:
            cls.first.setdefault(event["item_id"], event["timestamp"])
        cls.cut = os.path.join(cls.folder, "cut")
        shutil.copytree(cls.data, cls.cut)
        shelf = os.path.join(cls.folder, "snapshots")
        os.mkdir(shelf)
        settings = (*cls.SETTINGS, "-s", "snapshots.folder=" + shelf)
        processor = Service("reco-processor", cls.cut, *settings, "-s", "snapshots.every=1")
        try:
            wait_for(lambda: any(name.endswith(".snapshot") for name in os.listdir(shelf)), "a snapshot")
            processor.stop()
        finally:
            processor.end()
        keep = f"{int(time.time()) - cls.CUT // 1000}s"
        told = run("reco", "--data", cls.cut, *settings, "trim", "--keep-for", keep, "--json", check=0)
        cls.gone = json.loads(told.stdout)["records"]

    def ask(self, data, user, moment):
        done = run("reco", "--data", data, *self.SETTINGS, "whatif", user, "--as-of", str(moment), "-n", "100", "--json", check=0)
        return json.loads(done.stdout), done.stderr

    def later(self, shown, moment):
        return [item for item in shown if self.first[item] > moment]


class TrimmedAsUsual(Trimmed):
    def test_a_stranger_is_shown_the_same(self):
        """Sums are the same: and so are answers, before the cut and behind it."""
        self.assertGreater(self.gone, len(self.events) // 3)
        for moment in (self.CUT - DAY, self.CUT - 60_000, self.CUT + 60_000, self.CUT + 600_000, self.CUT + DAY // 3, self.CUT + 2 * DAY):
            whole, cut = (items(self.ask(data, "nobody", moment)[0]["plans"][0]["answer"]) for data in (self.data, self.cut))
            self.assertGreater(len(whole), 50)
            self.assertEqual(cut, whole, moment - self.CUT)

    def test_new_items_are_not_shown_where_they_can_be_told(self):
        leaks = 0
        for moment in (self.CUT + DAY // 10, self.CUT + DAY, self.CUT + 2 * DAY):
            for user in ("u1", "u2", "u3", "u4"):
                self.assertEqual(self.later(items(self.ask(self.cut, user, moment)[0]["plans"][0]["answer"]), moment), [])
                now = run("reco", "--data", self.cut, "recommend", user, "--as-of", str(moment), "-n", "100", "--json", check=0).stdout
                leaks += len(self.later(items(json.loads(now)), moment))
        self.assertGreater(leaks, 0, "nothing to leave out")

    def test_it_is_told_of(self):
        for data, known in ((self.data, True), (self.cut, False)):
            told, said = self.ask(data, "u1", self.CUT + DAY)
            self.assertEqual(told["new_items_known"], known)
            self.assertEqual(told["missing"], 0 if known else self.gone)
            self.assertEqual("new can be told from older ones" in said, not known)


class TrimmedAndForgotten(Trimmed):
    """So few days are kept that they prove nothing of the time before the cut: everything was there."""
    SETTINGS = ("-s", "popularity.days_kept=3", "-s", "recommend.window_days=3d")

    def test_all_items_count_as_there(self):
        shown = set()
        for user in ("u1", "u2", "u3", "u4"):
            shown |= set(self.later(items(self.ask(self.cut, user, self.CUT + DAY // 10)[0]["plans"][0]["answer"]), self.CUT + DAY // 10))
        self.assertTrue(shown)
        self.assertEqual(self.later(items(self.ask(self.data, "u1", self.CUT)[0]["plans"][0]["answer"]), self.CUT), [])


class NoAnswer(Learned):
    """People who have seen all there is have no answer, and two answers without an item agree in nothing."""

    @classmethod
    def setUpClass(cls):
        told = [("ann", "a"), ("ann", "b"), ("ben", "a"), ("ann", "c"), ("ann", "a"), ("ben", "b"), ("ann", "b"), ("cleo", "a")]
        cls.learn([{"user_id": user, "item_id": item, "event_type": "view", "timestamp": START + number * 1000, "event_id": f"e{number}"}
                   for number, (user, item) in enumerate(told)])
        for name, line in (("all", "filter_seen: no"), ("other", "weight_popular: 0.7")):
            with open(os.path.join(cls.folder, name), "w", encoding="utf-8") as out:
                out.write(f"recommend:\n  {line}\n")

    def whatif(self, *arguments):
        return run("reco", "--data", self.data, "whatif", *arguments, check=0).stdout

    def each(self, plan):
        """The answers of every moment, asked one by one."""
        for event in self.events:
            one = json.loads(self.whatif(event["user_id"], "--as-of", str(event["timestamp"] - 1), "--against", plan, "--json"))
            yield one, [items(of["answer"]) for of in one["plans"]]

    def check(self, plan):
        told = json.loads(self.whatif("--against", plan, "--from", str(START), "--json"))
        lists = [pair for one, pair in self.each(plan)]
        compared = [pair for pair in lists if pair[0] or pair[1]]
        self.assertEqual((told["moments"], told["compared"]), (len(lists), len(compared)))
        self.assertEqual(told["unanswered"], {"both": len(lists) - len(compared), "first": sum(not a for a, b in compared),
                                              "second": sum(not b for a, b in compared)})
        for name, how in (("overlap", overlap), ("rbo", rbo)):
            self.assertAlmostEqual(told[name]["mean"], sum(how(*pair) for pair in compared) / len(compared), 5)
        self.assertEqual(told["identical"], sum(a == b for a, b in compared))
        self.assertEqual(told["same_first"], sum(a[:1] == b[:1] for a, b in compared))
        return told

    def test_moments_that_nobody_answers_are_not_agreement(self):
        told = self.check(os.path.join(self.folder, "other"))
        self.assertTrue(told["unanswered"]["both"] and told["compared"], told["unanswered"])
        text = self.whatif("--against", os.path.join(self.folder, "other"), "--from", str(START))
        self.assertIn(f"no answer: by both in {told['unanswered']['both']}, which are left out below;", text)

    def test_moments_that_one_plan_answers(self):
        plan = os.path.join(self.folder, "all")
        told = self.check(plan)
        self.assertTrue(told["unanswered"]["first"], told["unanswered"])
        self.assertEqual(told["unanswered"]["second"], 0)
        at = [one["as_of"] for one, (a, b) in self.each(plan) if not a and b][0]
        text = self.whatif("ann", "--as-of", at, "--against", plan)
        self.assertIn("only the second plan has an answer\noverlap 0.00", text)
        self.assertIn("only in the first: nothing\n", text)

    def test_a_moment_that_nobody_answers(self):
        plan = os.path.join(self.folder, "other")
        at = [one["as_of"] for one, (a, b) in self.each(plan) if not a and not b][-1]
        one = json.loads(self.whatif("ann", "--as-of", at, "--against", plan, "--json"))
        self.assertEqual(one["difference"], {"overlap": None, "rbo": None, "tau": None, "new": [], "gone": []})
        text = self.whatif("ann", "--as-of", at, "--against", plan)
        self.assertIn("neither plan has an answer", text)
        for word in ("overlap", "popular items", "rank", "only in"):
            self.assertNotIn(word, text)
        traffic = ("--against", plan, "--from", str(ms_of(at) + 1), "--to", str(ms_of(at) + 2))  # nothing else: there are no means
        told = json.loads(self.whatif(*traffic, "--json"))
        self.assertEqual((told["moments"], told["compared"], told["overlap"], told["tau"]), (1, 0, None, None))
        self.assertNotIn("overlap", self.whatif(*traffic))


if __name__ == "__main__":
    unittest.main(verbosity=2)
