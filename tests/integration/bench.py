"""reco bench: a stall of a real service in the open loop and in the closed one; shares, bounds, files; servers that fail in every way."""
import glob
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.request

from http_support import BIN, PATIENCE, WithData, environment, run, wait_for
from servers import die_with_the_test, free_ports

STALL = 0.1


class Answering(http.server.BaseHTTPRequestHandler):
    """What a test says, for every request; what was asked is kept."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def answer(self):
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size).decode()
        server = self.server
        if self.path != "/health" or server.count_health:
            server.asked.append((self.command, self.path, body, dict(self.headers)))
        server.peers.add(self.client_address)
        status, data = server.say(self) if self.path != "/health" else (200, b"{}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer

    def log_message(self, *ignored):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, say=lambda request: (200, b"{}"), count_health=False):
        super().__init__(("127.0.0.1", 0), Answering)
        self.say, self.count_health, self.asked, self.peers = say, count_health, [], set()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *ignored):
        pass

    def end(self):
        self.shutdown()
        self.server_close()


class Raw:
    """Answers the first request, which asks for /health, as it should, and then does with every connection what it was told."""

    def __init__(self, test, do):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.do, self.received = do, 0
        test.addCleanup(self.listener.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                while request := connection.recv(65536):
                    if request.startswith(b"GET /health"):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    else:
                        self.received += len(request)
                        if not self.do(connection):
                            return
            except OSError:
                return


def line(*arguments):
    return [os.path.join(BIN, "reco"), "bench", "--warmup", "0", *arguments]


def bench(*arguments, check=0):
    done = run("reco", "bench", "--warmup", "0", "--json", *arguments, check=check)
    return json.loads(done.stdout)


def at_least(result, ms):
    return sum(bucket["count"] for bucket in result["histogram"] if bucket["from_ms"] >= ms)


def is_stopped(process):
    """Every thread: a busy machine takes its time until each has heard of the signal."""
    for path in glob.glob(f"/proc/{process}/task/*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                state = file.read().rpartition(")")[2].split()[0]
        except OSError:  # it has just ended
            return False
        if state != "T":
            return False
    return True


class Stall(WithData):
    """The proof: 100 ms in which a real service does nothing."""

    def answered(self, service):
        text = urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=PATIENCE).read().decode()
        return sum(float(n) for n in re.findall(r'^http_requests_total\{[^}]*route="/recommendations"[^}]*\} (\S+)', text, re.M))

    def with_a_stall(self, service, *arguments):
        before = self.answered(service)
        bench_running = subprocess.Popen(line("--json", f"127.0.0.1:{service.port}", "--duration", "2s", *arguments), stdout=subprocess.PIPE,
                                         text=True, env=environment(), preexec_fn=die_with_the_test)
        wait_for(lambda: self.answered(service) > before + 200, "requests are under way")
        service.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: is_stopped(service.process.pid), "it to stop")
        time.sleep(STALL)  # the stall, not a wait
        service.process.send_signal(signal.SIGCONT)
        out, _ = bench_running.communicate(timeout=PATIENCE)
        self.assertEqual(bench_running.returncode, 0)
        return json.loads(out)

    def test_it_shows_in_the_open_loop_and_hides_in_the_closed_one(self):
        service = self.service("reco-api")
        opened = self.with_a_stall(service, "--open-loop", "--rate", "500", "--connections", "8")
        closed = self.with_a_stall(service, "--connections", "1")
        # 50 requests of 1,000 were due in these 100 ms: half of them waited for 50 ms and more, and each tells so.
        self.assertEqual((opened["loop"], closed["loop"]), ("open", "closed"))
        self.assertGreaterEqual(opened["latency_ms"]["max"], 1000 * STALL * 0.95)
        self.assertGreaterEqual(at_least(opened, 50), 20)
        self.assertGreaterEqual(opened["latency_ms"]["p99"], 50)
        self.assertGreater(opened["waited"], 10)
        self.assertTrue(any("free and were sent late" in one for one in opened["notes"]), opened["notes"])
        self.assertEqual(opened["answered"], opened["requests"])
        self.assertAlmostEqual(opened["requests"], 1000, delta=1)
        # By when they were sent, eight of them: one for each connection, which is all that a closed loop ever sees.
        sent_late = opened["service_ms"]
        self.assertGreaterEqual(sent_late["max"], 1000 * STALL * 0.95)
        self.assertLess(sent_late["mean"], opened["latency_ms"]["mean"])
        self.assertGreaterEqual(closed["latency_ms"]["max"], 1000 * STALL * 0.95)
        self.assertGreater(closed["requests"], 1000)
        self.assertLessEqual(at_least(closed, 50), 3)
        self.assertLess(closed["latency_ms"]["p99"], opened["latency_ms"]["p99"])
        self.assertEqual(closed["waited"], 0)

    def test_a_rate_that_cannot_be_reached(self):
        """What was not sent in time is in the percentiles, too."""
        service = self.service("reco-api")
        result = bench(f"127.0.0.1:{service.port}", "--rate", "200000", "--duration", "200ms", "--timeout", "300ms")
        self.assertGreater(result["unsent"], 1000)
        self.assertEqual(result["requests"], result["latency_ms"]["count"])
        self.assertGreater(result["latency_ms"]["p50"], 50)
        self.assertLess(result["rate"], 190000)
        self.assertTrue(any("never sent" in one for one in result["notes"]))
        self.assertTrue(any("not reached" in one for one in result["notes"]))

    def test_what_is_asked_of_real_services(self):
        served = self.serve()
        before = json.loads(run("reco", "--data", self.data, "stats", "--json", check=0).stdout)
        result = bench(f"127.0.0.1:{served.api}", "--ingest-url", f"http://127.0.0.1:{served.ingest}/", "--requests", "1000", "--users", "50", "--items", "50",
                       "--mix", "recommendations=4,session=2,similar=1,popular=1,events=2", "--limit", "5")
        counts = {name: kind["count"] for name, kind in result["kinds"].items()}
        # An item nobody has seen yet has no similar ones: 200 with none, or 404.
        self.assertEqual(result["requests"], 1000)
        self.assertEqual(counts["events"], 200)
        self.assertEqual(counts["recommendations"], 400)
        self.assertEqual(counts["session"], 200)
        self.assertEqual(counts["popular"], 100)
        self.assertEqual(set(result["statuses"]) - {"200", "202", "404"}, set())
        stats = json.loads(run("reco", "--data", self.data, "stats", "--json", check=0).stdout)
        self.assertEqual(sum(p["end"] for p in stats["partitions"]) - sum(p["end"] for p in before["partitions"]) >= 200, True)
        self.assertLessEqual(stats["items"], 50)

    def test_connections_to_two_services_are_kept(self):
        served = self.serve()
        result = bench(f"127.0.0.1:{served.api}", "--ingest-url", f"127.0.0.1:{served.ingest}", "--requests", "800", "--connections", "4", "--mix", "recommendations=1,events=1")
        self.assertLessEqual(result["connections_opened"], 8)

    def test_in_process(self):
        run("reco", "--data", self.data, "ingest", "-", stdin='{"user_id":"u1","item_id":"i1","event_type":"view"}\n', check=0)
        result = bench("--data", self.data, "--in-process", "--requests", "300", "--connections", "3", "--mix", "recommendations=2,events=1", "--write")
        self.assertEqual((result["requests"], result["answered"]), (300, 300))
        self.assertAlmostEqual(result["kinds"]["events"]["count"], 100, delta=3)  # each thread keeps to the shares
        self.assertNotIn("url", result)
        scheduled = bench("--data", self.data, "--in-process", "--rate", "200", "--duration", "500ms", "--connections", "2")
        self.assertEqual((scheduled["requests"], scheduled["loop"]), (100, "open"))
        self.assertGreater(scheduled["seconds"], 0.4)


class Requests(unittest.TestCase):
    def test_they_are_the_same_for_the_same_seed(self):
        asked = []
        for seed in ("1", "1", "2"):
            server = Server()
            bench(server.url, "--connections", "1", "--requests", "60", "--mix", "recommendations=2,similar=1", "--users", "20", "--items", "20", "--seed", seed)
            asked.append([path for _, path, _, _ in server.asked])
            server.end()
        self.assertEqual(asked[0], asked[1])
        self.assertNotEqual(asked[0], asked[2])
        self.assertEqual(sum(path.startswith("/recommendations?user_id=") for path in asked[0]), 40)
        self.assertEqual(sum(bool(re.fullmatch(r"/items/[^/]+/similar", path)) for path in asked[0]), 20)

    def test_files_headers_and_bodies(self):
        folder = os.environ.get("TMPDIR", "/tmp")
        users = os.path.join(folder, f"reco-bench-users-{os.getpid()}")
        self.addCleanup(os.unlink, users)
        with open(users, "wb") as file:
            file.write("anna\r\n\nb/ä&=\nc".encode())
        server = Server()
        bench(server.url, "--connections", "1", "--requests", "6", "--user-file", users, "--header", "X-Key: secret", "--limit", "7")
        self.assertEqual([path for _, path, _, _ in server.asked],
                         [f"/recommendations?user_id={name}&limit=7" for name in ("anna", "b%2F%C3%A4%26%3D", "c")] * 2)
        self.assertTrue(all(headers["X-Key"] == "secret" for _, _, _, headers in server.asked))
        server.asked.clear()
        bench(server.url + "/prefix/", "--ingest-url", server.url, "--connections", "1", "--requests", "8", "--user-file", users, "--mix", "session=1,events=1")
        bodies = [(method, path, json.loads(body)) for method, path, body, _ in server.asked if body]
        self.assertEqual(len(bodies), 8)
        self.assertEqual({path for _, path, _ in bodies}, {"/prefix/recommendations", "/events"})
        self.assertTrue(all(1 <= len(body["session"]) <= 3 for _, path, body in bodies if path != "/events"))
        self.assertTrue(all(set(body) - {"value"} == {"user_id", "item_id", "event_type"} for _, path, body in bodies if path == "/events"))
        self.assertIn("b/ä&=", [body["user_id"] for _, path, body in bodies if path == "/events"])
        server.end()

    def test_bytes(self):
        answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\n12345"

        def do(connection):
            connection.sendall(answer)
            return True
        server = Raw(self, do)
        result = bench("--ingest-url", server.url, "--mix", "events=1", "--connections", "1", "--requests", "20")
        self.assertEqual((result["answered"], result["bytes_sent"], result["bytes_received"]), (20, server.received, 20 * len(answer)))

    def test_connections_are_kept_and_not_more_than_asked(self):
        server = Server()
        result = bench(server.url, "--connections", "3", "--requests", "200")
        self.assertLessEqual(len(server.peers), 4)  # and the one that looked whether it is there
        self.assertLessEqual(result["connections_opened"], 3)
        result = bench(server.url, "--connections", "4", "--threads", "2", "--requests", "101")
        self.assertEqual((result["requests"], result["answered"], result["threads"]), (101, 101, 2))
        server.end()

    def test_bounds_and_signals(self):
        server = Server()
        began = time.monotonic()
        result = bench(server.url, "--duration", "300ms", "--connections", "2")
        self.assertLess(time.monotonic() - began, PATIENCE / 2)
        self.assertGreater(result["requests"], 2)
        self.assertAlmostEqual(result["seconds"], 0.3, delta=0.25)
        warm = json.loads(run("reco", "bench", server.url, "--warmup", "200ms", "--rate", "100", "--duration", "300ms", "--json", check=0).stdout)
        self.assertEqual(warm["requests"], 30)
        server.asked.clear()
        running = subprocess.Popen(line(server.url, "--duration", "1h", "--json", "--connections", "2"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=environment(), preexec_fn=die_with_the_test)
        wait_for(lambda: len(server.asked) > 20, "requests are under way")
        running.send_signal(signal.SIGINT)
        out, said = running.communicate(timeout=PATIENCE)
        self.assertEqual((running.returncode, said), (0, ""))
        self.assertTrue(json.loads(out)["stopped"])
        self.assertGreater(json.loads(out)["requests"], 10)
        server.end()

    def test_the_table(self):
        server = Server()
        text = run("reco", "bench", server.url, "--warmup", "0", "--requests", "100", "--mix", "recommendations=1,popular=1", "--progress", check=0).stdout
        self.assertRegex(text, r"^closed loop, 16 connections of 1 thread to http://127\.0\.0\.1:\d+: recommendations=1,popular=1\n  100 requests, 100 answered in ")
        self.assertRegex(text, r"latency in ms +count +p50 +p90 +p95 +p99 +p99\.9 +max +mean\n  all +100 ")
        self.assertRegex(text, r"\n  popular +50 ")
        self.assertEqual(sum(int(count) for count in re.findall(r"^ +[\d.]+ #* +(\d+) +[\d.]+ %$", text, re.M)), 100)
        server.end()


class Trouble(unittest.TestCase):
    def failing(self, server, check=1):
        began = time.monotonic()
        result = bench(server.url, "--requests", "40", "--connections", "8", "--timeout", "300ms", "--duration", "1s", check=check)
        self.assertLess(time.monotonic() - began, PATIENCE / 2)
        return result

    def test_statuses(self):
        turns = iter(range(10 ** 9))
        server = Server(lambda request: (503, b"{}") if next(turns) % 4 == 0 else (200, b"{}"))
        result = self.failing(server, check=0)
        self.assertEqual(result["statuses"], {"200": 30, "503": 10})
        self.assertEqual((result["answered"], result["failed"], result["latency_ms"]["count"], result["not_2xx_ms"]["count"]), (30, 0, 30, 10))
        server.end()
        server = Server(lambda request: (302, b"elsewhere"))
        self.assertEqual(self.failing(server)["statuses"], {"302": 40})
        server.end()

    def test_every_second_one_is_refused_late(self):
        """The note, the headline and the rows say the same: what was not 2xx is in no rate, and has its times in a row of its own."""
        turns = iter(range(10 ** 9))

        def say(request):
            if next(turns) % 2:
                return 200, b"{}"
            time.sleep(0.2)  # what is measured
            return 503, b"{}"
        server = Server(say)
        line_of = ("reco", "bench", server.url, "--warmup", "0", "--rate", "40", "--duration", "1s")
        text = run(*line_of, check=0).stdout
        headline = re.search(r"40 requests, 20 answered in [\d.]+ s: ([\d.]+) a second of 40 asked", text)
        self.assertTrue(headline, text)
        self.assertIn(f"The rate was not reached: asked 40 a second, answered {headline.group(1)} with 2xx.", text)
        self.assertRegex(text, r"\n  from when due +20 ")
        self.assertGreaterEqual(float(re.search(r"\n  not 2xx +20 +([\d.]+) ", text).group(1)), 200)
        self.assertIn('20 of 40 requests were not answered with 2xx: how long they took is in "not 2xx" alone', text)
        closed = run(*line_of[:5], "--requests", "4", check=0).stdout
        self.assertRegex(closed, r"\n  2xx and timeouts +2 ")
        result = json.loads(run(*line_of, "--json", check=0).stdout)
        self.assertAlmostEqual(result["rate"], result["answered"] / result["seconds"], delta=0.01)
        self.assertGreaterEqual(result["not_2xx_ms"]["p50"], 200)
        server.end()

    def test_stopped_with_requests_under_way(self):
        going = threading.Event()
        server = Server(lambda request: (going.wait(PATIENCE), (200, b"{}"))[1])
        running = subprocess.Popen(line(server.url, "--duration", "1h", "--connections", "2"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=environment(), preexec_fn=die_with_the_test)
        wait_for(lambda: len(server.asked) == 2, "both requests are under way")
        running.send_signal(signal.SIGINT)
        out, said = running.communicate(timeout=PATIENCE)
        going.set()
        self.assertEqual((running.returncode, said.count("\n")), (1, 1))
        self.assertRegex(out, r"\n  not answered with 2xx\n +2  under way when it was stopped\n")
        server.end()

    def test_nobody_there(self):
        for arguments in ([f"127.0.0.1:{free_ports(1)[0]}"], ["http://no.such.host.invalid"]):
            done = run("reco", "bench", *arguments)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("does not answer", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_no_answer_in_time(self):
        slow = Raw(self, lambda connection: True)
        result = self.failing(slow)
        self.assertEqual(result["answered"], 0)
        self.assertEqual(list(result["errors"]), ["Timeout was reached"])
        self.assertEqual(result["latency_ms"]["count"], result["failed"])  # as long as they waited
        self.assertGreaterEqual(result["latency_ms"]["p50"], 250)

    def test_a_drip(self):
        def drip(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(200):
                connection.sendall(b"x")
                time.sleep(0.01)
            return False
        self.assertEqual(list(self.failing(Raw(self, drip))["errors"]), ["Timeout was reached"])

    def test_answers_that_are_none(self):
        ways = {"closed": b"", "noise": os.urandom(500) + b"\r\n\r\n", "half": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
                "old": b"plain text, without a head\n", "zero": b"HTTP/1.1 0 X\r\nContent-Length: 0\r\n\r\n", "huge head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 400000 + b"\r\n\r\n",
                "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\nx", "bad chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}
        for name, data in ways.items():
            def answer(connection, data=data):
                connection.sendall(data)
                return False
            with self.subTest(name):
                result = self.failing(Raw(self, answer))
                self.assertEqual(result["answered"], 0)
                self.assertEqual(result["failed"] + sum(result["statuses"].values()), result["requests"])
                self.assertGreater(result["requests"], 0)

    def test_the_environment_sends_nothing_elsewhere(self):
        server = Server()
        done = run("reco", "bench", server.url, "--warmup", "0", "--requests", "10", env=environment(http_proxy="http://127.0.0.1:1", all_proxy="http://127.0.0.1:1"))
        self.assertEqual(done.returncode, 0, done.stderr)
        server.end()

    def test_wrong_lines(self):
        for arguments, named in (
                (["ftp://127.0.0.1"], "URL"), (["http://127.0.0.1/?a=b"], "URL"), (["http://"], "URL"), (["http://a b"], "URL"),
                (["--rate", "0"], "rate"), (["-n", "0"], "requests"), (["--duration", "0"], "duration"), (["--timeout", "0s"], "timeout"), (["--limit", "0"], "limit"),
                (["--users", "0"], "users"), (["--rate", "2000000"], "--rate"), (["--rate", "1e-200"], "--rate"), (["--rate", "1000000", "--duration", "1h"], "--duration"),
                (["--connections", "5000"], "--connections"), (["--threads", "65", "--connections", "100"], "--threads"), (["--threads", "17"], "--threads"),
                (["--duration", "2d"], "--duration"), (["--warmup", "x"], "--warmup"), (["--warmup", "2d"], "--warmup"), (["--timeout", "2d"], "--timeout"),
                (["--mix", "events"], "--mix"), (["--mix", "x=1"], "--mix"), (["--mix", "events=0"], "--mix"), (["--mix", "events=1,events=1"], "--mix"),
                (["--mix", "popular=1000001"], "--mix"), (["--mix", "popular=1,"], "--mix"), (["--header", "x"], "--header"), (["--header", ":x"], "--header"),
                (["--header", "a: b\r\nc: d"], "--header"), (["http://127.0.0.1:1", "--mix", "events=1"], "--ingest-url"),
                (["--in-process", "--threads", "2"], "--in-process"), (["--in-process", "http://127.0.0.1:1"], "--in-process"),
                (["--in-process", "--mix", "events=1"], "--write"), (["--write"], "--write"),
                (["--in-process", "--mix", "health=1"], "--mix"), (["--in-process", "--connections", "300"], "--connections"),
                (["--zipf", "11"], "zipf"), (["--ingest-url", "x://y", "--mix", "events=1"], "--ingest-url"), (["--user-file", "/dev/null"], "/dev/null")):
            done = run("reco", "bench", *([] if arguments[0].startswith(("ftp", "http", "--in-p")) else ["127.0.0.1:1"]), *arguments)
            with self.subTest(arguments):
                self.assertEqual(done.stdout, "")
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                if named:
                    self.assertEqual(done.returncode, 2 if named != "/dev/null" else done.returncode, done.stderr)
                    self.assertIn(named, done.stderr)


if __name__ == "__main__":
    unittest.main()
