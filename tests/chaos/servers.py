"""Real servers and programs of ours for the chaos tests: on free ports of 127.0.0.1, in a temporary folder, killed and brought back at will. All of
them die with the process that started them."""
import concurrent.futures
import contextlib
import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

SOURCE = os.environ.get("RECO_SOURCE_DIR") or sys.exit("RECO_SOURCE_DIR is not set")
sys.path.insert(0, os.path.join(SOURCE, "tests", "integration"))

from http_support import BIN, environment, wait_for  # noqa: E402

UP_KAFKA = os.path.join(SOURCE, "infra", "scripts", "up-kafka.sh")
MIGRATE = os.path.join(SOURCE, "infra", "scripts", "migrate-postgres.sh")
STARTING = 180  # seconds a server may take, on a machine with other things to do
libc = ctypes.CDLL(None, use_errno=True)
# One thread starts all processes: a process's parent is the thread that started it, and killers and watchers end before what they brought back.
STARTER = concurrent.futures.ThreadPoolExecutor(max_workers=1)


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def die_with_parent():
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port():
    """Outside the range of outgoing connections, so that a server that was killed finds its port again."""
    while True:
        port = random.randrange(12000, 31000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Process:
    """A process that is started, killed and started again, its output in one file."""

    def __init__(self, name, folder):
        self.name, self.log_path = name, os.path.join(folder, name + ".log")
        self.process = None
        self.kills = 0

    def spawn(self, command, **options):
        with open(self.log_path, "ab") as log:
            self.process = STARTER.submit(subprocess.Popen, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent,
                                          **options).result()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """As a power cut would."""
        if self.alive():
            self.process.kill()
            self.kills += 1
        self.process.wait()

    def end(self):
        if self.alive():
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def log_text(self, most=4000):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()[-most:]
        except OSError:
            return ""


class Broker(Process):
    def __init__(self, cluster, number):
        super().__init__(f"kafka-{number}", cluster.folder)
        self.cluster, self.number = cluster, number

    def log_of_broker(self):
        at = os.path.join(self.cluster.data, str(self.number)) if self.cluster.count > 1 else self.cluster.data
        return os.path.join(at, "broker.log")

    def start(self):
        cluster = self.cluster
        with contextlib.suppress(OSError):
            os.unlink(self.log_of_broker())  # what `started` looks for is of this start
        more = [word for port, outside in cluster.through for word in ("--through", f"{port}={outside}")]
        command = ["bash", UP_KAFKA, "--brokers", str(cluster.count), *(["--only", str(self.number)] if cluster.count > 1 else []), *more,
                   cluster.data, ",".join(map(str, cluster.ports)), "384m"]
        self.spawn(command, env=environment(RECO_KAFKA_CONTROL_PORT=",".join(map(str, cluster.control))))

    def started(self):
        if not self.alive():
            raise AssertionError(f"{self.name} ended: {self.log_text()}")
        try:
            with open(self.log_of_broker(), encoding="utf-8", errors="replace") as file:
                return "Kafka Server started" in file.read()
        except OSError:
            return False


class Kafka:
    """One broker, or a cluster. through: pairs of a port and the port of a proxy in front of it, which clients that come there are told to use."""

    def __init__(self, folder, count=1, through=()):
        self.folder, self.count, self.through = folder, count, through
        self.data = os.path.join(folder, "kafka")
        self.ports = [free_port() for _ in range(count)]
        self.control = [free_port() for _ in range(count)]
        self.brokers = [Broker(self, i + 1) for i in range(count)]

    def start(self):
        os.makedirs(self.data, exist_ok=True)
        for broker in self.brokers:
            broker.start()

    def wait(self):
        for broker in self.brokers:
            wait_for(broker.started, broker.name + " to serve", STARTING)

    def in_sync(self):
        """All brokers serve and follow: no partition lacks a replica."""
        if not all(broker.started() for broker in self.brokers):
            return False
        if self.count == 1:
            return True
        time.sleep(0.2)  # a question costs a connection to each broker
        return subprocess.run([os.path.join(BIN, "in_sync"), self.address(), str(self.count)], env=environment(), capture_output=True).returncode == 0

    def strike(self, chance):
        """One at a time: the next one only when all are in sync again."""
        broker = chance.choice(self.brokers)
        broker.kill()
        time.sleep(chance.uniform(0, 2))
        broker.start()
        wait_for(self.in_sync, "the broker to be in sync again", STARTING)

    def address(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def end(self):
        for broker in self.brokers:
            broker.end()


class Speaks(Process):
    """A Redis or a sentinel: speaks its protocol."""

    def ask(self, *words):
        """One command; the answer as a flat list of texts."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            link.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words))
            return self.answer(link.makefile("rb"))

    def answer(self, stream):
        line = stream.readline().decode().rstrip("\r\n")
        if not line:
            raise ConnectionError(self.name + " closed the connection")
        if line[0] == "*":
            return [text for _ in range(int(line[1:])) for text in self.answer(stream)]
        if line[0] != "$":
            return [line[1:]]
        return ["" if line == "$-1" else stream.read(int(line[1:]) + 2)[:-2].decode()]


class Redis(Speaks):
    """Every write is on disk before it is answered: a kill loses nothing."""

    def __init__(self, folder, name="redis"):
        super().__init__(name, folder)
        self.data, self.port = os.path.join(folder, name), free_port()
        self.url, self.processes = f"redis://127.0.0.1:{self.port}", [self]

    def start(self, *more):
        os.makedirs(self.data, exist_ok=True)
        self.spawn(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.data, "--save", "", "--appendonly", "yes",
                    "--appendfsync", "always", "--maxmemory-policy", "noeviction", *more])

    def ready(self):
        if not self.alive():
            raise AssertionError(f"{self.name} ended: {self.log_text()}")
        try:
            return self.ask("PING") == ["PONG"]
        except OSError:
            return False

    def wait(self):
        wait_for(self.ready, self.name + " to serve", STARTING)

    def leads(self):
        try:
            return self.ask("ROLE")[0] == "master"
        except OSError:
            return False

    def strike(self, chance):
        self.kill()
        time.sleep(chance.uniform(0, 2))
        self.start()
        self.wait()


class Sentinel(Speaks):
    def __init__(self, folder, number):
        super().__init__(f"sentinel-{number}", folder)
        self.config, self.port = os.path.join(folder, self.name + ".conf"), free_port()

    def prepare(self, primary):
        with open(self.config, "w", encoding="ascii") as file:
            file.write(f"port {self.port}\nbind 127.0.0.1\nsentinel monitor reco 127.0.0.1 {primary.port} 2\n"
                       "sentinel down-after-milliseconds reco 2000\nsentinel failover-timeout reco 10000\n")

    def start(self):
        self.spawn(["redis-server", self.config, "--sentinel"])


class RedisPair:
    """A primary, a replica, and three sentinels that decide which is which."""

    def __init__(self, folder):
        self.name = "redis"
        self.nodes = [Redis(folder, "redis-1"), Redis(folder, "redis-2")]
        self.sentinels = [Sentinel(folder, i + 1) for i in range(3)]
        self.processes = [*self.nodes, *self.sentinels]
        self.url = "redis://" + ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels) + "?sentinel=reco"

    def start(self):
        self.nodes[0].start()
        self.nodes[1].start("--replicaof", "127.0.0.1", str(self.nodes[0].port))
        for sentinel in self.sentinels:
            sentinel.prepare(self.nodes[0])
            sentinel.start()

    def roles(self):
        """(primary, replica) when both serve, the replica follows and all sentinels know; else None."""
        try:
            found = {node.ask("ROLE")[0]: node for node in self.nodes}
            primary, replica = found["master"], found["slave"]
            known = {sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "reco")[1] for sentinel in self.sentinels}
            following = replica.ask("ROLE")
            others = {sentinel.ask("INFO", "sentinel")[0].split("slaves=")[1].split(",")[0] for sentinel in self.sentinels}
        except (OSError, KeyError, IndexError):
            return None
        good = known == {str(primary.port)} and following[2:4] == [str(primary.port), "connected"] and others == {"1"}
        return (primary, replica) if good else None

    def wait(self):
        return wait_for(self.roles, "a primary that is followed", STARTING)

    def strike(self, chance):
        """Mostly the primary dies: the replica takes over, and the dead one comes back to follow it."""
        primary, replica = self.wait()
        victim = chance.choice([primary, primary, replica, chance.choice(self.sentinels)])
        victim.kill()
        if victim is primary:
            wait_for(replica.leads, "the replica to take over", STARTING)
            victim.start("--replicaof", "127.0.0.1", str(replica.port))
        elif victim is replica:
            victim.start("--replicaof", "127.0.0.1", str(primary.port))
        else:
            victim.start()
        self.wait()

    def end(self):
        for process in self.processes:
            process.end()


class Postgres(Process):
    def __init__(self, folder):
        super().__init__("postgres", folder)
        self.data, self.port = os.path.join(folder, "postgres"), free_port()
        places = [f"/usr/lib/postgresql/{version}/bin" for version in (17, 16, 15)]
        self.bin = next((place for place in places if os.path.exists(os.path.join(place, "postgres"))), None)
        self.owner = "postgres" if os.getuid() == 0 else None

    def program(self, name):
        return os.path.join(self.bin, name)

    def as_owner(self):
        if not self.owner:
            return {}
        entry = pwd.getpwnam(self.owner)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}

    def initialise(self):
        os.makedirs(self.data)
        if self.owner:
            shutil.chown(self.data, self.owner)
        done = subprocess.run([self.program("initdb"), "-D", self.data, "-A", "trust", "-U", "reco", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
                              capture_output=True, text=True, env=environment(), **self.as_owner())
        if done.returncode:
            raise AssertionError("initdb: " + done.stdout + done.stderr)

    def start(self):
        self.spawn([self.program("postgres"), "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c",
                    f"unix_socket_directories={self.data}", "-c", "shared_buffers=16MB", "-c", "max_connections=60"], **self.as_owner())

    def sql(self, text):
        return subprocess.run(["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-d", self.url("postgres" if "DATABASE" in text else "reco"), "-c", text],
                              capture_output=True, text=True, env=environment(), timeout=60)

    def ready(self):
        if not self.alive():
            self.start()  # the children of one that was killed may have held its memory for a moment
        return subprocess.run(["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], env=environment()).returncode == 0

    def wait(self):
        wait_for(self.ready, "PostgreSQL to serve: " + self.log_text(), STARTING)

    def kill(self):
        """All of its processes at once; the children would only end by and by."""
        listing = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(listing, encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
        super().kill()
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def strike(self, chance):
        self.kill()
        time.sleep(chance.uniform(0, 2))
        self.start()
        self.wait()

    def end(self):
        if self.alive():
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()

    def url(self, database="reco", port=None):
        return f"postgresql://reco@127.0.0.1:{port or self.port}/{database}"

    def create(self):
        for done in (self.sql("CREATE DATABASE reco"), subprocess.run(["bash", MIGRATE, self.url()], capture_output=True, text=True, env=environment())):
            if done.returncode:
                raise AssertionError(done.stdout + done.stderr)


class Program(Process):
    """One of ours that serves; brought back by `watch` whenever it has ended."""

    def __init__(self, program, name, folder, settings, *arguments):
        super().__init__(name, folder)
        self.port_file = os.path.join(folder, name + ".port")
        pairs = [word for pair in settings for word in ("--set", pair)]
        self.command = [os.path.join(BIN, program), "--data", os.path.join(folder, "data"), "--listen", "127.0.0.1:0", "--port-file", self.port_file,
                        *pairs, *arguments]
        self.starts = 0
        self.exits = []  # of its own accord
        self.lock = threading.Lock()
        self.wanted = False
        self.port = self.again_at = None

    def start(self):
        with self.lock:
            self.wanted = True
            self.spawn_again()

    def spawn_again(self):
        if os.path.exists(self.port_file):
            os.unlink(self.port_file)
        self.port = self.again_at = None
        self.starts += 1
        self.spawn(self.command, env=environment())

    def look(self):
        """Notes the port; starts it again when it is gone."""
        with self.lock:
            if not self.wanted:
                return
            if not self.alive():
                if self.process.returncode != -signal.SIGKILL and self.again_at is None:
                    self.exits.append(self.process.returncode)
                    self.again_at = time.monotonic() + 0.5  # a store is not there: as supervisors do
                if self.again_at is None or time.monotonic() > self.again_at:
                    self.spawn_again()
            elif self.port is None and os.path.exists(self.port_file):
                with open(self.port_file, encoding="ascii") as file:
                    self.port = int(file.read())

    def kill(self):
        with self.lock:
            super().kill()

    def stop(self):
        """In order."""
        with self.lock:
            self.wanted = False
            if not self.alive():
                return self.process.returncode
            self.process.terminate()
            return self.process.wait(60)

    def end(self):
        with self.lock:
            self.wanted = False
            super().end()


class Watch:
    """Keeps programs running."""

    def __init__(self, programs):
        self.programs, self.stopping = programs, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.05):
            for program in self.programs:
                program.look()

    def wait(self):
        for program in self.programs:
            wait_for(lambda program=program: program.port, program.name + " to listen", STARTING)

    def stop(self):
        self.stopping.set()
        self.thread.join()


def have_servers():
    """Skips when a server's program is missing."""
    for name in ("redis-server", "psql", "pg_isready", "java"):
        if not shutil.which(name):
            skip(name + " is missing")
    if not Postgres("/nowhere").bin:
        skip("PostgreSQL is missing (Debian package postgresql-15)")
    done = subprocess.run(["bash", UP_KAFKA, "--jars"], capture_output=True, text=True, env=environment())
    if done.returncode:
        skip((done.stderr.strip().splitlines() or ["Kafka cannot be fetched"])[-1])


class Clock:
    """Seconds since the start, for the tale the test tells."""

    def __init__(self):
        self.began = time.monotonic()

    def say(self, *words):
        print(f"{time.monotonic() - self.began:6.1f}", *words, flush=True)
