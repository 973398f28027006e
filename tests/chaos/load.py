"""Load for the chaos tests: events with ids, posted until they are acknowledged, and questions; each answer is judged when it comes.

A poster owns its users, so a user's events are in the order they are posted. It repeats a batch with the same ids until it has a 202: after a 503, a
lost connection or a time out. What was acknowledged, and what was tried, is remembered."""
import http.client
import json
import random
import threading
import time

DEADLINE = 10.0  # of a request, as the services have it
ANSWER = 1.0     # recommend.deadline
MARGIN = 3.0     # for a machine with other things to do
WEIGHTS = {"view": 1, "purchase": 5}


class Line:
    """A connection that is kept while it works, to whichever of the programs is next."""

    def __init__(self, programs):
        self.programs, self.turn = programs, random.randrange(1000)
        self.port, self.connection = None, None

    def drop(self):
        if self.connection:
            self.connection.close()
        self.connection = None
        self.turn += 1

    def ask(self, method, path, body=None):
        """(status, headers, body, seconds), or None for the status when the connection was lost."""
        port = self.programs[self.turn % len(self.programs)].port
        if port is None or (self.connection and self.port != port):
            self.drop()
        if port is None:
            return None, {}, b"", 0.0
        if self.connection is None:
            self.connection, self.port = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE + MARGIN), port
        began = time.monotonic()
        try:
            self.connection.request(method, path, body=body, headers={"Content-Type": "application/json"} if body else {})
            response = self.connection.getresponse()
            data = response.read()
            took = time.monotonic() - began
            if response.headers.get("Connection") == "close":
                self.drop()
            return response.status, response.headers, data, took
        except TimeoutError:
            self.drop()
            return "late", {}, b"", time.monotonic() - began
        except (OSError, http.client.HTTPException):
            self.drop()
            return None, {}, b"", time.monotonic() - began


class Load:
    def __init__(self, ingests, apis, posters=2, askers=2, pause=0.02, may_break=True):
        self.ingests, self.apis, self.pause, self.may_break = ingests, apis, pause, may_break
        self.lock = threading.Lock()
        self.acknowledged, self.tried = set(), {}
        self.wrong = []  # what must not be; the test fails with it
        self.posts, self.asks = {}, {}  # counts by status
        self.slowest_post = self.slowest_ask = 0.0
        self.degraded = self.personal = 0
        self.last_good_post = self.last_good_ask = 0.0
        self.without_features = False  # the API cannot reach them: an answer that is asked for now has to say so
        self.probes = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.post, args=(i,), daemon=True) for i in range(posters)]
        self.askers = [threading.Thread(target=self.question, args=(i, posters), daemon=True) for i in range(askers)]

    def start(self):
        for thread in self.threads + self.askers:
            thread.start()

    def stop(self, patience=120):
        """Each poster first gets its last batch acknowledged."""
        self.stopping.set()
        for thread in self.threads + self.askers:
            thread.join(patience)
            if thread.is_alive():
                self.wrong.append("a batch was not acknowledged although everything is well again")

    def note(self, text):
        with self.lock:
            if len(self.wrong) < 20:
                self.wrong.append(text)

    def batch(self, poster, number, chance):
        events = []
        for i in range(chance.randrange(1, 9)):
            kind = "purchase" if chance.random() < 0.1 else "view"
            events.append({"event_id": f"e{poster}.{number}.{i}", "user_id": f"u{poster}.{chance.randrange(60)}",
                           "item_id": f"i{int(chance.paretovariate(0.8)) % 300}", "event_type": kind})
        return events

    def post(self, poster):
        line, chance, number = Line(self.ingests), random.Random(poster), 0
        while not self.stopping.is_set():
            events = self.batch(poster, number, chance)
            number += 1
            with self.lock:
                self.tried.update((event["event_id"], event) for event in events)
            self.insist(line, events)
            time.sleep(self.pause)

    def insist(self, line, events):
        body = json.dumps(events)
        while True:
            status, headers, data, took = line.ask("POST", "/events", body)
            with self.lock:
                self.posts[status] = self.posts.get(status, 0) + 1
                self.slowest_post = max(self.slowest_post, took)
            if status == 202:
                if json.loads(data)["accepted"] != len(events):
                    self.note("ingest: a good event was rejected: " + data.decode())
                with self.lock:
                    self.acknowledged.update(event["event_id"] for event in events)
                    self.last_good_post = time.monotonic()
                return
            if status == 503:
                if not headers.get("Retry-After"):
                    self.note("ingest: 503 without Retry-After: " + data.decode())
            elif status == "late":
                self.note(f"ingest: no answer within {took:.1f} s")
            elif status is not None or not self.may_break:
                self.note(f"ingest: {status}: {data.decode()}")
            time.sleep(0.1)

    def question(self, asker, posters):
        line, chance = Line(self.apis), random.Random(1000 + asker)
        while not self.stopping.is_set():
            path = f"/recommendations?user_id=u{chance.randrange(posters)}.{chance.randrange(60)}&limit=10"
            blind = self.without_features
            self.judge(blind, *line.ask("GET", path))
            time.sleep(self.pause)

    def judge(self, blind, status, headers, data, took):
        now = time.monotonic()
        with self.lock:
            self.asks[status] = self.asks.get(status, 0) + 1
            self.slowest_ask = max(self.slowest_ask, took)
        if status == 200:
            answer = json.loads(data)
            if took > ANSWER + MARGIN:
                self.note(f"API: an answer after {took:.1f} s")
            with self.lock:
                self.degraded += answer["degraded"]
                self.personal += not answer["fallback"]
                if not answer["degraded"]:
                    self.last_good_ask = now
            if blind and self.without_features and not answer["degraded"]:
                self.note("API: an answer without the features that does not say it is degraded: " + data.decode())
        elif status == 503:
            if not headers.get("Retry-After"):
                self.note("API: 503 without Retry-After: " + data.decode())
        elif status == "late":
            self.note(f"API: no answer within {took:.1f} s")
        elif status is not None or not self.may_break:
            self.note(f"API: {status}: {data.decode()}")

    def probe(self):
        """True when an event that is posted now is in an answer asked for now, not degraded."""
        post, get = Line(self.ingests), Line(self.apis)
        with self.lock:
            self.probes += 1
            event = {"event_id": f"probe{self.probes}", "user_id": f"probe{self.probes % 7}", "item_id": f"i{self.probes % 300}",
                     "event_type": "view"}
            self.tried[event["event_id"]] = event
        status, _, data, _ = post.ask("POST", "/events", json.dumps([event]))
        post.drop()
        if status != 202:
            return False
        with self.lock:
            self.acknowledged.add(event["event_id"])
        position = json.loads(data)["position"]
        status, _, data, _ = get.ask("GET", f"/recommendations?user_id={event['user_id']}&min_position={position}&wait_ms=2000")
        get.drop()
        if status != 200:
            return False
        answer = json.loads(data)
        return not answer["degraded"] and not answer["behind"]

    def summary(self):
        with self.lock:
            return (f"{len(self.acknowledged)} events acknowledged; posts {self.posts}, slowest {self.slowest_post:.1f} s; "
                    f"questions {self.asks}, {self.degraded} degraded, slowest {self.slowest_ask:.1f} s")
