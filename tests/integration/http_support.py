"""What the HTTP and CLI tests share: programs of the build on free ports and temporary directories, that end with the test."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import openapi_support

BUILD = os.environ.get("RECO_BUILD_DIR") or sys.exit("RECO_BUILD_DIR is not set")
BIN = os.path.join(BUILD, "bin")
HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 30


def environment(**more):
    """Ours without RECO_..., which the programs would take for settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RECO_")}
    # civetweb frees the path of a connection's last request only with the next one
    env["LSAN_OPTIONS"] = "suppressions=" + os.path.join(HERE, "lsan.supp") + ":print_suppressions=0"
    env.update(more)
    return env


def wait_for(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not in time: " + what)
        time.sleep(0.005)


def run(program, *arguments, check=None, stdin=None, env=None, cwd=None):
    """Runs a program to its end."""
    done = subprocess.run([os.path.join(BIN, program), *arguments], input=stdin, capture_output=True, text=True, timeout=PATIENCE * 2,
                          env=env or environment(), cwd=cwd)
    if check is not None and done.returncode != check:
        raise AssertionError(f"{program} {arguments}: exit code {done.returncode}, not {check}\n{done.stdout}\n{done.stderr}")
    return done


class Service:
    """A program that serves, from its start to its end."""

    def __init__(self, program, data, *arguments, env=None, preexec_fn=None):
        self.folder = tempfile.mkdtemp(prefix="reco-service-")
        self.port_file = os.path.join(self.folder, "port")
        self.log_path = os.path.join(self.folder, "log")
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen([os.path.join(BIN, program), *self.command(), *(["--data", data] if data else []), "--port-file", self.port_file, *arguments],
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, env=env or environment(), preexec_fn=preexec_fn)
        try:
            wait_for(self.started, program + " to listen: " + program)
            self.read_ports()
        except BaseException:
            sys.stderr.write(self.log_text())
            self.end()
            raise

    def command(self):
        return ["--listen", "127.0.0.1:0"]

    def read_ports(self):
        with open(self.port_file) as file:
            self.port = int(file.read())

    def started(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}: {self.log_text()}")
        return os.path.exists(self.port_file)

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Everywhere(Service):
    """Listens on all addresses."""

    def command(self):
        return ["--listen", "0.0.0.0:0"]


class Serve(Service):
    """reco serve: three ports."""

    def __init__(self, data, *arguments, env=None, preexec_fn=None):
        super().__init__("reco", data, *arguments, env=env, preexec_fn=preexec_fn)

    def command(self):
        return ["serve", "--ingest-listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--processor-listen", "127.0.0.1:0"]

    def read_ports(self):
        with open(self.port_file) as file:
            ports = dict(line.strip().split("=") for line in file)
        self.ingest, self.api, self.processor = (int(ports[name]) for name in ("ingest", "api", "processor"))
        self.port = self.ingest


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    def json(self):
        return json.loads(self.body)


def ask(port, method, path, body=None, headers=None):
    """One request on a connection of its own; its answer is as the OpenAPI documents say."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        try:
            connection.request(method, path, body=body, headers=headers or {})
        except (BrokenPipeError, ConnectionResetError):
            pass  # a server may answer and close before it has read everything
        response = connection.getresponse()
        answer = Answer(response, response.read())
    finally:
        connection.close()
    offences = openapi_support.everything().offences(method, path, answer.status, answer.headers, answer.body)
    if offences:
        raise AssertionError("not as the OpenAPI document says: " + "; ".join(offences))
    return answer


def get(port, path, **headers):
    return ask(port, "GET", path, headers=headers)


def post(port, path, document, content_type="application/json", headers=None):
    body = document if isinstance(document, (bytes, str)) else json.dumps(document)
    return ask(port, "POST", path, body=body, headers={"Content-Type": content_type, **(headers or {})})


def raw(port, data, end=True):
    """Bytes as they are; what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(data)
        if end:
            connection.shutdown(socket.SHUT_WR)
        parts = []
        while True:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            parts.append(part)
        return b"".join(parts)


class WithData(unittest.TestCase):
    """A fresh data directory for every test."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="reco-test-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.data = os.path.join(self.folder, "data")

    def service(self, program, *arguments, env=None, preexec_fn=None):
        service = Service(program, self.data, *arguments, env=env, preexec_fn=preexec_fn)
        self.addCleanup(service.end)
        return service

    def serve(self, *arguments, env=None):
        service = Serve(self.data, *arguments, env=env)
        self.addCleanup(service.end)
        return service

    def assert_problem(self, answer, status, field=None):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        self.assertTrue(problem["title"])
        self.assertTrue(problem["detail"])
        if field is not None:
            self.assertEqual(problem["errors"][0]["field"], field, problem)
            self.assertTrue(problem["errors"][0]["detail"])
        return problem


def event(user, item, kind="view", **more):
    return {"user_id": user, "item_id": item, "event_type": kind, **more}
