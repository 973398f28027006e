"""The command line: exit codes, JSON shapes, errors on one line."""
import fcntl
import json
import os
import re
import shutil
import subprocess
import unittest

from http_support import BIN, WithData, environment, run, wait_for
from servers import die_with_the_test

COMMANDS = ("serve", "import", "ingest", "session", "rank", "similar", "batch", "items", "users", "user", "recommend", "popular",
            "item", "verify", "stats", "snapshot", "generate", "backup", "restore", "doctor", "trim", "export", "replay",
            "settings", "completion", "explain", "why-not", "evaluate", "whatif", "bench", "top")


def one_line(text):
    return text.startswith("reco: ") and text.count("\n") == 1


class Line(WithData):
    def test_help(self):
        text = run("reco", "--help", check=0).stdout
        for command in COMMANDS:
            self.assertIn(f"\n  {command}", text)
            told = run("reco", command, "--help", check=0).stdout
            self.assertIn(f"usage: reco [options] {command}", told)
            letters = re.findall(r"^ +-(\w), --", told, re.M)
            self.assertEqual(len(letters), len(set(letters)), (command, letters))
            self.assertIn("usage", run("reco", "--help", command, check=0).stdout)
        self.assertIn("usage", run("reco", check=2).stderr)
        for program in ("reco-ingest", "reco-processor", "reco-api"):
            self.assertIn("Exit codes", run(program, "--help", check=0).stdout)

    def test_version(self):
        self.assertRegex(run("reco", "--version", check=0).stdout, r"^reco .*\d+\.\d+\.\d+")
        self.assertRegex(run("reco-api", "--version", check=0).stdout, r"^reco-api .*\d+\.\d+\.\d+")

    def test_wrong_lines(self):
        for line in (["nonsense"], ["--nonsense"], ["stats", "--nonsense"], ["recommend"], ["recommend", "a", "b"],
                     ["recommend", "u", "--limit", "x"],
                     ["recommend", "u", "--limit"], ["recommend", "u", "--limit", "-1"], ["recommend", "u", "--limit", "0"],
                     ["stats", "--json=yes"], ["import", "--format", "csv"],
                     ["import", "x"],
                     ["popular", "--window", "3 moons"], ["popular", "--window", "0"], ["top", "-i", "0"], ["trim", "--keep-for", "0s"],
                     ["generate", "-n", "0"], ["generate", "--items", "0"], ["generate", "--duration", "0"], ["generate", "--zipf", "0"], ["popular", "--as-of", "2026-01-01"], ["generate", "--late", "1.5"],
                     ["generate", "--format", "xml"],
                     ["stats", "--set", "no.such.setting=1"], ["stats", "--set", "partitions"], ["stats", "--set", "partitions=zero"]):
            done = run("reco", "--data", self.data, *line)
            self.assertEqual(done.returncode, 2, (line, done.stderr))
            self.assertTrue(one_line(done.stderr), (line, done.stderr))
            self.assertEqual(done.stdout, "")

    def test_environment(self):
        done = run("reco", "stats", "--data", self.data, env=environment(RECO_NO_SUCH="1"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("RECO_NO_SUCH", done.stderr)
        run("reco", "ingest", "/dev/null", env=environment(RECO_DATA=self.data), check=0)
        self.assertTrue(os.path.isdir(self.data))
        run("reco", "stats", "--json", env=environment(RECO_DATA=self.data), check=0)

    def test_a_data_directory_that_is_missing(self):
        backup, into = os.path.join(self.folder, "backup"), os.path.join(self.folder, "into")
        for line in (["recommend", "u"], ["popular"], ["session", "i"], ["rank", "u", "i"], ["similar", "i"], ["batch", "/dev/null"], ["explain", "u"], ["why-not", "u", "i"],
                     ["whatif", "u"], ["whatif", "--against", "shop"], ["item", "i"], ["user", "u"], ["item", "i", "--delete"], ["user", "u", "--delete"], ["verify"], ["stats"],
                     ["snapshot", backup], ["backup", backup], ["archive", "--once"], ["trim", "--keep-for", "1d"], ["export", "-"],
                     ["bench", "--in-process", "--duration", "1s"]):
            done = run("reco", "--data", self.data, *line)
            with self.subTest(line):
                self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
                self.assertTrue(one_line(done.stderr), done.stderr)
                self.assertIn(f"there is no directory {self.data}; --data names", done.stderr)
                self.assertEqual(os.listdir(self.folder), [])
        for line in (["ingest", "/dev/null"], ["items", "/dev/null"], ["user", "u", "--alias", "a"], ["item", "i", "--patch", "/dev/null"]):
            run("reco", "--data", self.data, *line)
            self.assertTrue(os.path.isdir(self.data), line)
            shutil.rmtree(self.data)
        run("reco", "--data", "memory:", "popular", check=0)
        urls = [word for store in ("stream", "features", "records") for word in ("--set", f"{store}=lmdb:{into}")]
        run("reco", "--data", self.data, *urls, "stats", check=0)
        self.assertFalse(os.path.exists(self.data))

    def test_failures(self):
        missing = run("reco", "--data", self.data, "item", "none")
        self.assertEqual(missing.returncode, 1)
        self.assertTrue(one_line(missing.stderr), missing.stderr)
        self.assertEqual(run("reco", "--data", self.data, "import", "--format", "csv", self.folder + "/none.csv").returncode, 1)
        self.assertEqual(run("reco", "--config", self.folder + "/none.yaml", "stats").returncode, 1)
        with open("/dev/full", "w") as full:
            done = subprocess.run([os.path.join(BIN, "reco"), "generate", "--events", "100000"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, env=environment())
        self.assertEqual(done.returncode, 1)
        self.assertTrue(one_line(done.stderr), done.stderr)


class Work(WithData):
    def reco(self, *arguments, check=0, stdin=None):
        return run("reco", "--data", self.data, *arguments, check=check, stdin=stdin)

    def json(self, *arguments, check=0, stdin=None):
        return json.loads(self.reco(*arguments, "--json", check=check, stdin=stdin).stdout)

    def import_small(self):
        path = os.path.join(self.folder, "history.csv")
        rows = ["user_id,item_id,event_type,timestamp,value"]
        for user in range(20):
            for step, item in enumerate(("tea", "cup", "pot", f"own{user}")):
                rows.append(f"u{user},{item},view,{1767225600000 + user * 60000 + step * 1000},")
        with open(path, "w") as file:
            file.write("\n".join(rows) + "\n")
        return path

    def test_import_recommend_verify(self):
        path = self.import_small()
        result = self.json("import", "--format", "csv", "--shift-time", path)
        self.assertEqual((result["events"], result["rejected"], result["already"]), (80, 0, False))
        answer = self.json("recommend", "u0", "--limit", "3")
        self.assertEqual(set(answer) >= {"recommendation_id", "scenario", "fallback", "position", "items"}, True, answer)
        self.assertLessEqual(len(answer["items"]), 3)
        for item in answer["items"]:
            self.assertEqual(sum(reason["score"] for reason in item["reasons"]), item["score"])
        verified = self.json("verify")
        self.assertTrue(verified["equal"])
        self.assertEqual(verified["events"], 80)
        self.assertEqual(verified["hash"], verified["replayed"])
        self.assertRegex(verified["hash"], r"^[0-9a-f]{32}$")
        self.assertEqual(self.json("popular", "--window", "24h", "--limit", "1")["items"][0]["rank"], 1)
        again = run("reco", "import", "--format", "csv", "--shift-time", path, "--json", "--data", self.data, check=0)
        self.assertTrue(json.loads(again.stdout)["already"])

    def test_progress(self):
        """On a terminal, or when asked; on stderr, one line a part, and nothing of it in the result."""
        path = self.import_small()
        quiet = self.reco("import", "--format", "csv", "--shift-time", path, "--json")
        self.assertEqual(quiet.stderr, "")
        told = self.reco("verify", "--json", "--progress")
        self.assertTrue(json.loads(told.stdout)["equal"])
        lines = told.stderr.splitlines()
        self.assertTrue(any(re.match(r"replaying \[#{20}\] 100 %  (\d+) of \1 records", line) for line in lines), lines)
        self.assertTrue(any(line.startswith("comparing [####################] 100 %  23 of 23 items") for line in lines), lines)
        self.assertNotIn("\r", told.stderr)
        self.assertIn("appending", self.reco("import", "--format", "csv", "--progress", "--data", self.folder + "/other", path).stderr)
        self.assertEqual(self.reco("snapshot", "--progress", self.folder + "/none/such", check=1).stderr.count("\n"), 1)
        control, terminal = os.openpty()
        done = subprocess.run([os.path.join(BIN, "reco"), "verify", "--json", "--data", self.data], stdout=subprocess.PIPE, stderr=terminal,
                              text=True, env=environment())
        os.close(terminal)
        drawn = os.read(control, 65536).decode()
        os.close(control)
        self.assertTrue(json.loads(done.stdout)["equal"])
        self.assertTrue(drawn.startswith("\rreplaying [") and drawn.endswith("\n"), drawn)

    def test_progress_of_lines(self):
        events = "".join(f'{{"user_id":"u{at}","item_id":"i","event_type":"view"}}\n' for at in range(1200))
        told = self.reco("ingest", "-", "--progress", stdin=events + "{\n", check=1)
        self.assertIn("\ningesting  1,201 lines", told.stderr)
        self.assertIn("100 %  1,200 of 1,200 records", told.stderr)
        self.assertIn("reco: line 1201: ", told.stderr)
        self.assertEqual(self.reco("ingest", "-", stdin=events).stderr, "")
        told = self.reco("batch", "-", "--progress", stdin='{"user_id":"u1"}\n\n{"user_id":"u2"}\n')
        self.assertEqual((told.stdout.count("\n"), told.stderr), (2, "answering  3 lines\n"))
        told = self.reco("generate", "-n", "2500", "--progress")
        self.assertEqual((told.stdout.count("\n"), told.stderr.splitlines()[-1].split("  ")[:2]), (2500, ["generating [####################] 100 %", "2,500 of 2,500 events"]))
        for line, drawn in ((["generate", "-n", "2500"], True), (["batch", "-"], True), (["batch", "-"], False)):  # answers would stand in the same line
            control, terminal = os.openpty()
            subprocess.run([os.path.join(BIN, "reco"), "--data", self.data, *line], input=b'{"user_id":"u1"}\n', stdout=subprocess.DEVNULL if drawn else terminal,
                           stderr=terminal, env=environment(), timeout=60, check=True)
            os.close(terminal)
            self.assertEqual(os.read(control, 65536).startswith(b"\r"), drawn, line)
            os.close(control)

    def test_tables_for_people(self):
        self.reco("import", "--format", "csv", "--shift-time", self.import_small())
        self.reco("items", "-", stdin='[{"item_id":"own1","title":"Grüner Tee"}]')
        table = self.reco("recommend", "u0").stdout
        self.assertIn("rank", table)
        self.assertIn("Grüner Tee", table)
        self.assertIn("equal", self.reco("verify").stdout)
        self.assertIn("Grüner Tee", self.reco("item", "own1").stdout)
        self.assertTrue(self.reco("stats").stdout)

    def test_questions(self):
        lines = "".join(json.dumps({"user_id": user, "item_id": item, "event_type": "view"}) + "\n"
                        for user, items in (("u1", "ab"), ("u2", "ab"), ("u3", "ac"), ("u4", "p"), ("u5", "a")) for item in items)
        run("reco", "--data", self.data, "ingest", "-", stdin=lines, check=0)

        def items(*line):
            return [one["item_id"] for one in json.loads(run("reco", "--data", self.data, *line, "--json", check=0).stdout)["items"]]

        self.assertEqual(items("similar", "a"), ["b", "c"])
        self.assertEqual(items("similar", "a", "b", "--limit", "1"), ["c"])
        self.assertEqual(items("session", "a")[:2], ["b", "c"])
        self.assertNotIn("b", items("session", "a", "b"))
        self.assertEqual(items("rank", "u5", "new", "c", "b"), ["b", "c", "new"])
        self.assertIn("because of", run("reco", "--data", self.data, "rank", "u5", "b", check=0).stdout)
        self.assertEqual(run("reco", "--data", self.data, "similar", "nobody").returncode, 1)
        self.assertIn("items[1]", run("reco", "--data", self.data, "rank", "u5", "b", "b").stderr)
        done = run("reco", "--data", self.data, "batch", "-", stdin='{"user_id":"u5"}\n\n{"user_id":7}\n{"session":["a"],"limit":1}\n')
        self.assertEqual(done.returncode, 1)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([len(one.get("items", "-")) > 0 and one.get("status", 200) for one in answers], [200, 400, 200])
        self.assertEqual(run("reco", "--data", self.data, "batch", "-", stdin='{"user_id":"u5"}\n', check=0).stderr, "")
        self.assertEqual(run("reco", "--data", self.data, "batch", self.folder + "/none").returncode, 1)

    def test_users(self):
        self.assertEqual(self.json("users", "-", stdin='{"user_id":"u1","segment":"new","city":"Graz"}\n{"user_id":"u2"}\n'), {"users": 2})
        self.assertIn("new", self.reco("user", "u1").stdout)
        self.assertEqual(self.json("user", "u1", "--delete"), {"user_id": "u1", "segment": "new", "attributes": {"city": "Graz"}})
        self.assertIn("user_id", self.reco("user", "u1", check=1).stderr)
        self.assertIn("segment", self.reco("users", "-", stdin='[{"user_id":"u3","segment":[]}]', check=2).stderr)

    def test_a_part_is_changed(self):
        self.reco("items", "-", stdin='[{"item_id":"shirt-m","title":"M","price":9.9}]')
        self.assertEqual(self.json("item", "shirt-m", "--patch", "-", stdin='{"title":null,"parent":"shirt","colour":"red"}'),
                         {"item_id": "shirt-m", "parent": "shirt", "attributes": {"price": 9.9, "colour": "red"}})
        self.assertIn("shirt", self.reco("item", "shirt-m").stdout)
        self.assertIn("title", self.reco("item", "shirt-m", "--patch", "-", stdin='{"title":7}', check=2).stderr)
        self.assertIn("user_id", self.reco("user", "u1", "--patch", "-", stdin="{}", check=1).stderr)
        self.assertEqual(self.json("user", "u9", "--alias", "visitor"), {"user_id": "u9", "aliases": ["visitor"]})
        self.assertIn("anonymous_id", self.reco("user", "u9", "--alias", "u9", check=2).stderr)
        self.assertIn("--patch", self.reco("user", "u9", "--alias", "a", "--patch", "-", stdin="{}", check=2).stderr)
        self.assertIn("--patch", self.reco("item", "shirt-m", "--patch", "-", "--delete", stdin="{}", check=2).stderr)

    def test_ingest_lines(self):
        lines = '{"user_id":"u","item_id":"a","event_type":"view"}\n{"user_id":"u","item_id":"","event_type":"view"}\n'
        done = self.reco("ingest", "-", "--json", stdin=lines, check=1)
        self.assertEqual(json.loads(done.stdout), {"accepted": 1, "rejected": 1})
        self.assertIn("line 2", done.stderr)
        self.assertEqual([item["item_id"] for item in self.json("popular")["items"]], ["a"])
        self.reco("ingest", "-", stdin="nonsense\n", check=2)

    def test_selections(self):
        self.reco("items", "-", stdin="\n".join(json.dumps({"item_id": f"s{i}", "brand": "ab"[i % 2], "price": i}) for i in range(6)))
        self.reco("ingest", "-", stdin="\n".join(json.dumps({"user_id": f"u{k}", "item_id": f"s{i}", "event_type": "view"})
                                                for i in range(6) for k in range(9 - i)))

        def popular(*options):
            return [item["item_id"] for item in self.json("popular", *options)["items"]]

        self.assertEqual(popular(), [f"s{i}" for i in range(6)])
        self.assertEqual(popular("--filter", '{"price":{"gte":2},"brand":"a"}'), ["s2", "s4"])
        self.assertEqual(popular("-x", "s0", "--exclude", "s3", "--cap", "brand=1"), ["s1", "s2"])
        first = self.json("recommend", "nobody", "--limit", "4")
        self.assertEqual([item["item_id"] for item in self.json("recommend", "nobody", "--cursor", first["next"])["items"]], ["s4", "s5"])
        self.assertEqual([item["item_id"] for item in self.json("rank", "nobody", "s5", "s4", "s3", "--exclude", "s4")["items"]], ["s3", "s5"])
        for option, value in (("--filter", "{"), ("--filter", '{"a":[]}'), ("--cap", "brand"), ("--cap", "brand=0"), ("--cap", "=1"), ("--cursor", "x")):
            self.assertIn(option.strip("-"), self.reco("popular", option, value, check=2).stderr)

    def test_why(self):
        self.reco("import", "--format", "csv", "--shift-time", self.import_small())
        answer = self.json("recommend", "u0", "--limit", "2", "--seed", "7")
        longer = self.json("recommend", "u0", "--limit", "20")["items"]
        third = longer[2]
        told = self.json("explain", "u0", "--limit", "2", "--seed", "7", "--item", third["item_id"], "-i", answer["items"][0]["item_id"], "-i", "nothing")
        for one in (told["answer"], answer):
            one.pop("recommendation_id")
        self.assertEqual(told["answer"], answer)
        below, listed, unknown = told["items"]
        self.assertEqual((below["verdict"], below["rank"], below["score"]), ("below_cut", 3, third["score"]))
        self.assertEqual((listed["verdict"], listed["rank"], unknown["verdict"]), ("listed", 1, "unknown"))
        seen = told["recents"][0]["item_id"]
        why = self.json("why-not", "u0", seen)
        self.assertEqual(why["items"][0]["stage"], "seen")
        self.assertTrue(all(stage["microseconds"] >= 0 for stage in why["stages"]))
        words = self.reco("why-not", "u0", seen, third["item_id"], "nothing", "--limit", "2").stdout
        self.assertIn(f"{seen}: dropped by seen: the user has seen it", words)
        self.assertIn(f"{third['item_id']}: below the cut, rank 3, score", words)
        self.assertIn("nothing: unknown: no event has it", words)
        self.assertEqual([line.split()[0] for line in words.split("microseconds")[1].splitlines()[1:]], [stage["stage"] for stage in why["stages"]] + ["all"])
        table = self.reco("explain", "u0", "--item", seen).stdout
        for word in ("u0: last seen", "recent items", "rank", "coview", "microseconds", "dropped by seen"):
            self.assertIn(word, table)
        self.assertIn("nobody: nothing is known", self.reco("explain", "nobody").stdout)
        self.assertIn("items[1]", self.reco("why-not", "u0", seen, seen, check=2).stderr)
        many = [f"i{at}" for at in range(101)]
        self.assertEqual(len(self.json("why-not", "u0", *many[:100])["items"]), 100)
        self.assertEqual(len(self.json("explain", "u0", *(word for one in many[:100] for word in ("-i", one)))["items"]), 100)
        self.assertIn("at most 100 of ITEM..., not 101", self.reco("why-not", "u0", *many, check=2).stderr)
        refused = self.reco("explain", "u0", *(word for one in many for word in ("-i", one)), check=1)
        self.assertIn("100", refused.stderr)
        self.assertIn("at most 100 of ITEM...", self.reco("similar", *many, check=2).stderr)
        self.assertIn("--cap", self.reco("explain", "u0", "--cap", "x", check=2).stderr)

    def test_what_explains_adds_up(self):
        """A table says of every step what it left: each is what the step before had, with what was added, without what was dropped."""
        lines = [{"user_id": f"v{at}", "item_id": item, "event_type": "view"} for at in range(8) for item in [f"i{number}" for number in range(40)] + [f"j{at}"]]
        lines += [{"user_id": "u", "item_id": f"i{number}", "event_type": "view"} for number in range(12)]
        self.reco("ingest", "-", stdin="".join(json.dumps(line) + "\n" for line in lines))
        self.reco("items", "-", stdin="".join(json.dumps({"item_id": f"i{number}", "attributes": {"brand": "a"}}) + "\n" for number in range(40)))
        for more in ([], ["--filter", '{"brand":"nosuch"}', "--item", "i20"], ["--exclude", "i20"]):
            line = ["explain", "u", "--limit", "2", "--as-of", "2026-11-23T00:00:00Z", *more]
            told, left = self.json(*line), 0
            for stage in told["stages"]:
                self.assertEqual(stage["candidates"], left + stage["added"] - stage["dropped"], (more, stage))
                left = stage["candidates"]
            self.assertEqual(any(stage["stage"] == "selection" and stage["dropped"] > 9 for stage in told["stages"]), "--filter" in more)
            table = self.reco(*line).stdout
            rows = re.findall(r"^(\w+)  +(?:source|filter|ranker|arranger)? +[\d.]+(?: +(\d+) +(\d+) +(\d+))?$", table.split("microseconds")[1], re.M)
            self.assertEqual([row[0] for row in rows], [stage["stage"] for stage in told["stages"]] + ["all"])
            for row, stage in zip(rows, told["stages"]):
                counts = [stage[name] for name in ("added", "dropped", "candidates")]
                self.assertEqual([int(word or 0) for word in row[1:]], counts, (more, row))
        empty = self.reco("explain", "u", "--filter", '{"brand":"nosuch"}').stdout
        self.assertIn("nothing that goes with the recent items is left\n", empty)
        self.assertNotIn("nothing personal", empty)
        self.assertIn("there is nothing personal to go by: popular items", self.reco("explain", "nobody").stdout)
        answer = self.json("recommend", "u", "--limit", "1")["items"][0]
        self.assertGreater(len(answer["reasons"]), 3)
        row = re.search(r"^ +1  \S+ +([\d.]+)  (.*)$", self.reco("recommend", "u", "--limit", "1").stdout, re.M)
        self.assertRegex(row[2], r", \+ \d+ more(?: and others)? [\d.]+$")
        self.assertAlmostEqual(sum(float(part.split()[-1]) for part in row[2].split(", ")), float(row[1]), delta=0.0025)

    def test_nothing_forges_a_line(self):
        """Ids and titles come from elsewhere: what a terminal obeys does not reach it, in no command for people; JSON has it as it is."""
        evil = "\x1b[2J\nforged: 1\r\x07\x9b31m\u202egnp\u2066\u2028\x7f\ttea"
        user, item = "u" + evil, "i" + evil
        events = [{"user_id": who, "item_id": what, "event_type": "view"} for who in (user, "b", "c") for what in (item, "pot", "cup")][1:]
        events += [{"user_id": user, "item_id": "hidden" + evil, "event_type": "dislike"}]
        self.reco("ingest", "-", stdin="".join(json.dumps(one) + "\n" for one in events))
        self.reco("items", "-", stdin="".join(json.dumps({"item_id": name, "title": "title " + evil, "attributes": {"k": evil}}) + "\n" for name in (item, "pot")))
        lines = (["recommend", user], ["recommend", "b"], ["popular"], ["similar", "pot"], ["session", "pot"], ["rank", user, "pot", item], ["explain", user, "-i", item, "-i", "pot"],
                 ["why-not", user, item, "pot", "hidden" + evil, "no" + evil], ["whatif", user], ["item", item], ["stats"], ["doctor"], ["user", user], ["explain", user, "-i", "", "--cap", evil])
        shown = 0
        for line in lines:
            done = run("reco", "--data", self.data, *line)
            for text in (done.stdout, done.stderr):
                self.assertIsNone(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|^forged", text, re.M), (line, text))
                shown += text.count("?[2J?forged: 1???31m?gnp????tea")
        self.assertGreater(shown, 15)
        self.assertIn(item, [one["item_id"] for one in self.json("popular")["items"]])

    def test_snapshot(self):
        self.reco("import", "--format", "csv", "--shift-time", self.import_small())
        path = os.path.join(self.folder, "snapshot")
        made = self.json("snapshot", path)
        self.assertEqual(made["hash"], self.json("verify")["hash"])
        self.assertTrue(self.json("verify", "--from", path)["equal"])
        self.assertTrue(one_line(self.reco("snapshot", path, check=1).stderr))
        self.assertIn("/nonexistent/x", self.reco("snapshot", "/nonexistent/x", check=1).stderr)
        self.assertIsInstance(self.json("stats"), dict)

    def test_backup(self):
        self.reco("import", "--format", "csv", "--shift-time", self.import_small())
        path, new = os.path.join(self.folder, "backup"), os.path.join(self.folder, "new")
        made = self.json("backup", path)
        self.assertEqual(made["hash"], self.json("verify")["hash"])
        self.assertEqual((made["namespace"], made["namespaces"], made["unlearned"]), ("default", 1, 0))
        self.assertEqual(made["bytes"], os.path.getsize(path))
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertTrue(one_line(self.reco("backup", path, check=1).stderr))
        self.assertEqual(json.loads(run("reco", "restore", path, "--check", "--json", check=0).stdout), made)
        told = run("reco", "restore", path, "--data", new, "--progress", check=0)
        self.assertIn("restored", told.stdout)
        self.assertIn("checking [####################] 100 %", told.stderr)
        verified = json.loads(run("reco", "verify", "--data", new, "--json", check=0).stdout)
        self.assertEqual((verified["equal"], verified["hash"]), (True, made["hash"]))
        self.assertIn("not empty", run("reco", "restore", path, "--data", new, check=1).stderr)
        with open(path, "r+b") as file:
            file.truncate(made["bytes"] - 1)
        cut = run("reco", "restore", path, "--data", new + "er", check=1)
        self.assertTrue(one_line(cut.stderr), cut.stderr)
        self.assertFalse(os.path.exists(new + "er"))
        left = [os.path.join(self.folder, name) for name in ("default-20260101T000000Z.recobackup.partial", "default-20260101T000001Z.recobackup.partial",
                                                             "other-20260101T000000Z.recobackup.partial", "default-2026.recobackup.partial")]
        files = [open(name, "wb") for name in left]
        fcntl.flock(files[1], fcntl.LOCK_EX)  # one that is at work
        told = self.reco("backup", self.folder)
        self.assertEqual([os.path.exists(name) for name in left], [False, True, True, True])
        self.assertIn("removed " + left[0], told.stderr)
        for file in files:
            file.close()
        self.assertEqual([name for name in os.listdir(self.folder) if re.match(r"default-\d{8}T\d{6}Z\.recobackup$", name)][1:], [])

    def test_doctor(self):
        self.assertIn("does not exist", self.reco("doctor").stdout)
        self.reco("import", "--format", "csv", "--shift-time", self.import_small())
        self.assertEqual(self.reco("doctor").stdout, "nothing is wrong\n")
        self.assertEqual(self.json("doctor"), {"worst": "fine", "findings": []})
        self.assertEqual(self.json("doctor", "--set", "namespace=none", check=3)["findings"][0]["id"], "no_namespace")
        wrong = self.json("doctor", "--set", "partitions=7", check=4)
        self.assertEqual(wrong["worst"], "error")
        self.assertEqual(set(wrong["findings"][0]), {"severity", "id", "text", "advice"})
        with open(os.path.join(self.data, "stream", "data.mdb"), "r+b") as file:
            file.truncate(10000)
        self.assertIn("restore a backup", self.reco("doctor", check=4).stdout)

    def test_trim(self):
        self.reco("import", "--format", "csv", "--shift-time", self.import_small())
        self.assertIn("snapshots.folder", self.reco("trim", "--keep-for", "1d", check=2).stderr)
        self.assertIn("keep-bytes", self.reco("trim", "--keep-bytes", "many", check=2).stderr)
        self.assertIn("keep-bytes", self.reco("trim", "--keep-bytes", "0", check=2).stderr)
        folder = "snapshots.folder=" + os.path.join(self.folder, "snapshots")
        self.assertIn("say how much", self.reco("trim", "--set", folder, check=2).stderr)
        held = self.json("trim", "--set", folder, "--keep-for", "1ms", "--dry-run")
        self.assertEqual((held["records"], held["held_by"]), (0, "no verified snapshot"))
        self.assertIn("held back by", self.reco("trim", "--set", folder, "--keep-bytes", "1KiB").stdout)

    def test_export_and_import(self):
        self.reco("import", "--format", "csv", "--shift-time", self.import_small())
        self.reco("items", "-", stdin='[{"item_id":"own1","title":"Grüner Tee"}]')
        path, other = os.path.join(self.folder, "export.ndjson"), os.path.join(self.folder, "other.reco")
        made = self.json("export", path)
        self.assertEqual((made["items"], made["missing"]), (1, 0))
        self.assertIn("exists", self.reco("export", path, check=1).stderr)
        self.assertEqual([name for name in os.listdir(self.folder) if "partial" in name], [])
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        for number, (make, words) in enumerate(((lambda name: os.symlink(path, name), "symbolic link"), (os.mkfifo, ""), (os.mkdir, ""))):
            name = os.path.join(self.folder, f"new{number}")
            make(name + ".partial")
            self.assertIn(words, self.reco("export", name, check=1).stderr)
            self.assertFalse(os.path.lexists(name))
        taken = os.path.join(self.folder, "taken")
        with open(taken + ".partial", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assertIn("under way", self.reco("export", taken, check=1).stderr)
        self.reco("export", taken)  # over what a killed one left
        lines = self.reco("export").stdout
        with open(path) as file:
            self.assertEqual(file.read().splitlines()[1:], lines.splitlines()[1:])
        into = lambda *arguments, **options: run("reco", "--data", other, "import", "--format", "reco", *arguments, **options)
        self.assertIn("cut off", into("-", stdin=lines[:-20], check=2).stderr)
        altered = lines.replace("Grüner", "Grauer")
        self.assertIn("not as it was exported (digest)", run("reco", "--data", other + "2", "import", "--format", "reco", "-", stdin=altered, check=2).stderr.replace(
            "; where that is meant, take the digest off", ""))
        meant = re.sub(r',"digest":"[0-9a-f]{32}"', "", altered)
        self.assertNotEqual(meant, altered)
        run("reco", "--data", other + "3", "import", "--format", "reco", "-", stdin=meant, check=0)
        result = json.loads(into("--json", "-", stdin=lines, check=0).stdout)
        self.assertEqual((result["events"], result["items"], result["already"]), (0, 1, False))  # the events were in, but for a tick
        self.assertIn("nothing was added", into("-", stdin=lines, check=0).stdout)
        self.assertIn("empty directory", into(path, check=1).stderr)
        self.assertIn("no such file", into(path + ".none", check=1).stderr)
        self.assertEqual(json.loads(run("reco", "--data", other, "verify", "--json", check=0).stdout)["hash"], self.json("verify")["hash"])
        self.assertIn("Grüner Tee", run("reco", "--data", other, "item", "own1", check=0).stdout)

    def test_history_of_before(self):
        """What is older than the stream is refused, and merged with it into a new directory, as DEPLOYMENT tells."""
        line = lambda i: json.dumps({"user_id": f"u{i % 7}", "item_id": f"i{i * i % 13}", "event_type": "view", "timestamp": 1767225600000 + i * 600000})
        old, new = "\n".join(map(line, range(300))) + "\n", "\n".join(map(line, range(300, 500))) + "\n"
        paths = {}
        for name, text in ("old", old), ("new", new), ("all", old + new):
            paths[name] = os.path.join(self.folder, name + ".ndjson")
            with open(paths[name], "w") as file:
                file.write(text)
        self.reco("import", "--format", "ndjson", paths["new"])
        self.reco("items", "-", stdin='{"item_id":"i3","title":"Three"}')
        before = self.json("verify")["hash"]
        self.assertIn("import it into a new directory", self.reco("import", "--format", "ndjson", paths["old"], check=1).stderr)
        self.assertEqual(self.json("verify")["hash"], before)  # nothing was added
        lines = [json.loads(line) for line in self.reco("export").stdout.splitlines()]
        with open(paths["new"], "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines if line["type"] == "event")
        merged, whole = os.path.join(self.folder, "merged"), os.path.join(self.folder, "whole")
        run("reco", "--data", merged, "import", "--format", "ndjson", paths["old"], paths["new"], check=0)
        run("reco", "--data", merged, "items", "-", check=0,
            stdin="".join(json.dumps({"item_id": line["id"], **line["document"]}) for line in lines if line["type"] == "item"))
        run("reco", "--data", whole, "import", "--format", "ndjson", paths["all"], check=0)
        hashes = [json.loads(run("reco", "--data", data, "verify", "--json", check=0).stdout)["hash"] for data in (merged, whole)]
        self.assertEqual(*hashes)
        self.assertNotEqual(hashes[0], before)
        self.assertIn("Three", run("reco", "--data", merged, "item", "i3", check=0).stdout)

    def test_import_that_is_killed(self):
        events = "".join(json.dumps({"user_id": f"u{i % 40}", "item_id": f"i{i % 97}", "event_type": "view", "timestamp": 1767225600000 + i * 60000}) + "\n"
                         for i in range(3500))
        path = os.path.join(self.folder, "events.ndjson")
        with open(path, "w") as file:
            file.write(events)
        self.reco("import", "--format", "ndjson", "--shift-time", path)
        self.reco("items", "-", stdin="".join(json.dumps({"item_id": f"i{i}", "title": str(i)}) + "\n" for i in range(1300)))
        lines = self.reco("export").stdout.splitlines(keepends=True)
        other = os.path.join(self.folder, "other.reco")
        into = ["--data", other, "import", "--format", "reco", "-"]
        stream = sum(line.startswith(('{"type":"event"', '{"type":"tick"')) for line in lines)

        def records():
            done = run("reco", "--data", other, "stats", "--json")
            return sum(one["end"] for one in json.loads(done.stdout)["partitions"]) if done.returncode == 0 else 0

        for fed, there in ((2200, lambda: records() >= 2000), (len(lines) - 1, lambda: run("reco", "--data", other, "item", "i0").returncode == 0)):
            child = subprocess.Popen([os.path.join(BIN, "reco"), *into], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment(),
                                     preexec_fn=die_with_the_test)
            child.stdin.write("".join(lines[:fed]))
            child.stdin.flush()
            wait_for(there, "a part of the import")
            child.kill()
            child.wait()
            child.stdin.close()
        self.assertLess(records(), stream)
        self.assertIn("imported and learned", run("reco", *into, stdin="".join(lines), check=0).stdout)
        self.assertEqual(json.loads(run("reco", "--data", other, "verify", "--json", check=0).stdout)["hash"], self.json("verify")["hash"])
        again = run("reco", "--data", other, "export", check=0).stdout.splitlines(keepends=True)
        self.assertEqual(again[1:], lines[1:])

    def test_replay(self):
        self.reco("import", "--format", "csv", "--shift-time", self.import_small())
        into, other = os.path.join(self.folder, "other"), ["--set", "pairs.window=2"]
        self.assertIn("--into", self.reco("replay", check=2).stderr)
        self.assertIn("--yes", self.reco("replay", *other, "--into", into, check=2, stdin="").stderr)
        told = self.json("replay", *other, "--into", into, "--dry-run")
        self.assertGreaterEqual(told["records"], 80)
        self.assertEqual(set(told), {"records", "rate", "estimated_ms", "estimated_bytes", "free_bytes"})
        self.assertIn("are to be learned", self.reco("replay", *other, "--into", into, "--dry-run").stdout)
        self.assertFalse(os.path.exists(into))
        refused = self.reco("stats", *other, check=1).stderr
        self.assertIn("reco replay --into", refused)
        self.assertGreaterEqual(self.json("replay", *other, "--into", into, "--yes")["learned"], 80)
        self.assertTrue(self.json("verify", *other, "--set", "features=lmdb:" + into)["equal"])
        self.assertTrue(self.json("verify")["equal"])
        follower = subprocess.Popen([os.path.join(BIN, "reco"), "replay", *other, "--data", self.data, "--into", into, "--yes", "--follow"],
                                    stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment())
        while "current" not in follower.stderr.readline():
            self.assertIsNone(follower.poll())
        follower.terminate()
        follower.communicate(timeout=60)
        self.assertEqual(follower.returncode, 0)

    def test_migrate_without_a_database(self):
        self.assertIn("neither records nor archive", self.reco("migrate").stdout)

    def test_generate(self):
        arguments = ["generate", "--events", "2000", "--items", "100", "--users", "50", "--seed", "7", "--duplicate", "0.1", "--late", "0.05"]
        first, second = self.reco(*arguments).stdout, self.reco(*arguments).stdout
        self.assertEqual(first, second)
        self.assertNotEqual(first, self.reco(*arguments, "--seed", "8").stdout)
        events = [json.loads(line) for line in first.splitlines()]
        self.assertEqual(len(events), 2000)
        for one in events:
            self.assertTrue({"user_id", "item_id", "event_type", "timestamp"} <= set(one))
        csv = self.reco(*arguments, "--format", "csv").stdout.splitlines()
        self.assertEqual(csv[0], "user_id,item_id,event_type,timestamp,value")
        self.assertEqual(len(csv), 2001)


if __name__ == "__main__":
    unittest.main()
