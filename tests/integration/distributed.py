"""The services as processes of their own on Kafka, Redis and PostgreSQL: what one takes in the others learn and answer with, what is said of an item is
seen by all within a second, and who is killed is replaced."""
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import http_support
from http_support import BIN, Service, ask, environment, event, get, post, run
from servers import ROOT, SCRIPTS, Servers, free_ports

PATIENCE = 120  # a dozen processes, on machines that run other tests beside
servers = None


def setUpModule():
    global servers
    servers = Servers()


def tearDownModule():
    servers.end()


def wait_for(condition, what):
    return http_support.wait_for(condition, what, PATIENCE)


class Node(Service):
    """A service with the addresses of the three in place of a directory."""

    def __init__(self, program, settings, *arguments, env=None):
        self.settings = settings
        super().__init__(program, "", *arguments, env=env)
        try:
            wait_for(lambda: self.process.poll() is not None or get(self.port, "/ready").status == 200, program + " to be ready")
        except BaseException:
            sys.stderr.write(self.log_text())
            self.end()
            raise

    def command(self):
        return ["--config", os.path.join(ROOT, "infra", "config", "distributed.yaml"), "--listen", "127.0.0.1:0", *self.settings]


class Cluster(unittest.TestCase):
    """Namespaces keep the tests apart."""

    number = 0

    def setUp(self):
        Cluster.number += 1
        self.values = {"namespace": f"test{Cluster.number}", "partitions": "4", "stream": servers.stream("test"), "features": servers.features("test"),
                       "records": servers.records()}
        self.settings = [word for name, value in self.values.items() for word in ("--set", f"{name}={value}")]

    def node(self, program, *arguments, env=None):
        node = Node(program, self.settings, *arguments, env=env)
        self.addCleanup(node.end)
        return node

    def reco(self, *arguments, stdin=None, check=0):
        """The command line on the same installation."""
        return run("reco", *self.settings, "--set", "data=", *arguments, stdin=stdin, check=check)

    def tell(self, ingest, *events):
        """503 is no acknowledgement: it is said again, with the same ids."""
        batch = [{**one, "event_id": f"{time.monotonic_ns()}-{i}"} for i, one in enumerate(events)]

        def answered():
            answer = post(ingest.port, "/events", batch)
            self.assertIn(answer.status, (202, 503), answer.body)
            return answer.status == 202 and answer.json()
        answer = wait_for(answered, "202")
        self.assertEqual(answer["accepted"], len(events), answer)
        return answer["position"]

    def answer(self, api, user, **more):
        query = "&".join(f"{name}={value}" for name, value in more.items())
        answer = get(api.port, f"/recommendations?user_id={user}&{query}")
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def expect_effect(self, ingest, apis, number):
        """The last click changes the next answer, in every process that answers."""
        user, seen, other = f"user-{number}", f"seen-{number}", f"other-{number}"
        self.tell(ingest, event(f"a-{number}", seen), event(f"a-{number}", other), event(f"b-{number}", seen), event(f"b-{number}", other))
        position = self.tell(ingest, event(user, seen))
        for api in apis:
            def reasons():
                answer = self.answer(api, user, min_position=position, wait_ms=2000)
                return not answer["behind"] and [item["item_id"] for item in answer["items"]
                                                 if any(reason.get("because") == seen for reason in item["reasons"])]
            found = wait_for(reasons, f"{other} in the answer of {api.port}: {self.answer(api, user)}")
            self.assertEqual(found, [other])

    def metric(self, node, name):
        answer = get(node.port, "/metrics")
        self.assertEqual(answer.status, 200)
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", answer.body.decode(), re.M)
        self.assertTrue(values, name)
        return sum(float(value) for value in values)


class Together(Cluster):
    """Two of each, one API with its settings from the environment, through a day of theirs: one test, because starting takes longest."""

    def setUp(self):
        super().setUp()
        by_environment = environment(**{"RECO_" + name.upper(): value for name, value in self.values.items()})
        with concurrent.futures.ThreadPoolExecutor() as pool:  # at once: topics, tables and keys are made by whoever comes first
            nodes = [pool.submit(self.node, "reco-" + name) for name in ("ingest", "ingest", "processor", "processor", "api")]
            last = pool.submit(Node, "reco-api", [], env=by_environment)
        self.addCleanup(last.result().end)
        nodes = [node.result() for node in nodes]
        self.ingests, self.processors, self.apis = nodes[:2], nodes[2:4], [nodes[4], last.result()]

    def test_a_day(self):
        for i in range(4):
            self.expect_effect(self.ingests[i % 2], self.apis, i)
        self.check_state()
        self.check_metrics(20)
        self.check_explanations()
        self.check_items()
        self.check_users()
        self.check_aliases()
        self.check_replacement()
        self.assertIn("equal", self.reco("verify").stdout)
        self.check_endings()

    def check_state(self):
        for node in self.ingests + self.processors + self.apis:
            self.assertEqual(get(node.port, "/health").json(), {"status": "ok"})
            self.assertEqual(get(node.port, "/ready").json(), {"status": "ready"})

            def settled():
                ready = get(node.port, "/ready?verbose=true").json()
                return ready["lag"] == 0 and ready["lag_ms"] == 0
            wait_for(settled, "nothing left to learn")

    def check_metrics(self, events):
        wait_for(lambda: all(self.metric(node, "reco_processor_partitions") == 2 for node in self.processors), "an even share")
        counted = [sum(self.metric(node, f"reco_processor_{name}_total") for node in self.processors) for name in ("events", "duplicates")]
        self.assertEqual(counted[0] - counted[1], events)
        self.assertEqual(sum(self.metric(node, "reco_event_to_effect_seconds_count") for node in self.processors), events)
        self.assertEqual(sum(self.metric(node, "reco_processor_failures_total") for node in self.processors), 0)
        for node in self.ingests + self.processors + self.apis:
            self.assertEqual(self.metric(node, "reco_build_info"), 1)
            self.assertGreater(self.metric(node, "process_resident_memory_bytes"), 0)

    def check_explanations(self):
        """What is told of an answer is told alike by both processes and on the command line: reasons that add up, and why others are not in it."""
        question = "user-0", "other-0", "seen-0", "nobody-has-it"
        wait_for(lambda: all([item["item_id"] for item in self.answer(api, "user-0", limit=1)["items"]] == ["other-0"] for api in self.apis), "the answer")
        told = [get(api.port, "/explain?user_id={}&item_id={}&item_id={}&item_id={}&limit=1".format(*question)).json() for api in self.apis]
        told += [json.loads(self.reco("why-not", *question, "--limit", "1", "--json").stdout)]
        for one in told:
            answer = one["answer"]["items"]
            self.assertEqual([item["item_id"] for item in answer], ["other-0"])
            self.assertEqual(sum(reason["score"] for reason in answer[0]["reasons"]), answer[0]["score"])
            self.assertEqual([(item["verdict"], item.get("stage")) for item in one["items"]], [("listed", None), ("dropped", "seen"), ("unknown", None)])
            self.assertEqual([recent["item_id"] for recent in one["recents"]], ["seen-0"])
            self.assertEqual({stage["status"] for stage in one["stages"]}, {"ok"})
            self.assertGreater(one["microseconds"], 0)
        words = self.reco("why-not", *question[:3], "--limit", "1").stdout
        self.assertIn("it is in the answer, rank 1", words)
        self.assertRegex(words, r"dropped by seen: the user has seen it, last at .*\n(.*\n)*stage +microseconds")

    def check_items(self):
        """What is said of an item is seen by every process within a second; machines that are busy with other tests get three."""
        item = {"item_id": "other-0", "title": "Renamed", "categories": ["things"]}
        for hidden in (False, True, False):
            item["hidden"] = hidden
            self.reco("items", "-", stdin=json.dumps(item))
            began = time.monotonic()
            for api in self.apis:
                def seen():
                    items = [one["item_id"] for one in self.answer(api, "user-0")["items"]]
                    return ("other-0" in items) != hidden and get(api.port, "/items/other-0").json()["title"] == "Renamed"
                wait_for(seen, f"hidden={hidden} seen by {api.port}")
            took = time.monotonic() - began
            print(f"hidden={hidden} is seen by all within {took:.3f} s")
            self.assertLess(took, 3)
        self.assertEqual(servers.sql(f"SELECT title, hidden FROM reco.items WHERE space = '{self.values['namespace']}' AND item_id = 'other-0'"),
                         "Renamed|f\n")

    def check_users(self):
        """What one process was told of a user the others say at once, and PostgreSQL has in columns."""
        for segment in ("new", "old"):
            stored = ask(self.apis[0].port, "PUT", "/users/user-0", json.dumps({"segment": segment, "city": "Graz"}), {"Content-Type": "application/json"})
            self.assertEqual(stored.status, 200, stored.body)
            for api in self.apis:
                self.assertEqual(get(api.port, "/users/user-0").json(), {"user_id": "user-0", "segment": segment, "attributes": {"city": "Graz"}})
        self.assertEqual(servers.sql(f"SELECT segment, attributes ->> 'city' FROM reco.users WHERE space = '{self.values['namespace']}' AND user_id = 'user-0'"), "old|Graz\n")

    def check_aliases(self):
        """Who logs in is known for what they did before, in every process within a second; machines that are busy with other tests get three."""
        for number, patch in ((0, None), (1, {"aliases": None})):
            if patch is None:
                told = ask(self.apis[0].port, "POST", "/users/newcomer/aliases", json.dumps({"anonymous_id": "user-1"}), {"Content-Type": "application/json"})
            else:
                told = ask(self.apis[0].port, "PATCH", "/users/newcomer", json.dumps(patch), {"Content-Type": "application/json"})
            self.assertEqual(told.status, 200, told.body)
            began = time.monotonic()
            for api in self.apis:
                def known():
                    items = self.answer(api, "newcomer")["items"]
                    return any(reason.get("because") == "seen-1" for item in items for reason in item["reasons"]) == (number == 0)
                wait_for(known, f"what user-1 saw {'counts' if number == 0 else 'counts no longer'} at {api.port}")
            took = time.monotonic() - began
            print(f"an alias is {'seen' if number == 0 else 'gone'} everywhere within {took:.3f} s")
            self.assertLess(took, 3)

    def check_replacement(self):
        self.processors.pop(0).stop(signal.SIGKILL)
        for i in range(10, 14):  # of several partitions
            self.expect_effect(self.ingests[i % 2], self.apis, i)
        wait_for(lambda: self.metric(self.processors[0], "reco_processor_partitions") == 4, "all partitions with the one that is left")
        self.processors.append(self.node("reco-processor"))
        wait_for(lambda: all(self.metric(node, "reco_processor_partitions") == 2 for node in self.processors), "a share for the new one")
        self.expect_effect(self.ingests[0], self.apis, 20)

    def check_endings(self):
        nodes = self.ingests + self.processors + self.apis
        for node in nodes:
            node.process.send_signal(signal.SIGTERM)
        for node in nodes:
            self.assertEqual(node.process.wait(PATIENCE), 0, node.log_text())
            self.assertNotIn("error", [json.loads(line)["level"] for line in node.log_text().splitlines()], node.log_text())


class Moving(Cluster):
    """A directory moves onto servers and back: the same is learned, the same is known."""

    def test_there_and_back(self):
        with tempfile.TemporaryDirectory() as folder:
            def embedded(name, *arguments, **options):
                return run("reco", "--data", os.path.join(folder, name), "--set", "namespace=" + self.values["namespace"], *arguments, check=0, **options)

            def lines(done):
                return done.stdout.splitlines()[1:]

            def known(done):
                return json.loads(done.stdout)["hash"]

            events = run("reco", "generate", "--events", "600", "--items", "40", "--users", "30", "--seed", "5", check=0).stdout
            history = os.path.join(folder, "events.ndjson")
            with open(history, "w") as file:
                file.write(events)
            embedded("one", "import", "--format", "ndjson", "--shift-time", history)
            embedded("one", "items", "-", stdin='[{"item_id":"shirt/m","parent":"shirt","size":"m","price":9.90},{"item_id":"i1","hidden":true}]')
            embedded("one", "users", "-", stdin='[{"user_id":"u1","segment":"new"}]')
            first = embedded("one", "export")
            self.reco("import", "--format", "reco", "-", stdin=first.stdout)
            second = self.reco("export")
            self.assertEqual(lines(second), lines(first))
            embedded("two", "import", "--format", "reco", "-", stdin=second.stdout)
            self.assertEqual(known(self.reco("verify", "--json")), known(embedded("one", "verify", "--json")))
            self.assertEqual(known(embedded("two", "verify", "--json")), known(embedded("one", "verify", "--json")))
            self.assertEqual(json.loads(self.reco("item", "shirt/m", "--patch", "-", "--json", stdin='{"price":null}').stdout),
                             {"item_id": "shirt/m", "parent": "shirt", "attributes": {"size": "m"}})
            self.assertIn("empty directory", self.reco("import", "--format", "reco", "-", stdin=embedded("two", "export").stdout, check=1).stderr)


class Readme(Cluster):
    """"On several machines" in README.md, line by line; the servers are those of the test."""

    def test_lines(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            block = next(block for block in re.findall(r"^```sh\n(.*?)^```$", file.read(), re.M | re.S) if "up-kafka.sh start" in block)
        lines = [line.split("  #")[0].strip() for line in block.splitlines()]
        for name, line in zip(("kafka", "redis", "postgres"), lines):
            self.assertRegex(line, rf"^bash infra/scripts/up-{name}\.sh start \S+$")
        self.assertEqual([line.split()[0] for line in lines[3:]], ["reco", "reco-processor", "reco-ingest", "reco-api", "reco"])
        with open(os.path.join(ROOT, "infra", "config", "distributed.yaml"), encoding="utf-8") as file:
            text = file.read()
        for name in ("stream", "features", "records"):
            text = re.sub(rf"(?m)^{name}: .*$", f'{name}: "{self.values[name]}"', text)
        text = re.sub(r"127\.0\.0\.1:808\d", "127.0.0.1:0", re.sub(r"(?m)^namespace: \w+", "namespace: readme", text))
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "infra", "config"))
            with open(os.path.join(folder, "infra", "config", "distributed.yaml"), "w", encoding="utf-8") as file:
                file.write(text)
            with open(os.path.join(folder, "events.ndjson"), "w", encoding="utf-8") as file:
                file.write(run("reco", "generate", "--events", "500", check=0).stdout)
            script = "set -eu\n" + "\n".join(lines[3:]) + "\nkill -0 $(jobs -p)\nkill $(jobs -p)\nfor job in $(jobs -p); do wait $job; done\n"
            done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment(PATH=BIN + ":" + os.environ["PATH"]), capture_output=True, text=True,
                                  timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^equal: [1-9]")


class Scripts(unittest.TestCase):
    """up-*.sh as people use them: in the background, by folder."""

    def script(self, name, *arguments, check=0):
        done = subprocess.run(["bash", os.path.join(SCRIPTS, name), *arguments], capture_output=True, text=True, timeout=PATIENCE, env=environment(),
                              check=False)
        self.assertEqual(done.returncode, check, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_background(self):
        for name, url in (("up-redis.sh", "redis://127.0.0.1:{}\n"), ("up-postgres.sh", "postgresql://reco@127.0.0.1:{}/reco\n")):
            with self.subTest(script=name), tempfile.TemporaryDirectory() as parent:
                os.chmod(parent, 0o755)
                folder, port = os.path.join(parent, "data"), free_ports(1)[0]
                self.script(name, "status", folder, check=3)
                try:
                    self.assertEqual(self.script(name, "start", folder, str(port)), url.format(port))
                    self.assertEqual(self.script(name, "start", folder), url.format(port), "again: where it is")
                    self.assertEqual(self.script(name, "status", folder), url.format(port))
                    self.assertIn("is taken", self.script(name, "start", folder + "-2", str(port), check=1))
                    for odd in ("0", "65536", "099999"):
                        self.assertIn("1 to 65535", self.script(name, "start", folder + "-2", odd, check=1))
                    if name == "up-postgres.sh":
                        self.assertIn("another server", self.script("up-redis.sh", "start", folder, str(free_ports(1)[0]), check=1))
                finally:
                    self.script(name, "stop", folder)
                self.script(name, "status", folder, check=3)
                self.script(name, "stop", folder)

    def test_help(self):
        for name in ("up-kafka.sh", "up-redis.sh", "up-postgres.sh"):
            self.assertRegex(self.script(name, "--help"), rf"(?m)^ +{name} start ")
            self.assertIn(name, self.script(name, check=2))
        self.assertIn("is taken", self.script("up-kafka.sh", "start", os.path.join(servers.kafka.folder, "2"), str(servers.kafka.port), check=1))
        self.script("up-kafka.sh", "status", servers.kafka.folder, check=3)
        for odd in ("0", "abc", "65536", "9092,x"):
            self.assertIn("1 to 65535", self.script("up-kafka.sh", "start", "--brokers", "2", os.path.join(servers.kafka.folder, "2"), odd, check=1))
        self.assertIn("512m", self.script("up-kafka.sh", "start", os.path.join(servers.kafka.folder, "2"), "9092", "much", check=1))


class Starting(Cluster):
    def test_refusals(self):
        done = run("reco-api", *self.settings, "--set", "data=", env=environment(RECO_STREEM="x"))
        self.assertEqual((done.returncode, "RECO_STREEM" in done.stderr), (2, True), done.stderr)
        for program, name, value, words in (("reco-api", "stream", "nothing://here", "stream backend 'nothing'"), ("reco-api", "features", "redis://", "host"),
                                            ("reco-api", "stream", "kafka://127.0.0.1:1/x?no.such=1", "no.such"),
                                            ("reco", "records", "postgresql://127.0.0.1:1/reco", ""), ("reco", "features", "redis://127.0.0.1:1", "")):
            done = run(program, *self.settings, "--set", "data=", "--set", f"{name}={value}", *(["stats"] if program == "reco" else []))
            self.assertIn(done.returncode, (1, 2), done.stderr)
            self.assertIn(words, done.stderr)
            self.assertTrue(done.stderr.splitlines()[-1].startswith("reco: "), done.stderr)

    def test_other_rules_are_refused(self):
        self.node("reco-ingest")
        self.reco("stats")  # ingest may be ready before it has come to features; whoever does first leaves the rules there
        for name, value in (("partitions", "8"), ("coview.length", "3d")):
            done = run("reco", *self.settings, "--set", "data=", "--set", f"{name}={value}", "stats")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(name, done.stderr)

    def test_installed(self):
        """Modules are found beside the installed library."""
        ingest = self.node("reco-ingest")
        position = self.tell(ingest, event("u", "a"))
        prefix = os.path.join(ingest.folder, "usr")
        subprocess.run(["cmake", "--install", os.path.dirname(BIN), "--prefix", prefix], check=True, capture_output=True, timeout=PATIENCE)
        libraries = [folder for folder, _, names in os.walk(prefix) if "libreco.so.0" in names]
        self.assertEqual(len(libraries), 1)
        self.assertLessEqual({f"libreco-{name}.so" for name in ("kafka", "redis", "postgres")}, set(os.listdir(libraries[0])))
        command = [os.path.join(prefix, "bin", "reco"), *self.settings, "--set", "data=", "recommend", "u", "--min-position", position, "--json"]
        done = subprocess.run(command, env=environment(LD_LIBRARY_PATH=libraries[0]), capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(json.loads(done.stdout)["behind"])


if __name__ == "__main__":
    unittest.main()
