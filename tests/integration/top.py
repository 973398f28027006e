"""reco top: real services under load, what it draws on a terminal and leaves of it, services that are away, hang or answer nonsense."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import Raw, Server
from http_support import BIN, PATIENCE, WithData, environment, event, get, post, run, wait_for
from servers import die_with_the_test, free_ports

# A shell that gives its job the terminal: a job that has no shell is not stopped by SIGTSTP.
SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen(sys.argv[1:], process_group=0, preexec_fn=lambda: signal.signal(signal.SIGTTOU, signal.SIG_DFL))
os.tcsetpgrp(0, job.pid)
sys.exit(job.wait())
"""
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def top(*arguments, check=0):
    return json.loads(run("reco", "top", "--once", "--json", "--interval", "200ms", *arguments, check=check).stdout)


class Pictures(WithData):
    def load(self, served, *arguments):
        running = subprocess.Popen([os.path.join(BIN, "reco"), "bench", f"127.0.0.1:{served.api}", "--ingest-url", f"127.0.0.1:{served.ingest}", "--warmup", "0",
                                    "--duration", "20s", "--users", "50", "--items", "50", *arguments],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(), preexec_fn=die_with_the_test)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)

    def urls(self, served):
        return [f"http://127.0.0.1:{port}" for port in (served.ingest, served.api, served.processor)]

    def test_a_system_under_load(self):
        served = self.serve()
        self.load(served, "--rate", "400", "--mix", "recommendations=3,events=1")
        wait_for(lambda: top(*self.urls(served))["events"]["accepted"] > 0, "events arrive")
        lines = run("reco", "top", "--json", "--count", "2", "--interval", "1s", *self.urls(served), check=0).stdout.splitlines()
        self.assertEqual(len(lines), 2)
        seen = json.loads(lines[-1])
        self.assertAlmostEqual(seen["seconds"], 1, delta=0.9)
        # The three are one process: its events count once. A machine that is busy has them late, not thrice.
        self.assertGreater(seen["events"]["accepted"], 10)
        self.assertLess(seen["events"]["accepted"], 250)
        self.assertGreater(seen["events"]["appended"], 10)
        self.assertGreater(seen["events"]["learned"], 0)
        self.assertGreater(seen["answers"]["count"], 30)
        self.assertGreater(seen["answers"]["p99_ms"], 0)
        self.assertGreaterEqual(seen["answers"]["p99_ms"], seen["answers"]["p50_ms"])
        self.assertGreaterEqual(seen["learning"]["lag"], 0)
        self.assertEqual(sorted(seen["learning"]["partitions"]), ["0", "1", "2", "3"])
        self.assertEqual({name for one in seen["learning"]["partitions"].values() for name in one}, {"lag", "lag_seconds"})
        self.assertGreater(seen["learning"]["users"], 10)
        self.assertEqual({name: (store["up"], store["down"]) for name, store in seen["stores"].items()}, {name: (3, 0) for name in ("stream", "features", "records")})
        self.assertGreater(seen["stores"]["stream"]["bytes"], 0)
        self.assertGreater(seen["memory"]["allocated"], 100000)
        self.assertEqual([service["up"] for service in seen["services"]], [True] * 3)
        api = seen["services"][1]
        self.assertGreater(api["requests"], 30)
        self.assertGreater(api["resident_bytes"], 1 << 20)

        def timed():  # one question in 64
            return {stage["name"]: stage["run_ms"] for stage in top(*self.urls(served))["stages"] if "run_ms" in stage and not stage["since_start"]}
        times = wait_for(lambda: timed(), "a question whose stages are timed")
        self.assertLess(max(times.values()), 1000)

    def test_times_of_stages_when_few_ask(self):
        """One question in 64 is timed: an interval without one shows those since the start, and says so."""
        served = self.serve()
        post(served.ingest, "/events", event("u1", "i1"))
        self.assertIn("no question was timed yet", run("reco", "top", "--once", "--interval", "100ms", *self.urls(served), check=0).stdout)
        while re.search(rb'^reco_stage_timed_total{stage="seen"} 0$', get(served.api, "/metrics").body, re.M):
            for _ in range(20):
                get(served.api, "/recommendations?user_id=u1")
        stages = {stage["name"]: stage for stage in top(*self.urls(served))["stages"]}
        self.assertTrue(all(stage["since_start"] for stage in stages.values()))
        self.assertGreaterEqual(stages["seen"]["timed"], 1)
        self.assertGreater(stages["coview"]["run_ms"], 0)
        self.assertRegex(run("reco", "top", "--once", "--interval", "100ms", *self.urls(served), check=0).stdout, r"\nseen +[\d.]+ [um]s +\d+ +ever ")

    def test_text_and_a_service_that_is_away(self):
        served = self.serve()
        post(served.ingest, "/events", event("u1", "i1"))
        gone = f"127.0.0.1:{free_ports(1)[0]}"
        text = run("reco", "top", "--once", "--interval", "100ms", *self.urls(served), gone, check=0).stdout
        self.assertTrue(text.startswith("reco top  "))
        self.assertNotIn("\x1b", text)
        self.assertRegex(text, rf"\n{gone} +down: ")
        self.assertRegex(text, rf"\n127\.0\.0\.1:{served.api} +\d+ s +\d+ % ")
        self.assertRegex(text, r"\nlearning  \d+ records and \d\.\d s behind; 1 items, 1 users")
        self.assertRegex(text, r"\nstores    stream    up, \d")
        self.assertRegex(text, r"\ncoview ")
        none = run("reco", "top", "--once", "--interval", "100ms", gone, check=1)
        self.assertIn("nothing of it answers", none.stderr)
        for words in ("events    - accepted, - appended, - learned", "answers   -, p50 -, p99 -", "behind is not known", "records   not known"):
            self.assertIn(words, none.stdout)
        told = top(gone, check=1)
        self.assertEqual((told["events"], told["answers"], told["learning"]), ({}, {}, {"partitions": {}}))

    def test_a_service_that_hangs(self):
        served = self.serve()
        hangs = Raw(self, lambda connection: True)
        began = time.monotonic()
        seen = top(f"127.0.0.1:{served.api}", hangs.url, "--timeout", "1s")
        self.assertLess(time.monotonic() - began, PATIENCE / 2)
        self.assertEqual([service["up"] for service in seen["services"]], [True, False])
        self.assertEqual(seen["services"][1]["error"], "Timeout was reached")

    def test_a_service_whose_stores_are_away(self):
        """It asks each for two seconds before it answers, and is to be seen then more than ever."""
        def slow(request):
            time.sleep(2.5)
            return 200, b'reco_store_up{store="features"} 0\n'
        server = Server(slow)
        self.addCleanup(server.end)
        text = run("reco", "top", "--once", "--interval", "100ms", server.url, check=0).stdout
        self.assertIn("features  does not answer 1 of 1 services", text)

    def test_a_data_directory(self):
        served = self.serve()
        self.load(served, "--rate", "200", "--mix", "events=1")
        for line in ([self.data], ["--data", self.data]):
            seen = wait_for(lambda line=line: (lambda one: one if one["events"]["appended"] > 10 else None)(top(*line)), "events are appended")
            self.assertEqual(seen["stores"]["features"]["up"], 1)
            self.assertIn("lag", seen["learning"])
            self.assertEqual(seen["memory"], {})  # it would be this program's
            self.assertEqual((list(seen["events"]), seen["answers"], seen["stages"]), (["appended"], {}, []))  # and so would what is counted
        text = run("reco", "top", "--once", "--interval", "100ms", self.data, check=0).stdout
        self.assertIn("read by this process", text)
        self.assertRegex(text, r"\nevents    - accepted, [\d.]+k?/s appended, - learned\n")

    def test_wrong_lines(self):
        for arguments in (["ftp://127.0.0.1"], ["http://a b"], ["--interval", "10ms"], ["--interval", "2h"], ["--count", "0"], ["--once", "--count", "2"], ["--timeout", "10ms"], ["--timeout", "2h"],
                          ["/no/such/folder"], [self.folder + "/x", "x y"]):
            done = run("reco", "top", *arguments)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), (arguments, done.stderr))
        done = run("reco", "top", *["http://127.0.0.1:1"] * 16)
        self.assertEqual(done.returncode, 2)


class Nonsense(unittest.TestCase):
    """Whoever answers on the port may be anybody."""

    def test_answers(self):
        many = b"".join(b'reco_stream_partition_lag{partition="%d"} 1\nreco_stage_failures_total{stage="s%d"} 1\n' % (i, i) for i in range(40000))
        strange = {"nothing", "noise", "html", "one line", "zeros"}
        answers = {"nothing": b"", "noise": os.urandom(100000), "one line": b"a" * 3000000, "zeros": b"\0" * 1000, "many": many, "quotes": b'a{b="' + b'\\"' * 500000,
                   "html": b"<!doctype html><p>hello", "escapes": b'reco_stage_failures_total{stage="\x1b]0;evil\x07\x1b[2J\xc2\x9b2J\xff"} 1\n' * 3,
                   "values": b'reco_stream_lag -1e308\nreco_items 1e308\nreco_users NaN\nhttp_connections +Inf\nreco_store_up{store="stream"} 7\n'
                             b'process_start_time_seconds -5e300\nprocess_resident_memory_bytes 1e300\nhttp_request_duration_seconds_bucket{le="x"} 1\n'
                             b'http_request_duration_seconds_bucket{le="nan"} -4\nhttp_request_duration_seconds_count{} 1e300\n'}
        for name, body in answers.items():
            server = Server(lambda request, body=body: (200, body))
            with self.subTest(name):
                seen = top(server.url)
                self.assertTrue(seen["services"][0]["up"])
                text = run("reco", "top", "--once", "--interval", "100ms", server.url, check=0).stdout
                self.assertIsNone(re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), text[:2000])
                self.assertNotIn("read by this process", text)
                if name in strange:
                    self.assertRegex(text, rf"\n{re.escape(server.url[7:])} +answers, but is no libreco service: ")
                    self.assertIn("no libreco service", seen["services"][0]["error"])
            server.end()
        server = Server(lambda request: (200, b"a 1\n" * 2000000))
        self.assertIn("more than 4 MiB", top(server.url, check=1)["services"][0]["error"])
        server.end()
        server = Server(lambda request: (404, b"a 1\n"))
        self.assertIn("404", top(server.url, check=1)["services"][0]["error"])
        server.end()


class Terminal(WithData):
    def setUp(self):
        super().setUp()
        self.service_ = self.service("reco-api")
        self.control, self.terminal = pty.openpty()
        self.addCleanup(os.close, self.control)
        self.addCleanup(os.close, self.terminal)
        self.resize(30, 100)
        self.before = termios.tcgetattr(self.terminal)
        self.seen = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def start(self, *arguments, env=None, shell=()):
        def own():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            die_with_the_test()
        running = subprocess.Popen([*shell, os.path.join(BIN, "reco"), "top", f"127.0.0.1:{self.service_.port}", "--interval", "100ms", *arguments],
                                   stdin=self.terminal, stdout=self.terminal, stderr=subprocess.PIPE, env=env or environment(TERM="xterm"), preexec_fn=own)
        self.addCleanup(running.stderr.close)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        self.running = running
        self.expect(ENTER)
        return running

    def read(self):
        while select.select([self.control], [], [], 0)[0]:
            self.seen += os.read(self.control, 65536).decode(errors="replace")
        return self.seen

    def expect(self, text, count=1):
        wait_for(lambda: self.read().count(text) >= count, f"{text!r} on the terminal, not in {self.seen[-2000:]!r}")

    def frames(self):
        """What was drawn, one screen after the other, as lines."""
        return [frame.split("\x1b[J")[0].replace("\x1b[K", "").replace("\r", "").split("\n") for frame in self.read().split("\x1b[H")[2:] if "\x1b[J" in frame]

    def check_restored(self):
        self.assertEqual(termios.tcgetattr(self.terminal), self.before)
        self.assertGreater(self.read().rindex(LEAVE), self.seen.rindex("\x1b[J"))
        self.assertIn("\x1b[?25h", self.seen)

    def test_it_draws_and_quits(self):
        running = self.start()
        self.expect("q quits")
        self.assertNotEqual(termios.tcgetattr(self.terminal), self.before)
        self.expect("\x1b[J", 4)  # anew, by itself
        self.assertIn("\x1b[1m", self.seen)
        self.assertIn(f"127.0.0.1:{self.service_.port}", self.seen)
        self.assertTrue(any(line.startswith("stores") for line in self.frames()[-1]), self.frames()[-1])
        os.write(self.control, b"p")
        self.expect("PAUSED")
        self.seen = ""
        os.write(self.control, b"x\x1b[Ap")
        self.expect("p pauses")
        os.write(self.control, b"q")
        self.assertEqual(running.wait(PATIENCE), 0)
        self.check_restored()

    def test_sizes(self):
        running = self.start(env=environment(TERM="xterm", NO_COLOR="1"))
        self.expect("\x1b[J", 2)
        self.assertNotIn("\x1b[1m", self.seen)
        for rows, columns in ((5, 20), (1, 1), (60, 300), (24, 80)):
            self.seen = ""
            self.resize(rows, columns)
            running.send_signal(signal.SIGWINCH)
            # The first frames may have been drawn for the size before.
            wait_for(lambda rows=rows, columns=columns: any(len(frame) <= rows and all(len(line) <= columns for line in frame) for frame in self.frames()),
                     f"a frame of {rows} by {columns}")
            self.seen = "\x1b[H" * 2
            wait_for(lambda: len(self.frames()) >= 2, "two more frames")
            for frame in self.frames():
                self.assertLessEqual(len(frame), rows)
                self.assertLessEqual(max(len(line) for line in frame), columns)
        os.write(self.control, b"q")
        self.assertEqual(running.wait(PATIENCE), 0)

    def test_it_ends_by_count(self):
        running = self.start("--count", "3")
        self.assertEqual(running.wait(PATIENCE), 0)
        self.assertEqual(len([frame for frame in self.frames() if "asking" not in frame[0]]), 3)
        self.check_restored()

    def test_a_service_that_hangs_keeps_no_key_waiting(self):
        """Keys are answered while it is asked, also before the first picture."""
        hangs = Raw(self, lambda connection: True)
        running = self.start(hangs.url, "--timeout", "3s")
        self.expect("asking")
        for _ in range(3):
            for key, answer in ((b"p", "PAUSED"), (b"p", "p pauses")):
                self.seen = ""
                began = time.monotonic()
                os.write(self.control, key)
                self.expect(answer)
                self.assertLess(time.monotonic() - began, 1)
        self.seen = ""
        self.expect("waiting for 1 s")
        self.expect("Timeout was reached")
        self.expect(f"127.0.0.1:{self.service_.port} ")  # the other one has its line
        began = time.monotonic()
        os.write(self.control, b"q")
        self.assertEqual(running.wait(PATIENCE), 0)
        self.assertLess(time.monotonic() - began, 1)
        self.check_restored()

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number):
                self.seen = ""
                running = self.start()
                self.expect("\x1b[J")
                if number == signal.SIGINT:
                    os.write(self.control, b"\x03")
                else:
                    running.send_signal(number)
                self.assertEqual(running.wait(PATIENCE), 0)
                self.check_restored()

    def test_a_crash(self):
        if "sanitize" in self.flags():
            self.skipTest("the sanitizer has its own way with such signals")
        for number in (signal.SIGSEGV, signal.SIGABRT):
            with self.subTest(number):
                self.seen = ""
                running = self.start()
                self.expect("\x1b[J")
                running.send_signal(number)
                self.assertEqual(running.wait(PATIENCE), -number)
                self.check_restored()

    def flags(self):
        with open(os.path.join(os.environ["RECO_BUILD_DIR"], "CMakeCache.txt"), encoding="utf-8") as cache:
            found = re.search(r"^RECO_SANITIZE:\w+=(.*)$", cache.read(), re.M)
        return "sanitize" if found and found.group(1) else ""

    def test_stopped_for_a_while(self):
        running = self.start(shell=[sys.executable, "-c", SHELL])
        self.expect("\x1b[J")
        with open(f"/proc/{running.pid}/task/{running.pid}/children", encoding="utf-8") as children:
            job = int(children.read())
        self.addCleanup(lambda: running.poll() is None and os.kill(job, signal.SIGKILL))

        def state():
            with open(f"/proc/{job}/stat", encoding="utf-8") as file:
                return file.read().rsplit(")", 1)[1].split()[0]
        os.write(self.control, b"\x1a")
        wait_for(lambda: state() == "T", "it stops")
        self.check_restored()
        self.seen = ""
        os.kill(job, signal.SIGCONT)
        self.expect(ENTER)
        self.expect("\x1b[J", 2)
        os.write(self.control, b"q")
        self.assertEqual(running.wait(PATIENCE), 0)
        self.check_restored()

    def test_the_terminal_goes_away(self):
        control, terminal = pty.openpty()
        self.before, saved = None, (self.control, self.terminal)
        self.control, self.terminal = control, terminal
        running = self.start()
        self.expect("\x1b[J")
        os.close(terminal)
        os.close(control)
        self.control, self.terminal = saved
        running.wait(PATIENCE)  # it does not stay behind


if __name__ == "__main__":
    unittest.main()
