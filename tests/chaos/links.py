"""Faults on the links between programs and servers, by a proxy on each: 2 s of latency, 1 kB/s, resets, half-open connections, a server that is not
there. Events and questions go on all the while.

    ingest      answers 202, or 503 with Retry-After, within its deadline; every event that got a 202 is in the topic, and none counts twice
    API         answers 200 within recommend.deadline, or 503 with Retry-After; without the features, or with features that take longer, an answer says
                that it is degraded
    archive     (of the processor) keeps no learning waiting, and has each record once in the end
    all         none ends; all recover by themselves; what is learned in the end is what a clean embedded replay of the topic learns

Normal run: five rounds in which every link has a fault, each link another one in each round. RECO_FULL=1: each fault on each link alone too, and a
link that is down stays down for 60 s; `links.py LINK...` does that for these links."""
import os
import shutil
import sys
import tempfile
import time

from servers import STARTING, Clock, Kafka, Postgres, Program, Redis, Watch, free_port, have_servers, wait_for
from load import Load
from proxy import FAULTS, Proxy
from verdict import judge

FULL = os.environ.get("RECO_FULL") == "1"
LINKS = ("ingest-kafka", "processor-kafka", "api-kafka", "ingest-redis", "processor-redis", "api-redis", "api-postgres", "processor-postgres")
SHORT = 3.0
LONG = {"latency": 10.0, "slow": 10.0, "reset": 10.0, "half_open": 25.0, "down": 60.0}
RECOVERY = 90.0


class World:
    def __init__(self, folder, say):
        self.folder, self.say = folder, say
        self.postgres, self.redis = Postgres(folder), Redis(folder)
        through = [(free_port(), free_port()) for link in LINKS if link.endswith("-kafka")]
        self.kafka = Kafka(folder, through=through)
        self.proxies = {}
        ports = iter(through)
        for link in LINKS:
            server = link.rpartition("-")[2]
            if server == "kafka":
                inside, outside = next(ports)
                self.proxies[link] = Proxy(inside, outside)
            else:
                self.proxies[link] = Proxy(self.redis.port if server == "redis" else self.postgres.port, free_port())
        self.programs = []

    def settings(self, program=None):
        """Addresses of the stores, through the proxies of a program."""
        def port(server, straight):
            proxy = self.proxies.get(f"{program}-{server}")
            return proxy.port if proxy else straight
        database = self.postgres.url(port=port("postgres", self.postgres.port))
        return [f"stream=kafka://127.0.0.1:{port('kafka', self.kafka.ports[0])}/chaos",
                f"features=redis://127.0.0.1:{port('redis', self.redis.port)}", "records=" + database, "archive=" + database]

    def start(self):
        self.kafka.start()
        self.redis.start()
        self.postgres.initialise()
        self.postgres.start()
        self.postgres.wait()
        self.postgres.create()
        self.redis.wait()
        self.kafka.wait()
        self.say("servers serve")
        self.programs = [Program("reco-" + name, name, self.folder, self.settings(name)) for name in ("ingest", "processor", "api")]
        for program in self.programs:
            program.start()
        self.watch = Watch(self.programs)
        self.watch.wait()
        self.load = Load([self.programs[0]], [self.programs[2]])

    def round(self, faults, seconds):
        """faults: link -> fault, for so long; then until all is well again."""
        for link, fault in faults.items():
            self.proxies[link].set(fault)
        self.load.without_features = faults.get("api-redis") in ("down", "half_open", "latency")
        if list(faults) == ["processor-postgres"]:
            wait_for(self.load.probe, "learning, which does not wait for the archive", RECOVERY)
        time.sleep(seconds)
        self.load.without_features = False
        for link in faults:
            self.proxies[link].set("none")
        healed = time.monotonic()
        wait_for(self.load.probe, f"recovery from {faults}", RECOVERY)
        self.check()
        self.say(", ".join(f"{link} {fault}" for link, fault in faults.items()), f"for {seconds:.0f} s: well {time.monotonic() - healed:.1f} s later;",
                 self.load.summary())

    def check(self):
        for program in self.programs:
            if program.exits or program.starts > 1:
                raise AssertionError(f"{program.name} ended: {program.exits}\n{program.log_text()}")
        if self.load.wrong:
            raise AssertionError("\n".join(self.load.wrong))

    def end(self):
        if hasattr(self, "watch"):
            self.watch.stop()
        for process in (*self.programs, self.redis, self.postgres, self.kafka):
            process.end()
        for proxy in self.proxies.values():
            proxy.close()


def faults(world):
    for turn in range(len(FAULTS)):
        world.round({link: FAULTS[(turn + i) % len(FAULTS)] for i, link in enumerate(LINKS)}, SHORT)
    if FULL:
        for link in sys.argv[1:] or LINKS:
            for fault in FAULTS:
                world.round({link: fault}, LONG[fault])


def main():
    have_servers()
    folder = tempfile.mkdtemp(prefix="reco-chaos-")
    os.chmod(folder, 0o755)  # the user that runs PostgreSQL passes through
    clock = Clock()
    world = World(folder, clock.say)
    try:
        world.start()
        world.say("programs serve")
        world.load.start()
        wait_for(world.load.probe, "the first answer", STARTING)
        faults(world)
        judge(clock.say, world.load, world.settings(), folder, world.kafka, world.postgres, ([world.programs[0]], [world.programs[1]], [world.programs[2]]))
    except BaseException:
        for process in (*world.programs, world.redis, world.postgres, *world.kafka.brokers):
            print(f"--- {process.name}", process.log_text(3000), sep="\n")
        raise
    finally:
        world.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
