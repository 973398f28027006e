"""Requests that no client of good faith would send, over raw sockets: no crash, no leak, no 500, no connection that hangs. What is sent is a function of
RECO_FUZZ_SEED (default 1) and the number of a request; a failure prints both. RECO_FULL=1: two hundred times as many. In the asan stage the server is
built with the address sanitizer, and ends with a failure when it leaked."""
import gzip
import os
import random
import re
import signal
import socket
import sys
import unittest
import urllib.parse

from http_support import PATIENCE, WithData, event, get, post
from openapi_support import SERVICES, Documented, written

SEED = int(os.environ.get("RECO_FUZZ_SEED", "1"))
COUNT = 200_000 if os.environ.get("RECO_FULL") else 1_000
STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.M)
PATHS = ["/", "//", "/.", "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e", "/./events", "/events/", "/events//", "/events;a=b", "/events%00", "/events%2f",
         "/EVENTS", "/items/", "/items/%", "/items/%f", "/items/%2F", "/items/a%2Fb", "/items/\xff", "/items/a/similar/similar", "/items//similar", "*", "",
         "health", "http://x/health", "http://x:1/health", "https://x/health", "http://", "ftp://x/", "/health?", "/health??", "/health?&&&", "/health?=",
         "/health?a=%", "/health#a", "/health\\", "/\u00e9", "/" + "a" * 5000, "/" + "%41" * 3000, "/" + "a/" * 2000, "/health?" + "a=1&" * 2000]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "G", "", "GET GET", "PROPFIND", "M" * 300, "\0", "POST\t"]
VERSIONS = ["HTTP/1.1"] * 12 + ["HTTP/1.0", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.", "HTTP/1.1.1", "http/1.1", "", "HTTP/1.1 x", "HTTP/99999999999"]
HEADERS = ["Content-Length: -1", "Content-Length: 0x10", "Content-Length: 99999999999999999999", "Content-Length: 5, 5", "Content-Length:", "Content-Length : 4",
           "Content-Length: 4", "Content-Length: 0", "Content-Length: 1000000", "Transfer-Encoding: chunked", "Transfer-Encoding: Chunked, identity",
           "Transfer-Encoding: gzip", "Transfer-Encoding:\tchunked", "Transfer-Encoding : chunked", "Content-Encoding: gzip", "Content-Encoding: br",
           "Content-Encoding: gzip, gzip", "Content-Type: application/json", "Content-Type: application/x-ndjson", "Content-Type: text/plain",
           "Content-Type: application/merge-patch+json", "Content-Type:", "Expect: 100-continue", "Expect: x", "Connection: close", "Connection: keep-alive",
           "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Upgrade: h2c", "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0,*;q=;;,,",
           "If-None-Match: *", "If-None-Match: W/", 'If-None-Match: """"', "Origin: null", "Origin: https://a", "Access-Control-Request-Method: POST",
           "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "traceparent: " + "0" * 1000, "Range: bytes=0-1", "Host:", "Host: a",
           "Authorization: Basic eDp5", "Cookie: " + "a=b;" * 500, " folded: x", "\tfolded", ": none", "none", "A" * 3000 + ": x", "A: " + "x" * 9000,
           "A: \xff\xfe", "A: a\0b", "A: a\rb", "", "X-HTTP-Method-Override: DELETE", "Trailer: A", "TE: trailers", "Proxy-Connection: close"]
CHUNKS = [b"0\r\n\r\n", b"5\r\nabc", b"ffffffffffffffff\r\nab\r\n", b"-1\r\n\r\n", b"1;a=b\r\n{\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\nA: b\r\n\r\n", b"2\r\n{}0\r\n\r\n", b"\r\n",
          b"0x2\r\n{}\r\n0\r\n\r\n", b"2 \r\n{}\r\n0\r\n\r\n", b"00000000000000000000002\r\n{}\r\n0\r\n\r\n", b"2\n{}\n0\n\n", b"7fffffff\r\n{", b"1\r\n" * 500, b"g\r\n"]


class Generator:
    """What to send as the nth connection."""

    def __init__(self, service):
        self.operations = Documented(service).operations

    def valid(self, rng):
        """A request as the document has it: method, target, headers, body."""
        one = rng.choice(self.operations)
        path, query = one.path, {}
        for parameter in one.parameters:
            example = str(parameter.get("example", parameter["schema"].get("default", "1")))
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], urllib.parse.quote(example, safe=""))
            elif parameter["in"] == "query" and (parameter.get("required") or rng.random() < 0.3):
                query[parameter["name"]] = example
        headers, body = ["Host: localhost"], b""
        content = one.source.get("requestBody", {}).get("content", {})
        if content:
            kind = rng.choice(list(content))
            example = content[kind].get("example") or next(iter(content[kind].get("examples", {"a": {"value": {}}}).values()))["value"]
            body = written(kind, example).encode()
            headers.append("Content-Type: " + kind)
        return one.method, path + ("?" + urllib.parse.urlencode(query) if query else ""), headers, body

    def framed(self, rng, headers, body):
        """The body with headers that say its length, mostly rightly."""
        way = rng.random()
        if way < 0.15:
            body = gzip.compress(body)
            headers.append("Content-Encoding: gzip")
        if way < 0.6:
            headers.append(f"Content-Length: {max(0, len(body) + (rng.choice([-1, 1, 100]) if rng.random() < 0.1 else 0))}")
        elif way < 0.85:
            headers.append("Transfer-Encoding: chunked")
            if rng.random() < 0.4:
                return rng.choice(CHUNKS)
            cuts = sorted(rng.randrange(len(body) + 1) for _ in range(rng.randrange(4)))
            parts = [body[a:b] for a, b in zip([0] + cuts, cuts + [len(body)])]
            return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
        return body

    def request(self, rng):
        method, target, headers, body = self.valid(rng)
        if rng.random() < 0.15:
            method = rng.choice(METHODS)
        if rng.random() < 0.2:
            target = rng.choice(PATHS)
        if rng.random() < 0.1:
            body = self.spoilt(rng, body)
        if body and rng.random() < 0.15:
            body += b" " * 70_000  # more than services.body_max
        if body or rng.random() < 0.1:
            body = self.framed(rng, headers, body)
        while rng.random() < 0.35:
            headers.insert(rng.randrange(len(headers) + 1), rng.choice(HEADERS))
        if rng.random() < 0.02:
            headers += [f"A{i}: x" for i in range(rng.choice([40, 62, 63, 64, 65, 300]))]
        if rng.random() < 0.05:
            rng.shuffle(headers)
        end = "\n" if rng.random() < 0.05 else "\r\n"
        line = f"{method} {target} {rng.choice(VERSIONS)}"
        return (line + end + "".join(header + end for header in headers) + end).encode("latin-1", "replace") + body

    def spoilt(self, rng, data):
        """Bytes changed, cut, doubled or put in."""
        data = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            at = rng.randrange(len(data) + 1)
            way = rng.randrange(5)
            if way == 0:
                data[at:at + 1] = bytes([rng.randrange(256)])
            elif way == 1:
                del data[at:at + rng.choice([1, 2, 10, 1000])]
            elif way == 2:
                data[at:at] = data[at:at + rng.choice([1, 10, 100])]
            elif way == 3:
                data[at:at] = rng.choice([b"\0", b"\r\n", b"\r\n\r\n", b"\n", b"%00", b"\xff", b"{", b"[" * 200, b'"', b":", b" ", b"\t", b"x" * 3000])
            else:
                data[at:at + 1] = bytes([data[at] ^ 1 << rng.randrange(8)]) if at < len(data) else b""
        return bytes(data)

    def connection(self, number):
        """The bytes, where they are cut, and whether the end is said."""
        rng = random.Random(f"{SEED}-{number}")
        data = b"".join(self.request(rng) for _ in range(rng.choice([1, 1, 1, 2, 5])))
        if rng.random() < 0.3:
            data = self.spoilt(rng, data)
        if rng.random() < 0.05:
            data = data[:rng.randrange(len(data) + 1)]
        if rng.random() < 0.02:
            data = rng.randbytes(rng.randrange(2000))
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 0, 0, 1, 3])))
        return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])], rng.random() < 0.9


class Fuzz(WithData):
    def setUp(self):
        super().setUp()
        self.all = self.serve("--set", "services.body_max=64KiB", "--set", "services.cors_origins=https://a", "--set", "log.level=error")
        self.ports = {"ingest": self.all.ingest, "api": self.all.api, "processor": self.all.processor}

    def talk(self, port, parts, end):
        """All that comes back. A client that does not say its end goes away without looking."""
        answer = []
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            try:
                for part in parts:
                    connection.sendall(part)
                if not end:
                    return b""
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    answer.append(part)
            except socket.timeout:
                raise  # it hangs
            except OSError:
                pass  # refused, reset: the server may close when it has said what it had to say
        return b"".join(answer)

    def look_at(self, answer):
        for status in STATUS.findall(answer):
            self.assertTrue(status < b"500" or status in (b"503", b"505"), answer[:2000])
        if answer:
            self.assertRegex(answer, rb"^HTTP/1\.1 \d{3} ")

    def test_fuzz(self):
        post(self.all.ingest, "/events", [event("u1", "i7"), event("u2", "i7")])
        seen, generators = {}, {service: Generator(service) for service in SERVICES}
        for number in range(COUNT):
            service = ("ingest", "api", "api", "processor")[number % 4]
            parts, end = generators[service].connection(number)
            try:
                answer = self.talk(self.ports[service], parts, end)
                self.look_at(answer)
            except Exception:
                print(f"RECO_FUZZ_SEED={SEED}, number {number}, {service}: {b''.join(parts)[:3000]!r}", file=sys.stderr)
                raise
            for status in STATUS.findall(answer):
                seen[status] = seen.get(status, 0) + 1
            if number % 200 == 0:
                self.assertEqual(get(self.ports[service], "/health").status, 200)
        # the generator is worth something: it gets through, and is refused in many ways
        self.assertTrue({b"200", b"202", b"400", b"404", b"405", b"411", b"413", b"415"} <= set(seen), seen)
        self.assertGreater(seen[b"200"], COUNT / 20)
        for port in self.ports.values():
            self.assertEqual(get(port, "/ready").status, 200)
        self.assertEqual(self.all.stop(signal.SIGTERM), 0, self.all.log_text()[-5000:])
        self.assertNotIn("Sanitizer", self.all.log_text())


if __name__ == "__main__":
    unittest.main()
