"""What must be true in the end, whatever happened: asked of the topic itself, of the program `reco`, of the API and of the archive."""
import json
import os
import subprocess

from http_support import BIN, environment, get, wait_for
from load import WEIGHTS

JUDGE = os.path.join(BIN, "replay_topic")
CATCHING_UP = 120


def reco(settings, folder, *words):
    pairs = [word for pair in settings for word in ("--set", pair)]
    return subprocess.run([os.path.join(BIN, "reco"), "--data", os.path.join(folder, "unused"), *pairs, *words], capture_output=True, text=True,
                          env=environment(), timeout=300)


def read_topic(brokers, topic, folder):
    """Every record of the topic as (partition, offset, bytes, what, ...), and the hash of a clean embedded replay of them."""
    done = subprocess.run([JUDGE, brokers, topic, os.path.join(folder, "replay")], capture_output=True, text=True, env=environment(),
                          timeout=300)
    if done.returncode:
        raise AssertionError("replay_topic: " + done.stderr)
    *records, last = done.stdout.splitlines()
    return [line.split(" ") for line in records], last.removeprefix("hash ")


def caught_up(settings, folder):
    done = reco(settings, folder, "stats", "--json")
    return done.returncode == 0 and json.loads(done.stdout)["lag"] == 0


def counted_once(records, api):
    """The API's sums of popularity are those of the distinct events of the topic."""
    sums, seen, twice = {}, set(), 0
    for record in records:
        if record[3] != "event":
            continue
        user, item, kind, event_id = record[4:]
        if (user, event_id) in seen:
            twice += 1
            continue
        seen.add((user, event_id))
        sums[item] = sums.get(item, 0) + WEIGHTS[kind]

    def agree():
        answer = get(api.port, "/popular?limit=500")
        if answer.status != 200:
            return False
        agree.last = {item["item_id"]: item["score"] for item in answer.json()["items"]}
        return agree.last == {item: total * 1000000 for item, total in sums.items()}

    agree.last = None
    try:
        wait_for(agree, "popularity to be the sum of the distinct events", CATCHING_UP)
    except AssertionError:
        wrong = [(item, total, agree.last and agree.last.get(item)) for item, total in sums.items()
                 if not agree.last or agree.last.get(item) != total * 1000000]
        raise AssertionError(f"popularity differs: item, sum of distinct events, score: {wrong[:10]}") from None
    return len(seen), twice


def archived_once(records, postgres):
    """The archive has the records of the topic, each once, byte for byte."""
    wanted = sorted(tuple(record[:4]) for record in records)
    table = "SELECT partition, position, encode(raw, 'hex'), record_type FROM reco.events"

    def agree():
        agree.got = sorted(tuple(line.split("|")) for line in postgres.sql(table).stdout.splitlines())
        return agree.got == wanted

    try:
        wait_for(agree, "the archive", CATCHING_UP)
    except AssertionError:
        missing, strange = set(wanted) - set(agree.got), set(agree.got) - set(wanted)
        raise AssertionError(f"the archive has {len(agree.got)} records of {len(wanted)}; missing {sorted(missing)[:3]}, "
                             f"not of the topic {sorted(strange)[:3]}") from None


def judge(say, load, settings, folder, kafka, postgres, programs):
    """Ends load and ingest, waits until all is learned, and compares. programs: ingests, processors, apis."""
    ingests, _, apis = programs
    load.stop()
    say(load.summary())
    if load.wrong:
        raise AssertionError("\n".join(load.wrong))
    for ingest in ingests:
        ingest.stop()
    wait_for(lambda: caught_up(settings, folder), "everything to be learned", CATCHING_UP)
    records, replayed = read_topic(kafka.address(), "chaos.default", folder)
    ids = {record[7] for record in records if record[3] == "event"}
    lost = load.acknowledged - ids
    if lost:
        raise AssertionError(f"{len(lost)} acknowledged events are not in the topic: {sorted(lost)[:10]}")
    strange = ids - load.tried.keys()
    if strange:
        raise AssertionError(f"the topic has events that nobody posted: {sorted(strange)[:10]}")
    archived_once(records, postgres)
    distinct, twice = counted_once(records, apis[0])
    verified = reco(settings, folder, "verify", "--json")
    if verified.returncode:
        raise AssertionError("verify: " + verified.stdout + verified.stderr)
    result = json.loads(verified.stdout)
    if result["unlearned"] or result["hash"] != replayed:
        raise AssertionError(f"learned {result}, but a clean embedded replay of the topic has the hash {replayed}")
    say(f"{len(records)} records, {distinct} distinct events, {twice} of them repeated; state {replayed} is that of a clean embedded replay")
    return records
