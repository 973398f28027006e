"""What surrounds the answers: gzip both ways, conditional GET, CORS, HEAD."""
import gzip
import json
import unittest
import zlib

from http_support import Everywhere, WithData, ask, event, get, post, raw, run, wait_for

ORIGIN = "https://shop.example"


def items(count):
    return [{"item_id": f"item-{i}", "title": "words to be packed " * 3} for i in range(count)]


class Packed(WithData):
    """gzip."""

    def setUp(self):
        super().setUp()
        self.all = self.serve("--set", "services.body_max=64KiB")

    def send(self, body, encoding="gzip", path="/events", port=None):
        headers = {"Content-Type": "application/json"}
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        return ask(port or self.all.ingest, "POST", path, body, headers)

    def test_bodies(self):
        plain = json.dumps(event("u", "a")).encode()
        for packed in (gzip.compress(plain), gzip.compress(plain[:9]) + gzip.compress(plain[9:]), gzip.compress(plain, 0)):
            for encoding in ("gzip", "GZIP", "x-gzip"):
                answer = self.send(packed, encoding)
                self.assertEqual((answer.status, answer.json()["accepted"]), (202, 1))
        self.assertEqual(self.send(plain, "identity").status, 202)
        self.assertEqual(self.send(gzip.compress(json.dumps(items(100)).encode()), path="/items", port=self.all.api).json(), {"items": 100})

    def test_chunks(self):
        packed = gzip.compress(json.dumps(event("u", "a")).encode())
        answer = ask(self.all.ingest, "POST", "/events", iter([packed[:7], packed[7:]]), {"Content-Type": "application/json", "Content-Encoding": "gzip"})
        self.assertEqual(answer.status, 202, answer.body)

    def test_chunk_extensions(self):
        """Refused as a whole, and what follows is no request; a civetweb that ignores them may take it."""
        body = json.dumps(event("u", "a")).encode()
        head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        next_one = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        for first, last in ((b";a=b", b""), (b"", b";x"), (b';a="b c"', b";x"), (b";" + b"x" * 2000, b"")):
            answer = raw(self.all.ingest, head + b"%x%s\r\n%s\r\n0%s\r\n\r\n" % (len(body), first, body, last) + next_one)
            if not answer.startswith(b"HTTP/1.1 202 "):
                self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
                self.assertIn(b"chunk extensions", answer)
                self.assertIn(b"Connection: close", answer)
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)

    def test_broken(self):
        packed = gzip.compress(json.dumps(event("u", "a")).encode())
        for body in (b"", b"{}", packed[:-1], packed[:-9], packed + b"x", packed[:20] + b"\0\0\0" + packed[23:], zlib.compress(b"{}"), packed[:5]):
            self.assert_problem(self.send(body), 400, "Content-Encoding")
        self.assert_problem(self.send(gzip.compress(b"{")), 400)

    def test_foreign(self):
        for encoding in ("br", "deflate", "gzip, gzip", "", "gzip;q=1"):
            answer = self.send(b"{}", encoding)
            self.assert_problem(answer, 415, "Content-Encoding")
            self.assertEqual(answer.headers["Accept-Encoding"], "gzip, identity")

    def test_bombs(self):
        """The limit is that of what comes out, however little goes in."""
        fits, one_more = gzip.compress(b" " * 65536), gzip.compress(b" " * 65537)
        self.assertLess(len(one_more), 200)
        self.assert_problem(self.send(fits), 400)
        self.assert_problem(self.send(one_more), 413)
        self.assert_problem(self.send(gzip.compress(b" " * 50_000_000)), 413)
        self.assert_problem(self.send(gzip.compress(b" " * 40000) * 2), 413)
        self.assertLess(self.memory(), 200_000_000)

    def memory(self):
        with open(f"/proc/{self.all.process.pid}/status", encoding="utf-8") as file:
            return int(next(line for line in file if line.startswith("RssAnon")).split()[1]) * 1024

    def test_answers(self):
        self.send(gzip.compress(json.dumps(items(1)).encode()), path="/items", port=self.all.api)
        plain = get(self.all.api, "/openapi.json")
        self.assertIsNone(plain.headers["Content-Encoding"])
        self.assertIn("Accept-Encoding", plain.headers["Vary"])
        for accept, packed in (("gzip", True), ("x-gzip", True), ("deflate, gzip;q=0.5, br", True), ("*", True), ("GZIP ; Q=1", True), ("gzip;q=0.001", True),
                               ("gzip;q=0", False), ("gzip;q=0.000", False), ("*;q=0", False), ("gzip;q=0, *", False), ("br", False), ("", False),
                               ("identity, gzip;q=0.5", False), ("identity;q=0.3, gzip;q=0.4", True), ("identity;q=0, gzip", True), ("gzipped", False)):
            answer = get(self.all.api, "/openapi.json", **{"Accept-Encoding": accept})
            self.assertEqual(answer.headers["Content-Encoding"], "gzip" if packed else None, accept)
            body = gzip.decompress(answer.body) if packed else answer.body
            self.assertEqual(body, plain.body)
            self.assertEqual((answer.headers["ETag"], answer.headers["Vary"]), (plain.headers["ETag"], plain.headers["Vary"]))
        small = get(self.all.api, "/health", **{"Accept-Encoding": "gzip"})
        self.assertIsNone(small.headers["Content-Encoding"])
        head = ask(self.all.api, "HEAD", "/openapi.json", headers={"Accept-Encoding": "gzip"})
        self.assertEqual((head.body, head.headers["Content-Encoding"]), (b"", "gzip"))
        self.assertIn(b"\x1f\x8b", get(self.all.processor, "/metrics", **{"Accept-Encoding": "gzip"}).body[:2])


class Conditional(WithData):
    """ETag and If-None-Match."""

    def setUp(self):
        super().setUp()
        self.all = self.serve()

    def paths(self):
        return ["/popular", "/popular?window=24h", "/items/a/similar", "/openapi.json"]

    def test_not_modified(self):
        post(self.all.ingest, "/events", event("u", "a"))
        wait_for(lambda: get(self.all.api, "/popular").json()["items"], "popularity")
        for path in self.paths():
            first = get(self.all.api, path)
            tag = first.headers["ETag"]
            self.assertRegex(tag, r'^W/"[0-9a-f]{16}"$')
            for sent in (tag, tag[2:], "*", f'"x", {tag}', f'W/"y" ,{tag[2:]}, "z"'):
                for method in ("GET", "HEAD"):
                    answer = ask(self.all.api, method, path, headers={"If-None-Match": sent})
                    self.assertEqual((answer.status, answer.body, answer.headers["ETag"]), (304, b"", tag), sent)
                    self.assertEqual(answer.headers["Cache-Control"], first.headers["Cache-Control"])
                    self.assertEqual(answer.headers["Vary"], first.headers["Vary"])
                    self.assertIsNone(answer.headers["Content-Length"])
                    self.assertIsNone(answer.headers["Content-Type"])
            for sent in ('"x"', 'W/"0000000000000000"', tag.strip('W/"'), tag[:-1], "", '"*"'):
                self.assertEqual(get(self.all.api, path, **{"If-None-Match": sent}).status, 200, sent)

    def test_changes(self):
        post(self.all.ingest, "/events", event("u", "a"))
        wait_for(lambda: get(self.all.api, "/popular").json()["items"], "popularity")
        tag = get(self.all.api, "/popular").headers["ETag"]
        post(self.all.ingest, "/events", event("v", "b"))
        wait_for(lambda: get(self.all.api, "/popular", **{"If-None-Match": tag}).status == 200, "the answer to change")
        self.assertNotEqual(get(self.all.api, "/popular").headers["ETag"], tag)

    def test_personal(self):
        answer = get(self.all.api, "/recommendations?user_id=u", **{"If-None-Match": "*"})
        self.assertEqual((answer.status, answer.headers["ETag"], answer.headers["Cache-Control"]), (200, None, "private, no-store"))

    def test_errors_are_not_conditional(self):
        self.assert_problem(get(self.all.api, "/popular?limit=0", **{"If-None-Match": "*"}), 400, "limit")


class Origins(WithData):
    """CORS."""

    def preflight(self, port, path, origin, method="POST"):
        return ask(port, "OPTIONS", path, headers={"Origin": origin, "Access-Control-Request-Method": method,
                                                   "Access-Control-Request-Headers": "content-type"})

    def allowed(self, answer):
        return answer.headers["Access-Control-Allow-Origin"]

    def test_none_is_listed(self):
        port = self.service("reco-ingest").port
        answer = get(port, "/health", Origin=ORIGIN)
        self.assertEqual((answer.status, self.allowed(answer)), (200, None))
        self.assertNotIn("Origin", answer.headers["Vary"])
        self.assert_problem(self.preflight(port, "/events", ORIGIN), 405)

    def test_list(self):
        port = self.service("reco-ingest", "--set", f"services.cors_origins={ORIGIN}, http://localhost:3000").port
        for origin in (ORIGIN, "http://localhost:3000"):
            answer = self.preflight(port, "/events", origin)
            self.assertEqual((answer.status, answer.body, self.allowed(answer)), (204, b"", origin))
            self.assertEqual(answer.headers["Access-Control-Allow-Methods"], "POST")
            self.assertIn("Content-Type", answer.headers["Access-Control-Allow-Headers"])
            self.assertTrue(answer.headers["Access-Control-Max-Age"])
            self.assertIn("Origin", answer.headers["Vary"])
            self.assertIsNone(answer.headers["Access-Control-Allow-Credentials"])
            for real, status in ((post(port, "/events", event("u", "a"), headers={"Origin": origin}), 202),
                                 (post(port, "/events", "{", headers={"Origin": origin}), 400), (get(port, "/nothing", Origin=origin), 404)):
                self.assertEqual((real.status, self.allowed(real)), (status, origin))
                self.assertIn("ETag", real.headers["Access-Control-Expose-Headers"])
        for origin in ("https://evil.example", "null", ORIGIN + ".evil.example", ORIGIN[:-1], ORIGIN + ":8443", "http://shop.example", ""):
            self.assert_problem(self.preflight(port, "/events", origin), 403, "Origin")
            answer = post(port, "/events", event("u", "a"), headers={"Origin": origin})
            self.assertEqual((answer.status, self.allowed(answer)), (202, None), origin)
            self.assertIn("Origin", answer.headers["Vary"])
        self.assertIsNone(self.allowed(post(port, "/events", event("u", "a"))))
        self.assert_problem(self.preflight(port, "/nothing", ORIGIN), 404)
        self.assert_problem(ask(port, "OPTIONS", "/events", headers={"Origin": ORIGIN}), 405)
        self.assertEqual(self.preflight(port, "/health", ORIGIN).headers["Access-Control-Allow-Methods"], "GET, HEAD")

    def test_all(self):
        port = self.service("reco-ingest", "--set", "services.cors_origins=*").port
        for answer in (get(port, "/health", Origin="https://any.example"), self.preflight(port, "/events", "null")):
            self.assertEqual(self.allowed(answer), "*")
            self.assertIsNone(answer.headers["Access-Control-Allow-Credentials"])

    def test_refused_settings(self):
        for value in ("shop.example", "https://", "https://shop.example/path", "https://a b", "https://a\r\nX: y", "null", "x" * 1100 + "://y"):
            done = run("reco-ingest", "--data", self.data, "--listen", "127.0.0.1:0", "--set", "services.cors_origins=" + value, check=2)
            self.assertIn("services.cors_origins", done.stderr, value)


class Hosts(WithData):
    """By which names a service is asked."""

    OURS = ("127.0.0.1", "127.0.0.1:8080", "localhost", "LocalHost:1", "localhost.", "shop.localhost:8080", "[::1]:8080", "[::1]", "10.1.2.3",
            "backend", "shop_api:8080", "x", "", "localhost:", "[::ffff:10.0.0.1]:80")
    OTHERS = ("elsewhere.example", "elsewhere.example:8080", "localhost.example", "127.0.0.1.example", "127.0.0.1x", "[::1", "[x]", "a.b", "xn--e1afmkfd.example",
              "[::1].evil", "[::1]evil", "[::1].", "[]", "localhost/evil", "localhost/../evil", "evil%2Eexample", "x:80.evil", "x:80:90", "x y", "x@y", "x\\y", "..", "\u00e4".encode().decode("latin-1"))

    def everywhere(self, *arguments):
        service = Everywhere("reco-ingest", self.data, *arguments)
        self.addCleanup(service.end)
        return service.port

    def sent(self, port, host, **headers):
        return post(port, "/events", event("u", "a"), headers={"Host": host, **headers})

    def test_loopback(self):
        port = self.service("reco-ingest").port
        for host in self.OURS:
            self.assertEqual(self.sent(port, host).status, 202, host)
        for host in self.OTHERS:
            problem = self.assert_problem(self.sent(port, host), 403, "Host")
            self.assertIn("services.hosts", problem["detail"])
            self.assert_problem(get(port, "/nothing", Host=host), 403, "Host")
            for path in ("/health", "/ready", "/metrics", "/openapi.json"):
                self.assertEqual(get(port, path, Host=host).status, 200, path)
        told = get(port, "/metrics").body.decode()
        self.assertIn(f"reco_events_accepted_total {len(self.OURS)}\n", told, "what was refused changed nothing")

    def test_two_origins(self):
        """Where a proxy and we might take different ones, neither is taken."""
        port = self.service("reco-api").port
        head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n%sConnection: close\r\n\r\n"
        self.assertTrue(raw(port, head % b"").startswith(b"HTTP/1.1 200 "))
        for twice in (b"Origin: https://elsewhere.example\r\n", b"origin: http://localhost\r\n", b"Origin:\r\n"):
            answer = raw(port, head % twice)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 ") and b"Origin" in answer, answer)

    def test_reading(self):
        """What people did is not read by a page that has the service's address under another name."""
        port = self.service("reco-api").port
        for path in ("/recommendations?user_id=u", "/explain?user_id=u", "/users/u", "/popular", "/"):
            self.assert_problem(get(port, path, Host="elsewhere.example"), 403, "Host")
        self.assertEqual(get(port, "/popular", Host=f"localhost:{port}").status, 200)

    def test_listed(self):
        port = self.service("reco-ingest", "--set", "services.hosts=reco.example, shop-1.internal").port
        for host in ("reco.example", "RECO.example:8443", "reco.example.", "shop-1.internal", "localhost", "127.0.0.1"):
            self.assertEqual(self.sent(port, host).status, 202, host)
        for host in ("a.reco.example", "reco.example.evil.example", "co.example"):
            self.assert_problem(self.sent(port, host), 403, "Host")

    def test_any(self):
        port = self.service("reco-ingest", "--set", "services.hosts=*").port
        self.assertEqual(self.sent(port, "elsewhere.example").status, 202)

    def test_everywhere(self):
        """Names of networks and proxies are not known here, until they are listed."""
        self.assertEqual(self.sent(self.everywhere(), "reco-ingest.shop.svc:8080", Origin="https://shop.example").status, 202)

    def test_everywhere_listed(self):
        port = self.everywhere("--set", "services.hosts=reco.example")
        self.assertEqual([self.sent(port, host).status for host in ("reco.example", "10.1.2.3:80", "elsewhere.example")], [202, 202, 403])

    def test_refused_settings(self):
        for value in ("https://reco.example", "reco.example:8080", "reco.example.", "a/b", "*.example", "[::1]", "x" * 1100):
            done = run("reco-ingest", "--data", self.data, "--listen", "127.0.0.1:0", "--set", "services.hosts=" + value, check=2)
            self.assertIn("services.hosts", done.stderr, value)


if __name__ == "__main__":
    unittest.main()
