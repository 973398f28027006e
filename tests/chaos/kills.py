"""kill -9 of everything, again and again, while events and questions go on.

    normal run      one broker, one ingest, two processors, one API, Redis, PostgreSQL; each is killed a few times
    RECO_FULL=1     three brokers (three replicas, two in sync), two ingest, three processors, two APIs, Redis with a replica and sentinels,
                    PostgreSQL, for 10 minutes

In the end every acknowledged event is in the topic, each event id counts once, and what is learned is what a clean embedded replay of the topic
learns; the archive has each record once. Ports, users and times are of chance: RECO_SEED repeats the order of the kills."""
import os
import random
import shutil
import sys
import tempfile
import threading
import time

from servers import STARTING, Clock, Kafka, Postgres, Program, Redis, RedisPair, Watch, have_servers, wait_for
from load import Load
from verdict import judge

FULL = os.environ.get("RECO_FULL") == "1"
SECONDS = float(os.environ.get("RECO_CHAOS_SECONDS", "600" if FULL else "15"))


class World:
    def __init__(self, folder, say):
        self.folder, self.say = folder, say
        self.kafka, self.redis, self.postgres = Kafka(folder, 3 if FULL else 1), RedisPair(folder) if FULL else Redis(folder), Postgres(folder)
        self.settings = [f"stream=kafka://{self.kafka.address()}/chaos" + ("?replication=3" if FULL else ""),
                         "features=" + self.redis.url, "records=" + self.postgres.url(),
                         "archive=" + self.postgres.url()]
        counts = {"ingest": 2, "processor": 3, "api": 2} if FULL else {"ingest": 1, "processor": 2, "api": 1}
        self.programs = {kind: [Program("reco-" + kind, f"{kind}-{i + 1}", folder, self.settings) for i in range(count)]
                         for kind, count in counts.items()}

    def all_programs(self):
        return [program for programs in self.programs.values() for program in programs]

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
        for program in self.all_programs():
            program.start()
        self.watch = Watch(self.all_programs())
        self.watch.wait()
        self.load = Load(self.programs["ingest"], self.programs["api"])
        self.load.start()
        wait_for(self.load.probe, "the first answer", STARTING)
        self.say("programs serve")

    def end(self):
        if hasattr(self, "watch"):
            self.watch.stop()
        for process in (*self.all_programs(), self.redis, self.postgres, self.kafka):
            process.end()


class Killer(threading.Thread):
    """Kills one thing of its kind, lets it come back, and again: at least so often, and until the time is over."""

    def __init__(self, kind, strike, seed, end, pause, least=2):
        super().__init__(daemon=True)
        self.kind, self.strike, self.end, self.pause, self.least = kind, strike, end, pause, least
        self.chance = random.Random(f"{seed} {kind}")
        self.count, self.failure = 0, None

    def run(self):
        try:
            while self.count < self.least or time.monotonic() < self.end:
                time.sleep(self.chance.uniform(*self.pause))
                self.strike(self.chance)
                self.count += 1
        except BaseException as failure:  # told to the main thread
            self.failure = failure


def kill(world, seed):
    """All kinds at the same time."""
    end = time.monotonic() + SECONDS
    killers = [Killer(kind, lambda chance, programs=programs: chance.choice(programs).kill(), seed, end, (1, 6))
               for kind, programs in world.programs.items()]
    killers += [Killer(kind, server.strike, seed, end, (1, 6)) for kind, server in (("redis", world.redis), ("postgres", world.postgres))]
    killers.append(Killer("broker", world.kafka.strike, seed, end, (1, 6), least=2 if FULL else 1))  # a JVM takes its time
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.join()
        if killer.failure:
            raise killer.failure
    world.say("killed", {killer.kind: killer.count for killer in killers})
    for program in world.all_programs():
        wait_for(lambda program=program: program.port, program.name + " to listen", STARTING)
    wait_for(world.load.probe, "recovery", STARTING)
    world.say("all is well again")
    for program in world.all_programs():
        signals = [code for code in program.exits if code < 0]
        if signals:
            raise AssertionError(f"{program.name} died of signals {signals}\n{program.log_text()}")


def main():
    have_servers()
    folder = tempfile.mkdtemp(prefix="reco-chaos-")
    os.chmod(folder, 0o755)  # the user that runs PostgreSQL passes through
    clock, seed = Clock(), int(os.environ.get("RECO_SEED", random.randrange(1000000)))
    clock.say("seed", seed)
    world = World(folder, clock.say)
    try:
        world.start()
        kill(world, seed)
        judge(clock.say, world.load, world.settings, folder, world.kafka, world.postgres, world.programs.values())
    except BaseException:
        for process in (*world.all_programs(), *world.redis.processes, world.postgres, *world.kafka.brokers):
            print(f"--- {process.name}", process.log_text(3000), sep="\n")
        raise
    finally:
        world.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
