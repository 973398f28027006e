"""The services over HTTP: status codes, problems, limits, metrics, connections, draining."""
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.parse

from http_support import BUILD, PATIENCE, Service, WithData, ask, environment, event, get, post, raw, run, wait_for

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Events(WithData):
    """POST /events."""

    def setUp(self):
        super().setUp()
        self.ingest = self.service("reco-ingest", "--set", "services.body_max=64KiB", "--set", "services.events_max=50")
        self.port = self.ingest.port

    def test_object_array_and_lines(self):
        one = post(self.port, "/events", event("u", "a"))
        self.assertEqual(one.status, 202, one.body)
        self.assertEqual(one.headers["Content-Type"], "application/json")
        self.assertEqual((one.json()["accepted"], one.json()["rejected"]), (1, []))
        self.assertTrue(one.json()["position"])
        many = post(self.port, "/events", [event("u", "a"), event("v", "b")], "application/json; charset=utf-8")
        self.assertEqual(many.json()["accepted"], 2)
        lines = "\n".join(json.dumps(event("u", str(i))) for i in range(3)) + "\n"
        self.assertEqual(post(self.port, "/events", lines, "application/x-ndjson").json()["accepted"], 3)

    def test_some_are_rejected(self):
        answer = post(self.port, "/events", [event("u", "a"), event("", "b"), event("u", "c", "no such type")])
        self.assertEqual(answer.status, 202)
        self.assertEqual(answer.json()["accepted"], 1)
        rejected = answer.json()["rejected"]
        self.assertEqual([(one["index"], one["field"]) for one in rejected], [(1, "user_id"), (2, "event_type")])
        self.assertTrue(all(one["detail"] for one in rejected))

    def test_all_are_rejected(self):
        self.assert_problem(post(self.port, "/events", [event("u", "")]), 422, "item_id")

    def test_atomic(self):
        events = [event("atomic", "a"), event("atomic", "")]
        problem = self.assert_problem(post(self.port, "/events?atomic=true", events), 422, "item_id")
        self.assertEqual(problem["errors"][0]["index"], 1)
        self.assertEqual(post(self.port, "/events?atomic=false", events).json()["accepted"], 1)
        self.assertEqual(post(self.port, "/events?atomic=true", events[:1]).json()["accepted"], 1)

    def test_times(self):
        now = int(time.time() * 1000)
        self.assertEqual(post(self.port, "/events", event("u", "a", timestamp=now - 1000)).status, 202)
        self.assert_problem(post(self.port, "/events", event("u", "a", timestamp=now - 86400000)), 422, "timestamp")
        self.assert_problem(post(self.port, "/events", event("u", "a", timestamp=now + 86400000)), 422, "timestamp")
        self.assert_problem(post(self.port, "/events", event("u", "a", timestamp="2026-01-01T00:00:00")), 422, "timestamp")

    def test_not_json(self):
        self.assert_problem(post(self.port, "/events", "{"), 400)
        self.assert_problem(post(self.port, "/events", ""), 400)
        self.assertIn(post(self.port, "/events", b"\xff\xfe").status, (400, 422))

    def test_content_type(self):
        self.assert_problem(post(self.port, "/events", event("u", "a"), "text/plain"), 415, "Content-Type")
        self.assert_problem(ask(self.port, "POST", "/events", b"{}"), 415, "Content-Type")
        self.assert_problem(post(self.port, "/events", event("u", "a"), headers={"Content-Encoding": "br"}), 415, "Content-Encoding")

    def test_parameters(self):
        self.assert_problem(post(self.port, "/events?atomc=true", event("u", "a")), 400, "atomc")
        self.assert_problem(post(self.port, "/events?atomic=maybe", event("u", "a")), 400, "atomic")
        self.assert_problem(post(self.port, "/events?atomic=true&atomic=true", event("u", "a")), 400, "atomic")
        self.assert_problem(post(self.port, "/events?atomic=%zz", event("u", "a")), 400)

    def test_limits(self):
        self.assert_problem(post(self.port, "/events", b" " * 65537), 413)
        self.assert_problem(post(self.port, "/events", b" " * 6000000), 413)
        self.assert_problem(post(self.port, "/events", [event("u", str(i)) for i in range(51)]), 413)
        self.assertEqual(post(self.port, "/events", [event("u", str(i)) for i in range(50)]).json()["accepted"], 50)

    def test_chunks(self):
        body = json.dumps(event("u", "a")).encode()
        head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
        self.assertIn(b" 202 ", raw(self.port, head + chunks))
        self.assertIn(b" 413 ", raw(self.port, head + b"10001\r\n" + b" " * 65537 + b"\r\n0\r\n\r\n"))
        self.assertIn(b" 400 ", raw(self.port, head + b"xyz\r\n"))
        self.assertIn(b" 400 ", raw(self.port, head + b"5\r\nab"))

    def test_lengths(self):
        head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self.assertIn(b" 411 ", raw(self.port, head + b"Connection: close\r\n\r\n"))
        for lengths in (b"Content-Length: 5abc\r\n", b"Content-Length: 2\r\nContent-Length: 3\r\n",
                        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                        b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n"):
            answer = raw(self.port, head + lengths + b"\r\n{}")
            self.assertRegex(answer, rb"^HTTP/1.1 4(00|11|13) ", lengths)
            self.assertIn(b"Connection: close", answer)
        self.assertIn(b" 400 ", raw(self.port, head + b"Content-Length: 20\r\n\r\n{}"))

    def test_expect_continue(self):
        body = json.dumps(event("u", "a")).encode()
        head = (b"POST /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
                b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(head % len(body))
            self.assertIn(b" 100 ", connection.recv(1000))
            connection.sendall(body)
            self.assertIn(b" 202 ", connection.recv(4000))

    def test_methods_and_paths(self):
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO"):
            answer = ask(self.port, method, "/events")
            self.assert_problem(answer, 405)
            self.assertEqual(answer.headers["Allow"], "POST")
        self.assertEqual(ask(self.port, "POST", "/health").headers["Allow"], "GET, HEAD")
        self.assert_problem(get(self.port, "/events/"), 404)
        self.assert_problem(get(self.port, "/recommendations?user_id=u"), 404)
        self.assertEqual(ask(self.port, "HEAD", "/health").body, b"")

    def test_malformed(self):
        for data in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"\r\n" * 10,
                     b"GET " + b"x" * 100,
                     b"POST /events HTTP/1.1\r\n" + b"h: v\r\n" * 200 + b"\r\n",
                     b"GET /" + b"%" * 300 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
            answer = raw(self.port, data)
            if answer:
                self.assertRegex(answer, rb"^HTTP/1.1 [45]\d\d ", data)
                self.assertIn(b"application/problem+json", answer)
        for data in (b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 20000, b"GET /health?" + b"x" * 20000):
            answer = raw(self.port, data, end=False)
            self.assertIn(b" 400 ", answer)
            self.assertIn(b"larger than 16384 bytes", answer)
        self.assertEqual(get(self.port, "/health").status, 200)
        self.assertIsNone(self.ingest.process.poll())

    def test_pipelined(self):
        one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        self.assertEqual(raw(self.port, one * 4 + last).count(b" 200 OK"), 5)

    def test_error_keeps_the_connection(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        for content_type, status in (("text/plain", 415), ("application/json", 202), ("text/plain", 415), ("application/json", 202)):
            connection.request("POST", "/events", body=json.dumps(event("u", "a")), headers={"Content-Type": content_type})
            sock = connection.sock
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, status)
            self.assertIs(connection.sock, sock)

    def test_trace(self):
        answer = post(self.port, "/events", event("u", "a"), headers={"traceparent": TRACE})
        parts = answer.headers["traceparent"].split("-")
        self.assertEqual(parts[1], TRACE.split("-")[1])
        self.assertNotEqual(parts[2], TRACE.split("-")[2])
        for bad in ("nonsense", TRACE.upper(), TRACE.replace("00-", "ff-", 1), "00-" + "0" * 32 + "-b7ad6b7169203331-01", TRACE + "-more"):
            self.assertIsNone(get(self.port, "/health", traceparent=bad).headers["traceparent"], bad)


class Answers(WithData):
    """GET /recommendations, /popular and /items of three services on one directory."""

    def setUp(self):
        super().setUp()
        self.ingest = self.service("reco-ingest").port
        self.processor = self.service("reco-processor", "--threads", "2").port
        self.api = self.service("reco-api").port

    def learn(self, *events):
        position = post(self.ingest, "/events", list(events)).json()["position"]
        user = urllib.parse.quote_plus(events[0]["user_id"])

        def learned():
            answer = get(self.api, f"/recommendations?user_id={user}&min_position={position}&wait_ms=1000")
            self.assertEqual(answer.status, 200, answer.body)
            return not answer.json().get("behind")
        wait_for(learned, "the events to be learned")
        return position

    def test_event_changes_the_answer(self):
        for user in ("a", "b", "c"):
            self.learn(event(user, "tea"), event(user, "cup"))
        self.learn(event("new", "tea"))
        answer = get(self.api, "/recommendations?user_id=new&limit=5").json()
        self.assertFalse(answer["fallback"])
        best = answer["items"][0]
        self.assertEqual((best["item_id"], best["rank"]), ("cup", 1))
        self.assertEqual(sum(reason["score"] for reason in best["reasons"]), best["score"])
        self.assertIn("tea", json.dumps(best["reasons"]))
        self.assertNotIn("tea", [item["item_id"] for item in answer["items"]])

    def test_popular_before_anything(self):
        """It is as of now, not of 1970."""
        answer = get(self.api, "/popular").json()
        self.assertEqual(answer["items"], [])
        self.assertEqual(answer["as_of"][:4], time.strftime("%Y", time.gmtime()))
        self.learn(event("a", "tea"))
        self.assertEqual(get(self.api, "/popular").json()["as_of"][:4], time.strftime("%Y", time.gmtime()))

    def test_unknown_user_gets_the_fallback(self):
        self.learn(event("a", "tea"))
        answer = get(self.api, "/recommendations?user_id=nobody")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.json()["fallback"])
        self.assertEqual(answer.headers["Cache-Control"], "private, no-store")

    def test_ids_with_slashes(self):
        self.learn(event("a/b c", "x/y"))
        answer = get(self.api, "/recommendations?user_id=a%2Fb+c").json()
        self.assertFalse(answer["fallback"] and any(item["item_id"] == "x/y" for item in answer["items"]))
        wait_for(lambda: [item["item_id"] for item in get(self.api, "/popular").json()["items"]] == ["x/y"], "popularity")

    def test_popular(self):
        self.learn(event("a", "tea"), event("b", "tea"), event("b", "cup"))
        wait_for(lambda: len(get(self.api, "/popular?window=24h&limit=2").json()["items"]) == 2, "popularity")
        answer = get(self.api, "/popular?window=24h&limit=2")
        self.assertEqual([item["item_id"] for item in answer.json()["items"]], ["tea", "cup"])
        self.assertTrue(answer.headers["ETag"])
        self.assertEqual(ask(self.api, "HEAD", "/popular").status, 200)

    def test_explain(self):
        for user in ("a", "b", "c"):
            self.learn(event(user, "tea"), event(user, "cup/saucer"), event(user, "pot"))
        self.learn(event("new", "tea"), event("other", "lamp"))
        question = "user_id=new&limit=1&seed=7"
        wait_for(lambda: {"lamp", "pot"} <= {item["item_id"] for item in get(self.api, "/recommendations?user_id=new").json()["items"]}, "popularity")
        told = get(self.api, f"/explain?{question}&item_id=tea&item_id=pot&item_id=lamp&item_id=no+such")
        self.assertEqual((told.status, told.headers["Cache-Control"]), (200, "private, no-store"), told.body)
        told, answer = told.json(), get(self.api, "/recommendations?" + question).json()
        for one in (told["answer"], answer):
            one.pop("recommendation_id")
        self.assertEqual(told["answer"], answer)
        self.assertEqual((told["user"]["user_id"], told["user"]["known"]), ("new", True))
        self.assertEqual([one["item_id"] for one in told["recents"]], ["tea"])
        self.assertAlmostEqual(sum(one["microseconds"] for one in told["stages"]), told["microseconds"], places=1)
        tea, pot, lamp, unknown = told["items"]
        self.assertEqual((tea["verdict"], tea["stage"]), ("dropped", "seen"))
        self.assertEqual(unknown["verdict"], "unknown")
        longer = get(self.api, "/recommendations?user_id=new&limit=20").json()["items"]
        for one in (pot, lamp):
            listed = [item for item in longer if item["item_id"] == one["item_id"]][0]
            self.assertEqual({name: one[name] for name in ("rank", "score", "reasons")}, {name: listed[name] for name in ("rank", "score", "reasons")})
            self.assertEqual(one["verdict"], "listed" if one["rank"] == 1 else "below_cut")
            self.assertEqual((one["cut"], one["distance"]), (answer["items"][0]["score"], answer["items"][0]["score"] - one["score"]))
        visitor = post(self.api, "/explain", {"session": ["tea"], "items": ["lamp"], "exclude": ["lamp"]}).json()
        self.assertEqual((visitor["user"]["user_id"], visitor["items"][0]["stage"]), (None, "exclude"))
        self.assert_problem(get(self.api, "/explain?user_id=new&item_id=x&item_id=x"), 400, "item_id")
        for item, status in (("", 400), ("x" * 257, 413)):
            problem = self.assert_problem(get(self.api, "/explain?user_id=new&item_id=" + item), status, "item_id")
            self.assertNotIn("items", problem["detail"])
        self.assert_problem(post(self.api, "/explain", {"user_id": "new", "items": ["x", ""]}), 400, "items[1]")
        self.assert_problem(get(self.api, "/explain?user_id=new&items=x"), 400, "items")
        self.assert_problem(post(self.api, "/explain", {"user_id": "new", "items": [f"i{i}" for i in range(101)]}), 413, "items")
        self.assert_problem(get(self.api, "/explain?item_id=x"), 400, "user_id")

    def test_questions_with_a_body(self):
        for user in ("a", "b", "c"):
            self.learn(event(user, "tea"), event(user, "cup/saucer"))
        self.learn(event("new", "pot"))

        def items(path, body):
            answer = post(self.api, path, body)
            self.assertEqual((answer.status, answer.headers["Cache-Control"]), (200, "private, no-store"), answer.body)
            return [item["item_id"] for item in answer.json()["items"]]

        self.assertEqual(items("/recommendations", {"session": ["tea"], "limit": 1}), ["cup/saucer"])
        self.assertEqual(items("/recommendations", {"user_id": "new", "session": [{"item_id": "tea", "event_type": "cart"}], "limit": 1}), ["cup/saucer"])
        self.assertEqual(items("/rank", {"session": ["tea"], "items": ["unknown", "pot", "cup/saucer"]}), ["cup/saucer", "pot", "unknown"])
        self.assertEqual(items("/similar", {"items": ["tea", "pot"]}), ["cup/saucer"])
        similar = get(self.api, "/items/cup%2Fsaucer/similar?limit=5")
        self.assertEqual([item["item_id"] for item in similar.json()["items"]], ["tea"])
        self.assertEqual(get(self.api, "/items/cup%2Fsaucer/similar?limit=5", **{"If-None-Match": similar.headers["ETag"]}).status, 304)
        self.assert_problem(get(self.api, "/items/unknown/similar"), 404, "items")
        self.assert_problem(get(self.api, "/items/tea/similar?items=pot"), 400, "items")
        batch = post(self.api, "/recommendations/batch", '{"user_id":"new"}\n{"user_id":""}\n{"session":["tea"]}\n', "application/x-ndjson").json()
        self.assertEqual([one["index"] for one in batch["answers"]], [0, 2])
        self.assertEqual([(one["index"], one["field"]) for one in batch["rejected"]], [(1, "user_id")])
        self.assert_problem(post(self.api, "/recommendations?limit=1", {"user_id": "a"}), 400, "limit")
        self.assert_problem(post(self.api, "/rank", {"user_id": "a", "items": ["x", "x"]}), 400, "items[1]")
        for path, body, field in (("/rank", {"user_id": "a", "items": ["x", 5]}, "items[1]"), ("/rank", {"user_id": "a", "items": ["x", ""]}, "items[1]"),
                                  ("/recommendations", {"user_id": "a", "exclude": ["x", "y", 5]}, "exclude[2]"),
                                  ("/recommendations", {"user_id": "a", "exclude": ["x", ""]}, "exclude[1]"),
                                  ("/console/items", {"items": ["i1", "i2", 5]}, "items[2]"), ("/console/items", {"items": [""]}, "items[0]")):
            self.assert_problem(post(self.api, path, body), 400, field)
        self.assert_problem(post(self.api, "/console/items", {"items": ["i1", "x" * 257]}), 413, "items[1]")
        for body in ({}, {"session": []}, {"user_id": None, "session": []}):
            self.assertIn("or a session", self.assert_problem(post(self.api, "/recommendations", body), 400, "user_id")["detail"])
        self.assert_problem(post(self.api, "/rank", '{"user_id":"a"}', "application/x-ndjson"), 415, "Content-Type")
        self.assert_problem(get(self.api, "/recommendations?session=tea"), 400, "user_id")
        wait_for(lambda: items("/popular", {"window": "24h", "limit": 1}) in (["tea"], ["cup/saucer"]), "popularity")

    def test_parameters(self):
        for path, field in (("/recommendations", "user_id"), ("/recommendations?user_id=", "user_id"), ("/recommendations?user_id=u&limt=1", "limt"),
                            ("/recommendations?user_id=u&user_id=v", "user_id"), ("/recommendations?user_id=u&limit=-1", "limit"),
                            ("/recommendations?user_id=u&limit=0", "limit"), ("/recommendations?user_id=u&limit=100000", "limit"),
                            ("/recommendations?user_id=u&min_position=zzz", "min_position"), ("/recommendations?user_id=%ff", "user_id"),
                            ("/recommendations?user_id=u&as_of=yesterday", "as_of"), ("/popular?window=x", "window"),
                            ("/popular?user_id=u", "user_id"),
                            ("/ready?verbos", "verbos"), ("/health?x=1", "x"), ("/metrics?x=1", "x")):
            self.assert_problem(get(self.api, path), 400, field)

    def test_items(self):
        run("reco", "--data", self.data, "items", "-", stdin='{"item_id":"a/b","title":"Tea & cups"}\n', check=0)
        answer = get(self.api, "/items/a%2Fb")
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json()["title"], "Tea & cups")
        self.assert_problem(get(self.api, "/items/a/b"), 404)
        self.assert_problem(get(self.api, "/items/none"), 404)
        self.assert_problem(get(self.api, "/items/%zz"), 400, "item_id")

    def put(self, path, document, kind="application/json"):
        return ask(self.api, "PUT", path, json.dumps(document) if not isinstance(document, str) else document, {"Content-Type": kind})

    def test_items_are_stored(self):
        self.learn(event("a", "tea"), event("b", "tea"), event("b", "cup"))
        wait_for(lambda: len(get(self.api, "/popular").json()["items"]) == 2, "popularity")
        answer = self.put("/items/tea", {"title": "Tea", "hidden": True, "colour": "green"})
        self.assertEqual((answer.status, answer.json()), (200, {"item_id": "tea", "title": "Tea", "hidden": True, "attributes": {"colour": "green"}}))
        self.assertEqual([item["item_id"] for item in get(self.api, "/popular").json()["items"]], ["cup"])
        self.assertEqual(self.put("/items/tea", {"item_id": "tea"}).json(), {"item_id": "tea"})
        self.assertEqual(len(get(self.api, "/popular").json()["items"]), 2)
        gone = ask(self.api, "DELETE", "/items/tea")
        self.assertEqual((gone.status, gone.body, gone.headers["Content-Length"]), (204, b"", None))
        self.assert_problem(get(self.api, "/items/tea"), 404, "item_id")

    def test_many_at_once(self):
        for path, name in (("/items", "item_id"), ("/users", "user_id")):
            answer = post(self.api, path, [{name: "one"}, {name: "two/2", "size": 3}])
            self.assertEqual((answer.status, answer.json()), (200, {path[1:]: 2}))
            self.assertEqual(get(self.api, path + "/two%2F2").json(), {name: "two/2", "attributes": {"size": 3}})
            answer = post(self.api, path, [{name: "three"}, {name: ""}, {}, {name: "four", "attributes": 7}])
            self.assert_problem(answer, 422, name)
            self.assertEqual([(error["index"], error["field"]) for error in answer.json()["errors"]], [(1, name), (2, name), (3, "attributes")])
            self.assert_problem(get(self.api, path + "/three"), 404, name)
            lines = ask(self.api, "POST", path, "".join(json.dumps({name: str(i)}) + "\n" for i in range(300)), {"Content-Type": "application/x-ndjson"})
            self.assertEqual(lines.json(), {path[1:]: 300})
            self.assert_problem(ask(self.api, "POST", path, "{", {"Content-Type": "application/json"}), 400)
            self.assert_problem(ask(self.api, "POST", path, "[]", {"Content-Type": "text/plain"}), 415, "Content-Type")
            self.assert_problem(post(self.api, path + "?atomic=true", []), 400, "atomic")
            self.assert_problem(ask(self.api, "DELETE", path), 405)

    def patch(self, path, document, kind="application/merge-patch+json"):
        return ask(self.api, "PATCH", path, json.dumps(document) if not isinstance(document, str) else document, {"Content-Type": kind})

    def test_a_part_is_changed(self):
        for path, name, field in (("/items", "item_id", "title"), ("/users", "user_id", "segment")):
            one = path + "/a%2Fb"
            self.assert_problem(self.patch(one, {field: "x"}), 404, name)
            self.put(one, {field: "old", "sizes": {"m": 1, "l": 2}, "price": 9.9})
            answer = self.patch(one, {"attributes": {"sizes": {"l": None}}, "colour": "red"})
            changed = {name: "a/b", field: "old", "attributes": {"sizes": {"m": 1}, "price": 9.9, "colour": "red"}}
            self.assertEqual((answer.status, answer.json()), (200, changed))
            for document, status, wrong in (({field: 7}, 422, field), ({name: "b"}, 422, name), ({"attributes": [1]}, 422, "attributes"), ("7", 422, "body"),
                                            ("null", 422, "body"), ("[ ]", 422, "body"), ('[{"title":"x"}]', 422, "body"), ("{}\n{}", 422, "body"),
                                            ({"x": "y" * 20000}, 422, "attributes"), ("[]", 422, "body"), ("[", 400, "body"), ("{", 400, None), ("", 400, None),
                                            ({"x": "y" * 70000}, 413, None), ('{"x":1,"x":2}', 422, None)):
                self.assert_problem(self.patch(one, document), status, wrong)
            for document, status in (("[]", 422), ("null", 422), ("5", 422), ('"x"', 422), ('[{"title":"x"}]', 422), ("{}\n{}", 422), ("[{", 400), ("nul", 400)):
                self.assert_problem(self.put(one, document), status, "body")
            self.assert_problem(self.put(one, "{}\n{}\n", "application/x-ndjson"), 422, "body")
            self.assert_problem(self.patch(one, {}, "application/x-ndjson"), 415, "Content-Type")
            self.assert_problem(self.patch(one, {}, "text/plain"), 415, "Content-Type")
            self.assert_problem(ask(self.api, "PATCH", one + "?x=1", "{}", {"Content-Type": "application/json"}), 400, "x")
            self.assert_problem(self.patch(path, {}), 405)
            self.assertEqual(get(self.api, one).json(), changed)
            self.assertEqual(self.patch(one, {field: None, "attributes": None}, "application/json; charset=utf-8").json(), {name: "a/b"})

    def test_selections(self):
        """Exclude lists, filters, caps, variants and pages, as parameters and in bodies; the same question gives the same answer."""
        for i in range(12):
            post(self.ingest, "/events", [event(f"v{k}", f"s{i}") for k in range(13 - i)])
            more = {"parent": "s1"} if i == 2 else {}
            self.put(f"/items/s{i}", {"brand": "acme" if i % 2 else "zeta", "price": i, "tags": ["new", f"t{i}"], "categories": ["books"], **more})
        wait_for(lambda: len(get(self.api, "/popular?limit=50&category=books").json()["items"]) == 11, "items are learned; s2 is a variant of s1")

        def asked(path, kind, **parameters):
            text = {name: json.dumps(value) if isinstance(value, (dict, bool)) else value for name, value in parameters.items()}
            answer = get(self.api, path + "?" + urllib.parse.urlencode({**kind, **text}, doseq=True))
            self.assertEqual(answer.status, 200, answer.body)
            body = post(self.api, path, {**kind, **parameters})
            self.assertEqual((body.status, body.json()["items"], body.json()["next"]), (200, answer.json()["items"], answer.json()["next"]))
            return [item["item_id"] for item in answer.json()["items"]], answer.json()["next"]

        for path, kind in (("/popular", {}), ("/recommendations", {"user_id": "nobody"})):
            of_books = {"categories": "books"}
            self.assertEqual(asked(path, kind, filter={"price": {"gte": 3, "lt": 6}, **of_books})[0], ["s3", "s4", "s5"])
            self.assertEqual(asked(path, kind, filter={"brand": "acme", "tags": {"not": ["t3", "t5"]}}, exclude=["s1", "s9"])[0], ["s7", "s11"])
            self.assertEqual(asked(path, kind, filter={"price": {"in": [0, 1, 2]}}, variants=True)[0], ["s0", "s1", "s2"])
            self.assertEqual(asked(path, kind, filter={"price": {"in": [0, 1, 2]}})[0], ["s0", "s1"])
            self.assertEqual(asked(path, kind, filter=of_books, caps={"brand": 2})[0], ["s0", "s1", "s3", "s4"])
            self.assertEqual(asked(path, kind, filter={"brand": 7})[0], [])
            shown, more = asked(path, kind, filter=of_books, limit=5)
            while more:
                page, more = asked(path, kind, filter=of_books, limit=4, cursor=more)
                shown += page
            self.assertEqual(shown, [f"s{i}" for i in range(12) if i != 2])
            more = asked(path, kind, filter=of_books, limit=5)[1]
            for wrong in ({"filter": {"brand": []}}, {"filter": {"a": {"near": 1}}}, {"caps": {"brand": 0}}, {"cursor": more}, {"cursor": "x"}):
                field = next(iter(wrong))
                text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in wrong.items()}
                for answer in (get(self.api, path + "?" + urllib.parse.urlencode({**kind, **text})), post(self.api, path, {**kind, **wrong})):
                    self.assertEqual(answer.status, 400)
                    self.assertEqual(answer.json()["errors"][0]["field"].split(".")[0], field)
        answer = post(self.api, "/rank", {"user_id": "nobody", "items": ["s4", "s3", "s2"], "filter": {"brand": "zeta"}})
        self.assertEqual([item["item_id"] for item in answer.json()["items"]], ["s2", "s4"])
        answer = get(self.api, "/items/s1/similar?exclude=s0&exclude=s3&filter=" + urllib.parse.quote('{"price":{"lte":5}}'))
        self.assertEqual({item["item_id"] for item in answer.json()["items"]} - {"s4", "s5"}, set())

    def test_users(self):
        answer = self.put("/users/a%2Fb", {"segment": "new", "attributes": {"age": 30}, "city": "Graz"})
        self.assertEqual((answer.status, answer.json()), (200, {"user_id": "a/b", "segment": "new", "attributes": {"age": 30, "city": "Graz"}}))
        self.assertEqual(get(self.api, "/users/a%2Fb").json(), answer.json())
        for document, field in (({"user_id": "other"}, "user_id"), ({"segment": 7}, "segment"), ({"segment": "x" * 257}, "segment"),
                                ({"attributes": []}, "attributes"), ({"attributes": {"x": "y" * 20000}}, "attributes"), ("[]", "body"),
                                ('[{"user_id":"a/b"},{"user_id":"a/b"}]', "body"), (' [{"user_id":"a/b"}]', "body"), ('{"x":1,"x":2}', None)):
            answer = self.put("/users/a%2Fb", document)
            self.assertIn(answer.status, (400, 422))
            self.assert_problem(answer, answer.status, field)
        self.assertEqual(get(self.api, "/users/a%2Fb").json()["segment"], "new")
        self.assertEqual(ask(self.api, "DELETE", "/users/a%2Fb").status, 204)
        self.assertEqual(ask(self.api, "DELETE", "/users/a%2Fb").status, 204)
        self.assert_problem(get(self.api, "/users/a%2Fb"), 404, "user_id")
        self.assert_problem(self.put("/users/" + "x" * 300, {}), 413, "user_id")

    def test_health_and_ready(self):
        for port in (self.ingest, self.processor, self.api):
            self.assertEqual(get(port, "/health").status, 200)
            self.assertEqual(get(port, "/ready").status, 200)
            details = get(port, "/ready?verbose").json()
            self.assertIn("lag", details)
            self.assertIn("lag_ms", details)


class Metrics(WithData):
    def setUp(self):
        super().setUp()
        self.all = self.serve()

    def read(self, port):
        answer = get(port, "/metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        return answer.body.decode()

    def value(self, text, start):
        found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(start)]
        return float(found[0]) if found else 0

    def test_counts_every_status(self):
        post(self.all.ingest, "/events", event("u", "a"))
        post(self.all.ingest, "/events", "{")
        get(self.all.ingest, "/nothing/of/the/kind")
        ask(self.all.ingest, "TRACE", "/events")
        text = self.read(self.all.ingest)
        for labels in ('method="POST",route="/events",status="202"', 'method="POST",route="/events",status="400"',
                       'method="GET",route="",status="404"',
                       'method="other",route="/events",status="405"'):
            self.assertEqual(self.value(text, "http_requests_total{%s}" % labels), 1, labels)
            self.assertEqual(self.value(text, 'http_request_duration_seconds_bucket{%s,le="+Inf"}' % labels), 1)
            self.assertEqual(self.value(text, "http_request_duration_seconds_count{%s}" % labels), 1)
            self.assertGreater(self.value(text, "http_request_duration_seconds_sum{%s}" % labels), 0)
        self.assertNotIn("nothing/of", text)

    def test_engine_and_process(self):
        post(self.all.ingest, "/events", event("u", "a"))
        text = self.read(self.all.api)
        self.assertIn("\nprocess_resident_memory_bytes ", text)
        self.assertIn("\nreco_build_info{", text)
        memory = {kind: self.value(text, 'reco_memory_bytes{kind="%s"}' % kind) for kind in ("recommend", "allocated", "anonymous")}
        self.assertTrue(0 < memory["recommend"] < memory["allocated"], memory)
        self.assertGreater(memory["anonymous"], 0)
        self.assertRegex(text, r"\nreco_[a-z_]+_total")
        effect = "reco_event_to_effect_seconds"
        self.assertIn(f"# TYPE {effect} histogram\n{effect}_bucket{{le=\"0.001\"}} ", text)
        wait_for(lambda: self.value(self.read(self.all.processor), effect + "_count") == 1, "the event is learned")
        text = self.read(self.all.processor)
        self.assertEqual(self.value(text, effect + '_bucket{le="+Inf"}'), 1)
        self.assertLess(self.value(text, effect + "_sum"), PATIENCE)
        families = re.findall(r"^# TYPE (\S+)", text, re.M)
        self.assertEqual(len(families), len(set(families)))
        self.assertEqual(re.findall(r"^# HELP (\S+)", text, re.M), families)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool(self):
        post(self.all.ingest, "/events", event("u", "a"))
        get(self.all.api, "/recommendations?user_id=u")
        for port in (self.all.ingest, self.all.api, self.all.processor):
            done = subprocess.run(["promtool", "check", "metrics"], input=self.read(port), capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


class Connections(WithData):
    def test_64_keep_alive(self):
        everything = self.serve()
        connections = [http.client.HTTPConnection("127.0.0.1", everything.api, timeout=PATIENCE) for _ in range(64)]
        for _ in range(3):
            for one in connections:
                one.request("GET", "/health")
                response = one.getresponse()
                response.read()
                self.assertEqual((response.status, response.headers["Connection"]), (200, "keep-alive"))
        self.assertEqual(get(everything.api, "/ready").status, 200)
        for one in connections:
            one.close()

    def test_more_connections_than_threads(self):
        api = self.service("reco-ingest", "--set", "services.http_threads=4")
        kept = [http.client.HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE) for _ in range(4)]
        for one in kept:
            one.request("GET", "/health")
            one.getresponse().read()
        for _ in range(50):
            self.assertEqual(get(api.port, "/health").headers["Connection"], "close")
        for one in kept:
            one.request("GET", "/health")
            self.assertEqual(one.getresponse().read(), b'{"status":"ok"}\n')
            one.close()

    def test_overload(self):
        service = self.service("reco-ingest", "--set", "services.http_threads=2", "--set", "services.request_timeout=60s")
        head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        slow = []
        while len(slow) < 2:  # one that comes while the metrics are asked for may be too many itself: it is told so, and tries again
            connection = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)
            self.addCleanup(connection.close)
            connection.sendall(head)
            told = lambda: bool(select.select([connection], [], [], 0)[0])
            wanted = b"http_requests_in_flight %d" % (len(slow) + 2)
            wait_for(lambda: told() or wanted in get(service.port, "/metrics").body, "a request to be under way")
            if not told():
                slow.append(connection)
        refused = post(service.port, "/events", event("u", "a"))
        self.assert_problem(refused, 503)
        self.assertTrue(refused.headers["Retry-After"])
        self.assertEqual(get(service.port, "/health").status, 200)
        for connection in slow:
            connection.sendall(b" " * 49)
            self.assertIn(b" 400 ", connection.recv(4000))
        self.assertEqual(post(service.port, "/events", event("u", "a")).status, 202)

    def test_parallel_posts(self):
        everything = self.serve()
        failures = []

        def work(number):
            connection = http.client.HTTPConnection("127.0.0.1", everything.ingest, timeout=PATIENCE)
            for i in range(20):
                connection.request("POST", "/events", body=json.dumps(event(f"u{number}", f"i{i}", event_id=f"{number}-{i}")),
                                   headers={"Content-Type": "application/json"})
                response = connection.getresponse()
                body = response.read()
                if response.status != 202:
                    failures.append((response.status, body))
            connection.close()
        threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(everything.stop(), 0)
        result = json.loads(run("reco", "--data", self.data, "verify", "--json", check=0).stdout)
        self.assertTrue(result["equal"])


class Ending(WithData):
    def test_signals(self):
        programs = ("reco-ingest", "reco-api", "reco-processor")
        services = [(self.service(program), number) for number in (signal.SIGTERM, signal.SIGINT) for program in programs]
        for service, number in services:
            self.assertEqual(get(service.port, "/ready").status, 200)
        for service, number in services:
            service.process.send_signal(number)
        for service, number in services:
            self.assertEqual(service.process.wait(PATIENCE), 0, service.log_text())

    def test_request_under_way_is_finished(self):
        service = self.service("reco-ingest")
        body = json.dumps(event("u", "a")).encode()
        with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE) as slow:
            slow.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (len(body), body[:5]))
            wait_for(lambda: b"http_requests_in_flight 2" in get(service.port, "/metrics").body, "the request to be under way")
            service.process.send_signal(signal.SIGTERM)
            wait_for(lambda: get(service.port, "/ready").status == 503, "draining")
            self.assertEqual(get(service.port, "/health").status, 200)
            refused = post(service.port, "/events", event("u", "b"))
            self.assert_problem(refused, 503)
            self.assertTrue(refused.headers["Retry-After"])
            slow.sendall(body[5:])
            self.assertIn(b" 202 ", slow.recv(4000))
        self.assertEqual(service.process.wait(PATIENCE), 0)
        self.assertEqual(json.loads(run("reco", "--data", self.data, "verify", "--json", check=0).stdout)["equal"], True)

    def test_killed_service_lost_nothing(self):
        service = self.service("reco-ingest")
        self.assertEqual(post(service.port, "/events", event("u", "kept")).status, 202)
        service.process.kill()
        service.process.wait()
        everything = self.serve()
        wait_for(lambda: [item["item_id"] for item in get(everything.api, "/popular").json()["items"]] == ["kept"], "the event to be learned")


class Refusing(WithData):
    """/ready where events are refused and all else works."""

    def setUp(self):
        super().setUp()
        shim = os.path.join(BUILD, "lib", "libtest_world.so")
        if not os.path.exists(shim):
            self.skipTest("built with a sanitizer, whose runtime has to come first")
        self.world = os.path.join(self.folder, "world")
        self.env = environment(LD_PRELOAD=shim, TEST_WORLD=self.world)

    def worse(self, what):
        with open(self.world + "." + what, "w"):
            pass

    def better(self, what):
        os.unlink(self.world + "." + what)

    def refuses(self, port, others, what, status, field, words):
        self.assertEqual(post(port, "/events", event("u", "a")).status, 202)
        self.assertEqual(get(port, "/ready").status, 200)
        self.worse(what)
        self.assertEqual(post(port, "/events", event("u", "a")).status, status)
        problem = self.assert_problem(get(port, "/ready"), 503, field)
        self.assertIn(words, problem["detail"])
        self.assertEqual(get(port, "/health").status, 200)
        for other in others:
            self.assertEqual(get(other, "/ready").status, 200)
        self.better(what)

    def test_a_clock_that_ran_away(self):
        everything = self.serve(env=self.env)
        self.refuses(everything.ingest, (everything.api, everything.processor), "clock", 503, "received_at", "ahead of the monotonic clock")
        self.assertEqual(get(everything.ingest, "/ready").status, 200)

    def test_the_api_that_takes_events(self):
        """The console in the mode `write` posts to its own service."""
        everything = self.serve("--console", "write", env=self.env)
        self.refuses(everything.api, (everything.processor,), "clock", 503, "received_at", "ahead of the monotonic clock")
        self.assertEqual(get(everything.api, "/ready").status, 200)
        everything.end()
        api = self.service("reco-api", "--console", "write", env=self.env)
        self.refuses(api.port, (), "disk", 500, "stream", "Input/output error")

    def test_a_disk_that_is_full(self):
        room = os.statvfs(self.folder)
        if room.f_bavail * room.f_frsize >= 1 << 40:
            self.skipTest("a TiB is free")
        self.serve().stop()  # a new folder is not made on a full disk
        for console, status in (("write", 507), ("read", 200)):
            everything = self.serve("--console", console, "--set", "limits.min_free=1TiB")
            port = everything.api if console == "write" else everything.ingest
            self.assert_problem(post(port, "/events", event("u", "a")), 507)
            self.assert_problem(get(everything.ingest, "/ready"), 507, "stream")
            self.assertEqual(get(everything.api, "/ready").status, status)
            everything.end()

    def test_a_disk_that_fails(self):
        ingest = self.service("reco-ingest", env=self.env)
        self.refuses(ingest.port, (self.service("reco-api").port,), "disk", 500, "stream", "Input/output error")
        self.assertEqual(get(ingest.port, "/ready").status, 503)  # nothing was taken since
        if post(ingest.port, "/events", event("u", "a")).status == 202:
            self.assertEqual(get(ingest.port, "/ready").status, 200)


class Starting(WithData):
    def test_logs_are_json(self):
        service = self.service("reco-ingest", "--set", "log.level=debug")
        get(service.port, "/health")
        self.assertEqual(service.stop(), 0)
        lines = [json.loads(line) for line in service.log_text().splitlines()]
        self.assertTrue(any(line.get("listening") == f"127.0.0.1:{service.port}" for line in lines), lines)
        self.assertTrue(any(line.get("route") == "/health" and line.get("status") == 200 for line in lines), lines)
        for line in lines:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("error", "warn", "info", "debug"))
            self.assertTrue(line["room"] and line["message"])

    def test_port_taken(self):
        service = self.service("reco-ingest")
        done = run("reco-ingest", "--data", self.data + "2", "--listen", f"127.0.0.1:{service.port}", check=1)
        self.assertIn("in use", done.stderr)

    def test_refusals(self):
        for listen in ("nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "[::1]:80", ":80", "127.0.0.1:443s"):
            done = run("reco-api", "--data", self.data, "--listen", listen, check=2)
            self.assertIn("(listen)", done.stderr, listen)
        self.assertIn("TLS", run("reco-api", "--data", self.data, "--listen", "127.0.0.1:443s", check=2).stderr)

    def test_precedence(self):
        config = os.path.join(self.folder, "reco.yaml")
        with open(config, "w") as file:
            file.write("services:\n  events_max: 1\n  body_max: 1KiB\n")
        two = [event("u", "a"), event("u", "b")]
        self.assertEqual(post(self.service("reco-ingest", "--config", config).port, "/events", two).status, 413)
        self.assertEqual(post(self.service("reco-ingest", env=environment(RECO_CONFIG=config)).port, "/events", two).status, 413)
        env = environment(RECO_SERVICES_EVENTS_MAX="2")
        self.assertEqual(post(self.service("reco-ingest", "--config", config, env=env).port, "/events", two).status, 202)
        flags = self.service("reco-ingest", "--config", config, "--set", "services.events_max=1", env=env)
        self.assertEqual(post(flags.port, "/events", two).status, 413)


if __name__ == "__main__":
    unittest.main()
