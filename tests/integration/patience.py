"""Services that are started while what they need is away: they answer, say what they wait for, and begin by themselves."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from http_support import BUILD, Service, environment, get, post, wait_for


def closed_port():
    """A port nobody listens on, for now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def has_module(name):
    return os.path.exists(os.path.join(BUILD, "lib", f"libreco-{name}.so"))


class Redis:
    """A server on a port that was free a moment ago."""

    def __init__(self, port):
        self.port = port
        self.folder = tempfile.mkdtemp(prefix="reco-redis-")
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--maxmemory-policy", "noeviction"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())

    def command(self, text):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(text.encode() + b"\r\n")
            return connection.recv(100)

    def end(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Patience(unittest.TestCase):
    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="reco-patience-")
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)

    def service(self, program, *arguments):
        service = Service(program, self.data, "--set", "limits.map_size=1GiB", *arguments)
        self.addCleanup(service.end)
        return service

    @unittest.skipUnless(has_module("kafka"), "libreco-kafka.so is not built")
    def test_stream_is_away(self):
        stream = f"stream=kafka://127.0.0.1:{closed_port()}/events"
        for program, path in (("reco-ingest", "/events"), ("reco-api", "/recommendations?user_id=u"), ("reco-processor", "/anything")):
            service = self.service(program, "--set", stream)
            self.assertEqual(get(service.port, "/health").status, 200)
            for asked in ("/ready", "/metrics", path):
                answer = get(service.port, asked)
                self.assertEqual(answer.status, 503, asked)
                self.assertIn("Retry-After", answer.headers)
                self.assertIn("afka", answer.json()["detail"])
            self.assertEqual(service.stop(signal.SIGTERM), 0)

    @unittest.skipUnless(has_module("redis") and shutil.which("redis-server"), "libreco-redis.so or redis-server is not there")
    def test_features_are_emptied(self):
        redis = Redis(closed_port())
        self.addCleanup(redis.end)
        folder = os.path.join(self.data, "snapshots")
        arguments = ("--set", f"features=redis://127.0.0.1:{redis.port}", "--set", f"snapshots.folder={folder}", "--set", "snapshots.every=4")
        ingest, api, processor = (self.service(name, *arguments) for name in ("reco-ingest", "reco-api", "reco-processor"))
        for item in ("a", "b", "c"):
            for user in ("u", "v"):
                self.assertEqual(post(ingest.port, "/events", {"user_id": user, "item_id": item, "event_type": "view"}).status, 202)
        wait_for(lambda: os.path.isdir(folder) and any(name.endswith(".snapshot") for name in os.listdir(folder)), "a verified snapshot")
        wait_for(lambda: len(get(api.port, "/popular").json().get("items", [])) == 3, "popular")

        processor.process.send_signal(signal.SIGSTOP)
        try:
            redis.command("FLUSHALL")
            answer = wait_for(lambda: [got for got in [get(api.port, "/recommendations?user_id=v")] if b"relearning" in got.body], "relearning")[0]
            self.assertEqual(answer.status, 200)
            self.assertEqual(len(answer.json()["items"]), 3)
            self.assertTrue(answer.json()["degraded"])
            ready = get(api.port, "/ready?verbose")
            self.assertEqual((ready.status, ready.json()["degraded_reasons"]), (200, ["relearning"]))
        finally:
            processor.process.send_signal(signal.SIGCONT)
        wait_for(lambda: get(api.port, "/recommendations?user_id=v").json().get("degraded") is False, "whole again")
        self.assertIn(b"reco_relearned_total 1", get(processor.port, "/metrics").body)
        wait_for(lambda: len(get(api.port, "/popular").json().get("items", [])) == 3, "popular")

    @unittest.skipUnless(has_module("redis") and shutil.which("redis-server"), "libreco-redis.so or redis-server is not there")
    def test_features_are_away(self):
        port = closed_port()
        features = ("--set", f"features=redis://127.0.0.1:{port}")
        ingest, api, processor = (self.service(name, *features) for name in ("reco-ingest", "reco-api", "reco-processor"))
        self.assertEqual(get(ingest.port, "/ready").status, 200)
        position = None
        for item in ("a", "b", "c"):
            for user in ("u", "v"):
                answer = post(ingest.port, "/events", {"user_id": user, "item_id": item, "event_type": "view"})
                self.assertEqual(answer.status, 202, answer.body)
                position = answer.json()["position"]
        for service in (api, processor):
            self.assertEqual(get(service.port, "/health").status, 200)
            answer = get(service.port, "/ready")
            self.assertEqual(answer.status, 503)
            self.assertIn("redis", answer.json()["detail"])
        answer = get(api.port, "/recommendations?user_id=v")
        self.assertEqual(answer.status, 503)
        self.assertIn("Retry-After", answer.headers)

        redis = Redis(port)
        self.addCleanup(redis.end)
        for service in (api, processor):
            wait_for(lambda port=service.port: get(port, "/ready").status == 200, "ready")
        wait_for(lambda: get(api.port, f"/recommendations?user_id=v&min_position={position}&wait_ms=100").json().get("behind") is False, "learned")
        wait_for(lambda: len(get(api.port, "/popular").json().get("items", [])) == 3, "popular")

        redis.process.send_signal(signal.SIGSTOP)  # half dead: it accepts and says nothing
        try:
            def lacks():
                got = get(api.port, "/recommendations?user_id=v")
                return got.status == 200 and "features_unavailable" in got.json().get("degraded_reasons", [])
            wait_for(lacks, "degraded")
            self.assertEqual(len(get(api.port, "/recommendations?user_id=v").json()["items"]), 3)
            ready = get(api.port, "/ready?verbose")
            self.assertEqual(ready.status, 200)
            for service in (api, ingest, processor):
                metrics = get(service.port, "/metrics")
                self.assertEqual(metrics.status, 200, metrics.body)
                self.assertIn(b'reco_store_up{store="features"} 0', metrics.body)
                self.assertIn(b'reco_store_up{store="stream"} 1', metrics.body)
            self.assertEqual(post(ingest.port, "/events", {"user_id": "u", "item_id": "d", "event_type": "view"}).status, 202)
        finally:
            redis.process.send_signal(signal.SIGCONT)
        wait_for(lambda: get(api.port, "/recommendations?user_id=v").json().get("degraded") is False, "whole again")
        wait_for(lambda: len(get(api.port, "/popular").json().get("items", [])) == 4, "learned on")


if __name__ == "__main__":
    unittest.main()
