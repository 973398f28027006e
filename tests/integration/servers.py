"""Kafka, Redis and PostgreSQL for tests, started by infra/scripts/up-*.sh on free ports and in temporary folders; they end with the test, however it
ends."""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from http_support import environment, wait_for

ROOT = os.environ.get("RECO_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.join(ROOT, "infra", "scripts")
PR_SET_PDEATHSIG = 1


def skip(reason):
    print("skipped: " + reason)
    sys.stdout.flush()
    os._exit(77)


def free_ports(count):
    """Different ones, asked for at once."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def die_with_the_test():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """One up-*.sh in the foreground. The port may be taken by another in between: then it is tried again with another one."""

    def __init__(self, script, ready, *arguments, **more):
        self.script, self.ready, self.arguments, self.more = script, ready, arguments, more
        self.process = None
        self.folder = tempfile.mkdtemp(prefix="reco-server-")
        os.chmod(self.folder, 0o755)  # PostgreSQL runs as another user when the test is root's
        self.log_path = os.path.join(self.folder, "test.log")

    def begin(self):
        self.port, control = free_ports(2)
        env = environment(RECO_KAFKA_CONTROL_PORT=str(control)) if "kafka" in self.script else environment()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(["bash", os.path.join(SCRIPTS, self.script), os.path.join(self.folder, "data"), str(self.port), *self.arguments],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, preexec_fn=die_with_the_test)

    def serves(self):
        return self.process.poll() is not None or self.ready(self)

    def await_ready(self):
        for _ in range(3):
            wait_for(lambda: self.serves(), self.script, 120)
            if self.process.poll() is None:
                return
            self.begin()
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            raise AssertionError(f"{self.script} does not start: {log.read()[-2000:]}")

    def text(self, name):
        try:
            with open(os.path.join(self.folder, "data", name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT if "postgres" in self.script else signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def redis_answers(server):
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(10).startswith(b"+PONG")
    except OSError:
        return False


def kafka_serves(server):
    return "Kafka Server started" in server.text("broker.log")


def postgres_serves(server):
    return subprocess.run([postgres_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", "reco", "-d", "reco"],
                          check=False).returncode == 0


def postgres_program(name):
    places = [os.environ.get("RECO_POSTGRES_BIN", "")] + [f"/usr/lib/postgresql/{version}/bin" for version in (17, 16, 15)]
    return next((os.path.join(place, name) for place in places if place and os.path.exists(os.path.join(place, name))), shutil.which(name))


class Servers:
    """One of each, started at the same time."""

    def __init__(self):
        for program in ("java", "redis-server", "setpriv"):
            if not shutil.which(program):
                skip(program + " is missing")
        if not postgres_program("postgres"):
            skip("PostgreSQL is missing")
        if subprocess.run(["bash", os.path.join(SCRIPTS, "up-kafka.sh"), "--jars"], stdout=subprocess.DEVNULL, check=False).returncode != 0:
            skip("the jars of Kafka are not in the cache and cannot be fetched")
        self.kafka = Server("up-kafka.sh", kafka_serves, "256m")
        self.redis = Server("up-redis.sh", redis_answers)
        self.postgres = Server("up-postgres.sh", postgres_serves)
        self.all = (self.kafka, self.redis, self.postgres)
        try:
            for server in self.all:
                server.begin()
            for server in self.all:
                server.await_ready()
        except BaseException:
            self.end()
            raise

    def stream(self, prefix):
        return f"kafka://127.0.0.1:{self.kafka.port}/{prefix}"

    def features(self, prefix):
        return f"redis://127.0.0.1:{self.redis.port}?prefix={prefix}:"

    def records(self):
        return f"postgresql://reco@127.0.0.1:{self.postgres.port}/reco"

    def sql(self, text):
        return subprocess.run([postgres_program("psql") or "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", self.records(), "-c", text], check=True,
                              capture_output=True, text=True).stdout

    def end(self):
        for server in self.all:
            server.end()
