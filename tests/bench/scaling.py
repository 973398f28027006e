#!/usr/bin/env python3
"""From 10 thousand to 10 million events a second: machines, delay and cost, by a simulation on measured figures.

    scaling.py [--json] [--quick] [--set NAME=VALUE ...]     prints the tables of docs/DEPLOYMENT.md
    scaling.py --selfcheck                                   what must hold whatever the figures are; runs with the tests

What goes in are microseconds of processor time an event of each part, as the benches print them (MEASURED says which), sizes, and prices. What comes
out for each rate: partitions, processes and machines of each part, storage, the delay from event to effect as p50 and p99, and the cost of a
million events.

The delay is simulated one partition at a time, event by event: requests of a batch arrive at random (Poisson), wait for the linger of the producer,
for the broker (a queue whose service takes what was measured, and a sync to the replicas), and for the processor, which serves its partitions in turn
and learns what has come since it was there last (group commit: the longer the queue, the larger the batch and the cheaper each event, down to the
measured cost at batches of 100). Rebalances stop the partitions of one processor in three for REBALANCE_S seconds, REBALANCES_A_DAY times a day: they
are told apart, for they are rare and not in the p99 of a minute. Not in it: the network between zones, the API's own load.

Paper, not promise: figures of one loaded virtual machine, in proportion. What it is for is which part grows first, and what an event costs."""
import argparse
import heapq
import json
import math
import random
import sys

# name: (value, unit, where it comes from)
MEASURED = {
    "ingest_us": (6.1, "us CPU an event", "bench_kafka, client, batches of 100"),
    "http_us": (20.0, "us CPU an event", "taken: a request of 100 events at 2 ms with HTTP and JSON"),
    "broker_us": (5.3, "us CPU an event and replica", "bench_kafka, broker, raw producer, batches of 100"),
    "processor_us": (20.0, "us CPU an event", "bench_redis, client, batches of 100"),
    "redis_us": (25.0, "us CPU an event", "bench_redis, server, batches of 100, heads published"),
    "step_us": (1500.0, "us a processor's step without events", "bench_distributed --effect --rate 200: 1,280 us an event, one event a step"),
    "produce_ms": (2.9, "ms from linger to acknowledged", "bench_distributed, floor at 200 events/s, p50"),
    "record_bytes": (90.0, "bytes an event in Kafka", "bench_kafka: 74 bytes, and its share of a batch's head"),
    "cell_bytes": (280.0, "bytes a user in Redis", "bench_redis"),
    "item_bytes": (1570.0, "bytes an item in Redis, rows and head", "bench_redis: 76 members of 14.5 bytes, head of 471"),
    "archive_bytes": (400.0, "bytes an event in PostgreSQL", "sizing.sh"),
}
ASSUMED = {
    "batch": (100, "events in a request of a client"),
    "linger_ms": (5, "linger.ms of the producer"),
    "replicas": (3, "copies in Kafka"),
    "redis_copies": (2, "a primary and a replica"),
    "load": (0.6, "how busy a core may be"),
    "cores": (8, "cores of a machine"),
    "memory_gb": (64, "memory of a machine"),
    "machine_hour": (0.40, "price of such a machine an hour"),
    "disk_gb_month": (0.08, "price of a GB of disk a month"),
    "retention_days": (7, "days of events in Kafka"),
    "archive_days": (30, "days of events in PostgreSQL; 0: no archive"),
    "users_a_rate": (3000, "users for each event a second"),
    "items": (1000000, "items"),
    "partition_rate": (20000, "events a second of one partition at most, half of what one processor learns at batches of 100"),
    "rebalances_a_day": (4, "processors that come or go"),
    "rebalance_s": (6, "seconds until the partitions of one that was killed are taken over (session.timeout.ms)"),
}
PARTITIONS_MAX = 64  # of one stream (RECO_PARTITIONS_MAX); beyond it: several namespaces, users divided between them
RATES = (10_000, 100_000, 1_000_000, 10_000_000)


def up(value):
    return max(1, math.ceil(value - 1e-9))


def plan(rate, f):
    """Cores, processes and machines of each part, for a rate of events a second."""
    budget = f["load"] * 1e6  # us of a core that may be spent in a second
    users, out = rate * f["users_a_rate"], {"rate": rate}
    out["ingest_cores"] = rate * (f["ingest_us"] + f["http_us"]) / budget
    out["broker_cores"] = rate * f["broker_us"] * f["replicas"] / budget
    out["processor_cores"] = rate * f["processor_us"] / budget
    out["redis_cores"] = rate * f["redis_us"] / budget
    out["processors"] = up(out["processor_cores"])
    out["partitions"] = max(up(rate / f["partition_rate"]), out["processors"], 4)
    out["streams"] = up(out["partitions"] / PARTITIONS_MAX)
    # A primary runs on one core; memory decides when there are many users.
    memory = (users * f["cell_bytes"] + f["items"] * out["streams"] * f["item_bytes"]) * 1.5
    out["redis_gb"] = memory / 1e9
    out["primaries"] = max(up(out["redis_cores"]), up(memory / (f["memory_gb"] * 0.7 * 1e9)))
    out["kafka_gb"] = rate * 86400 * f["retention_days"] * f["record_bytes"] * f["replicas"] / 1e9
    out["archive_gb"] = rate * 86400 * f["archive_days"] * f["archive_bytes"] / 1e9
    per_machine = min(f["cores"], up(f["memory_gb"] * 0.7 * 1e9 / (memory / out["primaries"])))
    out["brokers"] = max(f["replicas"], up(out["broker_cores"] / f["cores"]))
    redis_machines = up(out["primaries"] * f["redis_copies"] / max(1, min(per_machine, f["cores"] - 1)))
    other = up((out["ingest_cores"] + out["processor_cores"]) / f["cores"])
    out["machines"] = out["brokers"] + max(redis_machines, f["redis_copies"]) + max(other, 2)
    hours = out["machines"] * f["machine_hour"]
    disk = (out["kafka_gb"] + out["archive_gb"]) * f["disk_gb_month"] / 730
    out["cost_hour"] = hours + disk
    out["cost_million"] = (hours + disk) / (rate * 3600 / 1e6)
    out["disk_share"] = disk / (hours + disk)
    return out


def delays(rate, f, p, seconds, seed):
    """Simulates the partitions of one processor; the delays of sampled requests, in ms, from arrival to effect."""
    chance = random.Random(seed)
    owned = up(p["partitions"] / p["processors"])
    requests_a_second = rate / f["batch"] / p["processors"] * 1.0  # what reaches this processor, in whole requests
    service_broker = f["broker_us"] * f["batch"] / 1e6
    waiting, now, arrivals, out = [[] for _ in range(owned)], 0.0, [], []
    at = chance.expovariate(requests_a_second)
    while at < seconds:
        # Linger of up to linger_ms, then the broker: acknowledged by replicas, with a long tail as disks have it.
        durable = at + f["linger_ms"] / 1e3 * chance.random() + service_broker + f["produce_ms"] / 1e3 * chance.lognormvariate(0, 0.6)
        heapq.heappush(arrivals, (durable, at))
        at += chance.expovariate(requests_a_second)
    cost = f["processor_us"] / 1e6
    turn = 0
    while arrivals or any(waiting):
        while arrivals and arrivals[0][0] <= now:
            # A request's users are of all partitions: it has its effect when the last of them is learned. One of its pieces is followed.
            waiting[chance.randrange(owned)].append(heapq.heappop(arrivals)[1])
        if not any(waiting):
            now = arrivals[0][0]
            continue
        while not waiting[turn % owned]:
            turn += 1
        # A step learns what waits in one partition, in batches of 100; half of its fixed work is done before the effect shows.
        todo = waiting[turn % owned]
        now += f["step_us"] / 1e6 * 0.5 + cost * f["batch"] * len(todo)
        out.extend((now - begun) * 1e3 for begun in todo)
        todo.clear()
        turn += 1
    return sorted(out)


def simulate(rate, f, quick):
    p = plan(rate, f)
    want = 2000 if quick else 20000
    seconds = want / (rate / f["batch"] / p["processors"])
    found = delays(rate, f, p, seconds, 1)
    p["p50_ms"], p["p99_ms"] = found[len(found) // 2], found[len(found) * 99 // 100]
    p["rebalance_share"] = f["rebalances_a_day"] * f["rebalance_s"] / 86400 / p["processors"]
    return p


def figures(changes):
    f = {name: entry[0] for table in (MEASURED, ASSUMED) for name, entry in table.items()}
    for change in changes:
        name, _, value = change.partition("=")
        if name not in f:
            sys.exit(f"scaling.py: there is no figure {name}; there are: {' '.join(sorted(f))}")
        f[name] = float(value)
        if f[name] < 0 or (f[name] == 0 and name not in ("archive_days", "rebalances_a_day", "linger_ms", "http_us")):
            sys.exit(f"scaling.py: {name} is more than 0")
    return f


def show(results, f):
    print("| what goes in | value | from |\n|---|---|---|")
    for name, (_, unit, source) in MEASURED.items():
        print(f"| `{name}` | {f[name]:g} {unit} | {source} |")
    for name, (_, meaning) in ASSUMED.items():
        print(f"| `{name}` | {f[name]:g} | assumed: {meaning} |")
    print("\n| events/s | partitions (streams) | processors | Redis primaries | brokers | ingest cores | machines | event to effect p50, p99 |\n"
          "|---|---|---|---|---|---|---|---|")
    for p in results:
        print(f"| {p['rate']:,} | {p['partitions']:,} ({p['streams']}) | {p['processors']:,} | {p['primaries']:,} | {p['brokers']:,} | "
              f"{p['ingest_cores']:,.1f} | {p['machines']:,} | {p['p50_ms']:.0f}, {p['p99_ms']:.0f} ms |")
    print("\n| events/s | Redis memory | Kafka disk | archive disk | cost an hour | cost of a million events | of that disks |")
    print("|---|---|---|---|---|---|---|")
    for p in results:
        print(f"| {p['rate']:,} | {p['redis_gb']:,.0f} GB | {p['kafka_gb'] / 1000:,.1f} TB | {p['archive_gb'] / 1000:,.1f} TB | "
              f"{p['cost_hour']:,.2f} | {p['cost_million']:.4f} | {p['disk_share'] * 100:.0f} % |")


def selfcheck():
    f = figures([])
    results = [simulate(rate, f, True) for rate in RATES]
    for small, large in zip(results, results[1:]):
        for name in ("partitions", "processors", "primaries", "brokers", "machines", "cost_hour", "kafka_gb"):
            assert large[name] >= small[name], f"{name} shrinks as the rate grows"
        assert large["cost_million"] <= small["cost_million"] * 1.05, "an event gets dearer as the rate grows"
    for p in results:
        assert p["processors"] <= p["partitions"], "a processor without a partition"
        assert p["partitions"] <= p["streams"] * PARTITIONS_MAX
        assert 0 < p["p50_ms"] <= p["p99_ms"], "delays out of order"
        # More than what a step and the broker take at least, and no queue without end at 60 % load.
        assert f["produce_ms"] * 0.2 < p["p50_ms"] and p["p99_ms"] < 1000, f"delays that cannot be: {p['p50_ms']}, {p['p99_ms']}"
    again = simulate(RATES[0], f, True)
    assert again == results[0], "the same figures give another answer"
    dear = plan(100_000, figures(["redis_us=250"]))
    assert dear["primaries"] >= 8 * plan(100_000, f)["primaries"], "ten times the time on Redis needs about ten times the primaries"
    slow = simulate(10_000, figures(["linger_ms=50"]), True)
    assert slow["p50_ms"] > again["p50_ms"] + 15, "a longer linger is not seen in the delay"
    cores = plan(1_000_000, f)
    assert abs(cores["processor_cores"] - 1_000_000 * f["processor_us"] / (f["load"] * 1e6)) < 1e-6
    print(f"scaling: ok, {len(results)} rates")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--selfcheck", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    if given.selfcheck:
        selfcheck()
        return
    f = figures(given.set)
    results = [simulate(rate, f, given.quick) for rate in RATES]
    if given.json:
        json.dump({"figures": f, "results": results}, sys.stdout, indent=1)
        print()
    else:
        show(results, f)


if __name__ == "__main__":
    main()
