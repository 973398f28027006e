"""Connections: many that are kept, more than there are threads, slow ones, silent ones; none of them keeps others from being answered."""
import http.client
import json
import re
import resource
import socket
import threading
import time
import unittest

from http_support import PATIENCE, WithData, ask, event, get, post, raw, wait_for

HEAD = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def dial(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def until_closed(connection):
    parts = []
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


class Kept(WithData):
    def ask_in_turn(self, port, count, rounds):
        """Every connection asks once a round, on whichever connection its client has by then; how often it had to open one."""
        opened = 0
        clients = [http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE) for _ in range(count)]
        for _ in range(rounds):
            for client in clients:
                opened += client.sock is None
                client.request("GET", "/health")
                response = client.getresponse()
                self.assertEqual((response.status, response.read()), (200, b'{"status":"ok"}\n'))
        for client in clients:
            client.close()
        return opened

    def test_64_again_and_again(self):
        """A service of default settings keeps 64 connections, each of which asks again and again, and answers others beside them."""
        service = self.serve()
        # A connection that ended a moment ago counts until its thread has seen that: the probe of readiness may be the 65th, once.
        wait_for(lambda: self.ask_in_turn(service.api, 64, 20) == 64, "64 connections that are kept")
        wait_for(lambda: b"\nhttp_connections 1\n" in get(service.api, "/metrics").body, "those connections to be gone")
        kept = [dial(service.api) for _ in range(60)]  # and so may the others beside these
        for _ in range(3):
            for connection in kept:
                connection.sendall(b"GET /popular HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for connection in kept:
                self.assertIn(b" 200 OK", connection.recv(65536))
            self.assertEqual(get(service.api, "/ready").status, 200)
        for connection in kept:
            connection.close()

    def test_more_than_threads(self):
        service = self.service("reco-ingest", "--set", "services.http_threads=8")
        self.assertGreater(self.ask_in_turn(service.port, 60, 5), 60)
        answers = []

        def many():
            for _ in range(30):
                answers.append(get(service.port, "/health").status)
        threads = [threading.Thread(target=many) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [200] * 1200)


class Slow(WithData):
    """Who takes time does not get a thread for longer than services.request_timeout."""

    def setUp(self):
        super().setUp()
        self.server = self.service("reco-ingest", "--set", "services.request_timeout=1s", "--set", "services.http_threads=4")
        self.port = self.server.port

    def drip(self, connection, data, seconds=PATIENCE):
        """A byte now and then, until the other side has something to say; what it said."""
        connection.settimeout(0.1)
        end = time.monotonic() + seconds
        for byte in data:
            self.assertLess(time.monotonic(), end, "the server waits for ever")
            try:
                connection.sendall(bytes([byte]))
                part = connection.recv(65536)
                connection.settimeout(PATIENCE)
                return part + until_closed(connection)
            except socket.timeout:
                pass
            except ConnectionError:
                return b""
        self.fail("the server took all of it")

    def test_body(self):
        for length in (b"Content-Length: 5000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1388\r\n"):
            with dial(self.port) as connection:
                connection.sendall(HEAD + length)
                start = time.monotonic()
                answer = self.drip(connection, b" " * 5000)
                self.assertIn(b" 408 ", answer)
                self.assertIn(b"application/problem+json", answer)
                self.assertIn(b"Connection: close", answer)
                self.assertLess(time.monotonic() - start, 10)

    def test_silent_body(self):
        with dial(self.port) as connection:
            connection.sendall(HEAD + b"Content-Length: 5000\r\n\r\n{")
            self.assertIn(b" 408 ", until_closed(connection))

    def test_head(self):
        with dial(self.port) as connection:
            self.drip(connection, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"A: " + b"x" * 5000)

    def test_reader(self):
        """An answer that is not taken."""
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", self.port))
            connection.settimeout(0.5)
            one = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
            try:
                for _ in range(20000):
                    connection.sendall(one)
            except (socket.timeout, ConnectionError):
                pass
            wait_for(lambda: b"\nhttp_requests_in_flight 1\n" in get(self.port, "/metrics").body, "the server to give up on it")

    def test_all_threads(self):
        """Slow ones on every thread: others are answered all the same, a little later."""
        for sent in (HEAD + b"Content-Length: 50\r\n\r\n{", b"GET /hea", b""):
            slow = [dial(self.port) for _ in range(40)]
            for connection in slow:
                connection.sendall(sent)
            start = time.monotonic()
            self.assertEqual(get(self.port, "/health").status, 200)
            self.assertLess(time.monotonic() - start, 15)
            for connection in slow:
                connection.close()


class Flood(WithData):
    """A thousand connections that say nothing, on a service of default settings."""

    def setUp(self):
        super().setUp()
        self.before = resource.getrlimit(resource.RLIMIT_NOFILE)
        if self.before[1] < 4096:
            self.skipTest("this process may not open as many files")
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, self.before)

    def waits(self, files):
        """How long a request takes in front of which they came, and one a moment later; `files`: limits of the service."""
        service = self.service("reco-ingest", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, files))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(4096, self.before[0]), self.before[1]))
        silent, took = [dial(service.port) for _ in range(1000)], []
        for _ in range(2):
            start = time.monotonic()
            self.assertEqual(get(service.port, "/health").status, 200)
            took.append(time.monotonic() - start)
        for connection in silent:
            connection.close()
        service.end()
        return took

    def wait_at_most(self, files, first, second):
        """Once of three times: the machine may be busy with something else."""
        for _ in range(3):
            took = self.waits(files)
            if took[0] < first and took[1] < second:
                return
        self.fail(f"{took} seconds")

    def test_of_default_limits(self):
        self.wait_at_most((1024, self.before[1]), 3.5, 1)  # quiet, 1.2: a second until they are idle, and the next look

    def test_where_files_are_scarce(self):
        self.wait_at_most((600, 600), 15, 5)


class GivenUp(WithData):
    """Idle connections on every thread are given up for those that wait."""

    def setUp(self):
        super().setUp()
        self.server = self.service("reco-ingest", "--set", "services.http_threads=4", "--set", "services.request_timeout=1h")
        self.port = self.server.port

    def given_up(self):
        return int(re.search(rb"\nhttp_connections_given_up_total (\d+)", get(self.port, "/metrics").body)[1])

    def test_silent(self):
        silent = [dial(self.port) for _ in range(30)]
        for _ in range(3):
            self.assertEqual(get(self.port, "/health").status, 200)
        self.assertGreater(self.given_up(), 0)
        for connection in silent:
            connection.close()

    def test_kept_and_silent(self):
        """Silent ones go first."""
        kept = [http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE) for _ in range(4)]
        for one in kept:
            one.request("GET", "/health")
            one.getresponse().read()
        socks = [one.sock for one in kept]
        silent = [dial(self.port) for _ in range(8)]
        self.assertEqual(get(self.port, "/health").status, 200)
        for one, sock in zip(kept, socks):
            one.request("GET", "/health")
            self.assertIs(one.sock, sock)
            self.assertEqual(one.getresponse().read(), b'{"status":"ok"}\n')
            one.close()
        for connection in silent:
            connection.close()

    def test_busy_ones_stay(self):
        """A request that is under way is nobody's to give up."""
        body = json.dumps(event("u", "a")).encode()
        busy = [dial(self.port) for _ in range(4)]
        for connection in busy:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
        silent = [dial(self.port) for _ in range(20)]
        for _ in range(3):
            self.assertEqual(get(self.port, "/health").status, 200)
        for connection in busy:
            connection.sendall(body)
            self.assertIn(b" 202 ", connection.recv(4000))
            connection.close()
        for connection in silent:
            connection.close()

    def test_nobody_waits(self):
        """No one is given up for nobody."""
        silent = [dial(self.port) for _ in range(10)]
        wait_for(lambda: b"\nhttp_connections 11\n" in get(self.port, "/metrics").body, "the connections")
        time.sleep(1.5)
        self.assertEqual(self.given_up(), 0)
        for connection in silent:
            connection.close()


class Heads(WithData):
    """Heads that two readers may read in two ways, and versions of HTTP."""

    def setUp(self):
        super().setUp()
        self.port = self.service("reco-ingest").port

    def test_refused(self):
        line, end = b"POST /events HTTP/1.1\r\n", b"Content-Type: application/json\r\n\r\n"
        for headers in (b"", b"Host: a\r\nHost: b\r\nContent-Length: 2\r\n", b"Host: localhost\r\nContent-Length : 2\r\n", b"Host: localhost\r\n Content-Length: 2\r\n",
                        b"Host: localhost\r\nA: 1\r\n b\r\nContent-Length: 2\r\n", b"Host: localhost\r\nA b: 1\r\nContent-Length: 2\r\n", b"Host: localhost\r\nContent-Length: 2, 2\r\n",
                        b"Host: localhost\r\nContent-Length: 0x2\r\n", b"Host: localhost\r\nContent-Length: 2\r\nContent-Length: 2\r\n",
                        b"Host: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"Host: localhost\r\nTransfer-Encoding: gzip, chunked\r\n",
                        b"Host: localhost\r\nTransfer-Encoding: identity\r\n", b"Host: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                        b"Host: localhost\r\nTransfer-Encoding: xchunked\r\n", b"Host: localhost\r\nA: a\rb\r\nContent-Length: 2\r\n"):
            answer = raw(self.port, line + headers + end + b"[]" + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", end=False)
            self.assertRegex(answer, rb"^HTTP/1.1 400 ", headers)
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, headers)
            self.assertIn(b"Connection: close", answer)

    def test_versions(self):
        old = raw(self.port, b"GET /health HTTP/1.0\r\n\r\n", end=False)
        self.assertRegex(old, rb"^HTTP/1.1 200 ")
        self.assertIn(b"Connection: close", old)
        with dial(self.port) as connection:
            for _ in range(3):
                connection.sendall(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                self.assertIn(b"Connection: keep-alive", connection.recv(4000))
        self.assertRegex(raw(self.port, b"GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n", end=False), rb"^HTTP/1.1 (400|505) ")

    def test_absolute_form(self):
        for name in (b"127.0.0.1", b"shop.example"):
            answer = raw(self.port, b"GET http://%s:%d/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % (name, self.port), end=False)
            self.assertRegex(answer, rb"^HTTP/1.1 200 ")

    def test_header_limits(self):
        for headers in (b"A: " + b"x" * 20000, b"\r\n".join(b"A%d: x" % i for i in range(100)), b"x" * 20000):
            answer = raw(self.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n\r\n", end=False)
            self.assertRegex(answer, rb"^HTTP/1.1 4\d\d ", headers[:20])
        self.assertEqual(ask(self.port, "GET", "/health", headers={f"A{i}": "x" for i in range(50)}).status, 200)
        self.assertEqual(get(self.port, "/health", A="x" * 15000).status, 200)

    def test_expectations(self):
        self.assert_problem(post(self.port, "/events", "[]", headers={"Expect": "200-ok"}), 417)


if __name__ == "__main__":
    unittest.main()
