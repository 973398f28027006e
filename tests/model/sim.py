#!/usr/bin/env python3
"""What must have been learned, worked out from the rules alone.

    sim.py FIRST COUNT

prints COUNT random cases, numbered from FIRST: settings, the records of each partition, and the state that follows from them. test_oracle learns the
same records through stream, learner and features, in batches and an order of its own choosing, and compares.

Nothing here is incremental. A partition's records are taken one after another; sums are kept by (board, generation, row, member) and never closed;
only when all are taken is it asked which generations the clocks have closed, what the cut leaves of them, and what has expired. A case is lines of
words:

    case N P
    rule NAME VALUE
    record P KIND RECEIVED ...      KIND event: TIMESTAMP USER ITEM TYPE VALUE SESSION ID, "-" for what is absent; KIND tick: nothing more
    clock P W
    row BOARD GENERATION ITEM MEMBER SUM       ITEM "-" on the boards of popularity
    cell USER HEX                              the canonical form
    end
"""
import random
import struct
import sys

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = 11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261
HOURS, DAYS, COVIEW = 0, 1, 2
SPACE = b"oracle"
# name: (weight, least value that counts, hides)
TYPES = {"view": (1, None, False), "cart": (3, None, False), "rating": (2, 4.0, False), "seen": (0, None, False), "hide": (0, None, True),
         "back": (-2, None, False)}


def rotl(x, by):
    return (x << by | x >> (64 - by)) & MASK


def xxh64(data, seed=0):
    """XXH64, for the short keys used here (below 32 bytes)."""
    assert len(data) < 32
    h, at = (seed + P5 + len(data)) & MASK, 0
    while at + 8 <= len(data):
        word = int.from_bytes(data[at:at + 8], "little")
        h = (rotl(h ^ rotl(word * P2 & MASK, 31) * P1 & MASK, 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= len(data):
        h = (rotl(h ^ int.from_bytes(data[at:at + 4], "little") * P1 & MASK, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ byte * P5 & MASK, 11) * P1 & MASK
    h = (h ^ h >> 33) * P2 & MASK
    h = (h ^ h >> 29) * P3 & MASK
    return h ^ h >> 32


# --- rules ---------------------------------------------------------------------------------------------------------------------------------------


def random_rules(rng):
    rules = {
        "lateness": rng.randint(0, 40), "skew": rng.randint(0, 10),
        "hours_length": rng.randint(5, 30), "days_length": rng.randint(40, 120), "coview_length": rng.randint(10, 80),
        "hours_kept": rng.randint(1, 5), "days_kept": rng.randint(1, 4), "coview_kept": rng.randint(1, 4),
        "cut": rng.randint(1, 4), "head": rng.randint(1, 4),
        "pair_window": rng.randint(0, 4), "pair_in_session": rng.randint(0, 1), "pair_inverse": rng.randint(0, 1),
        "recents": rng.randint(1, 4), "history": rng.randint(1, 6), "ids_seen": rng.randint(0, 5), "ids_window": rng.randint(0, 80),
        "session_gap": rng.randint(0, 30), "lifetime": rng.randint(20, 400),
    }
    rules["length"] = [rules["hours_length"], rules["days_length"], rules["coview_length"]]
    rules["kept"] = [rules["hours_kept"], rules["days_kept"], rules["coview_kept"]]
    return rules


def oldest_open(rules, board, clock):
    g = 0
    while (g + 1) * rules["length"][board] + rules["lateness"] + rules["skew"] <= clock:
        g += 1
    return g


# --- derivation ----------------------------------------------------------------------------------------------------------------------------------


class Cell:
    def __init__(self):
        self.last, self.session, self.in_session = 0, "", []
        self.touches, self.hidden, self.ids = [], [], []  # touches newest first: [item, weight, t]


def weigh(event):
    """Effective weight, whether it is listed, whether it hides."""
    weight, least, hides = TYPES.get(event["type"], (0, None, False))
    counts = least is None or (event["value"] is not None and event["value"] >= least)
    return weight if counts else 0, weight > 0, hides


def decide_session(rules, cell, event, r):
    if event["session"]:
        goes_on = event["session"] == cell.session
    else:
        goes_on = r - cell.last <= rules["session_gap"]
    if not goes_on:
        cell.session, cell.in_session = event["session"], []


def take_back(rules, cell, event, r, post):
    """What an undo does about an event whose id was seen."""
    weight, listed, hides = weigh(event)
    item, t = event["item"], event["t"] or event["received"]
    place = next((k for k, x in enumerate(cell.touches) if listed and x[0] == item), None)
    if place is not None and cell.touches[place][2]:
        if not event["t"]:
            t = cell.touches[place][2]
        elif cell.touches[place][2] != t:
            place = None

    def generation(board, at):
        return max(at // rules["length"][board], oldest_open(rules, board, r))

    def pair(other, d, weight, at):
        delta = -weight * (2520 // d if rules["pair_inverse"] else 2520)
        post(COVIEW, generation(COVIEW, at), item, other, delta)
        post(COVIEW, generation(COVIEW, at), other, item, delta)

    if weight:
        post(HOURS, generation(HOURS, t), None, item, -weight)
        post(DAYS, generation(DAYS, t), None, item, -weight)
    if place is not None and weight > 0 and cell.touches[place][1] > 0:
        usable = [k for k, x in enumerate(cell.touches) if x[1] > 0 and (not rules["pair_in_session"] or x[0] in cell.in_session)]
        if place in usable:
            at = usable.index(place)
            for d, k in enumerate(usable[at + 1:][:rules["pair_window"]], 1):
                pair(cell.touches[k][0], d, weight, t)
            for d, k in enumerate(usable[:at][::-1][:rules["pair_window"]], 1):
                pair(cell.touches[k][0], d, cell.touches[k][1], cell.touches[k][2] or t)
    if place is not None:
        cell.touches.pop(place)
        cell.in_session = [x for x in cell.in_session if x != item]
    if hides:
        cell.hidden = [x for x in cell.hidden if x != item]


def undo(rules, cell, event, r, post):
    ids = [(i, at) for i, at in cell.ids if at >= r - rules["ids_window"]]
    if any(i == "~" + event["id"] for i, _ in ids):
        return cell
    seen = any(i == event["id"] for i, _ in ids)
    cell.ids = ids
    for name in ([] if seen else [event["id"]]) + ["~" + event["id"]]:
        cell.ids = (cell.ids + [(name, r)])[-rules["ids_seen"]:] if rules["ids_seen"] else []
    if seen:
        take_back(rules, cell, event, r, post)
    cell.last = r
    return cell


def derive(rules, cell, event, r, post):
    """One event; answers the cell after it. post(board, generation, row, member, delta)."""
    if cell is None or cell.last + rules["lifetime"] < r:
        cell = Cell()
    if event["undo"]:
        return undo(rules, cell, event, r, post)
    ids = [(i, at) for i, at in cell.ids if at >= r - rules["ids_window"]]
    if event["id"] and any(i == event["id"] for i, _ in ids):
        return cell
    cell.ids = ids
    if event["id"]:
        cell.ids = (ids + [(event["id"], r)])[-rules["ids_seen"]:] if rules["ids_seen"] else []
    decide_session(rules, cell, event, r)
    weight, listed, hides = weigh(event)
    item, t = event["item"], event["t"]

    def generation(board):
        return max(t // rules["length"][board], oldest_open(rules, board, r))

    if weight:
        post(HOURS, generation(HOURS), None, item, weight)
        post(DAYS, generation(DAYS), None, item, weight)
    if weight > 0:
        others = [x[0] for x in cell.touches if x[0] != item and x[1] > 0 and (not rules["pair_in_session"] or x[0] in cell.in_session)]
        for d, other in enumerate(others[:rules["pair_window"]], 1):
            delta = weight * (2520 // d if rules["pair_inverse"] else 2520)
            post(COVIEW, generation(COVIEW), item, other, delta)
            post(COVIEW, generation(COVIEW), other, item, delta)
    if listed:
        cell.touches = ([[item, weight, t]] + [x for x in cell.touches if x[0] != item])[:rules["history"]]
        for touch in cell.touches[rules["recents"]:]:
            touch[1], touch[2] = min(touch[1], 1), 0
        cell.in_session = [x for x in cell.in_session if x != item] + [item]
        cell.in_session = [x for x in cell.in_session if any(x == y[0] for y in cell.touches)]
    if hides:
        cell.hidden = ([x for x in cell.hidden if x != item] + [item])[-rules["history"]:]
    cell.last = r
    return cell


def learn(rules, partitions, streams):
    """Clocks, sums and cells after all records."""
    clocks, sums, cells = [0] * partitions, {}, [{} for _ in range(partitions)]

    def post(board, generation, row, member, delta):
        key = (board, generation, row, member)
        sums[key] = sums.get(key, 0) + delta

    for p, stream in enumerate(streams):
        for record in stream:
            r = max(clocks[p], record["received"])
            if record["kind"] == "event":
                cells[p][record["user"]] = derive(rules, cells[p].get(record["user"]), record, r, post)
            clocks[p] = r
    return clocks, sums, cells


# --- what is there at the end --------------------------------------------------------------------------------------------------------------------


def rows_at(rules, sums, clock):
    """Rows as they are to be read when C is `clock`."""
    newest = [oldest_open(rules, b, clock) - 1 for b in (HOURS, DAYS, COVIEW)]
    rows = {}
    for (board, g, row, member), total in sums.items():
        if total and g > newest[board] - rules["kept"][board]:
            rows.setdefault((board, g, row), []).append((member, total))
    for (board, g, row), entries in rows.items():
        if board == COVIEW and g <= newest[board]:
            entries = [e for e in entries if e[1] > 0]
            entries.sort(key=lambda e: (-e[1], xxh64(e[0].encode()), e[0].encode()))
            entries = entries[:rules["cut"]]
        for member, total in entries:
            yield board, g, row, member, total


def varint(x):
    out = b""
    while x >= 128:
        out += bytes([x & 127 | 128])
        x >>= 7
    return out + bytes([x])


def zigzag(x):
    return varint(x * 2 if x >= 0 else -x * 2 - 1)


def string(text):
    return varint(len(text)) + text.encode()


def canonical(cell):
    out = bytes([1]) + zigzag(cell.last) + struct.pack("<Q", xxh64(cell.session.encode()) if cell.session else 0)
    out += varint(len(cell.in_session)) + varint(len(cell.touches))
    for item, weight, t in cell.touches:
        out += string(item) + zigzag(weight) + zigzag(t)
    out += varint(len(cell.hidden)) + b"".join(string(x) for x in cell.hidden)
    out += varint(len(cell.ids)) + b"".join(struct.pack("<Q", xxh64(i.lstrip("~").encode(), int(i[0] == "~"))) + zigzag(at) for i, at in cell.ids)
    return out.hex()


# --- cases ---------------------------------------------------------------------------------------------------------------------------------------


def random_event(rng, now, sent):
    if sent and rng.random() < 0.12:
        return dict(rng.choice(sent[-8:]), received=now)
    if sent and rng.random() < 0.12:
        back = dict(rng.choice(sent[-8:]), received=now, undo=True)
        if back["id"]:
            return back if rng.random() < 0.5 else dict(back, t=0)
    t = now if rng.random() < 0.6 else max(1, now + rng.randint(-60, 12))
    kind = rng.choice(["view"] * 6 + list(TYPES))
    event = {"kind": "event", "received": now, "t": t, "user": "u%d" % rng.randrange(4), "item": "item-%d" % int(rng.random() ** 2 * 9), "type": kind,
             "value": rng.choice([None, 1.0, 3.5, 4.0, 5.0]) if kind == "rating" else None, "session": rng.choice(["", "", "", "s1", "s2"]),
             "id": "e%d" % len(sent) if rng.random() < 0.8 else "", "undo": False}
    sent.append(event)
    return event


def random_case(number):
    rng = random.Random(number)
    rules, partitions = random_rules(rng), rng.randint(1, 4)
    seed, streams, sent, now = xxh64(SPACE), [[] for _ in range(partitions)], [], rng.randint(1, 60)
    for _ in range(rng.randint(1, 90)):
        now += rng.choice([0, 1, 2, 3, 5, 8]) if rng.random() < 0.95 else rng.randint(30, 250)
        received = max(1, now + (rng.randint(-20, 5) if rng.random() < 0.2 else 0))
        if rng.random() < 0.1:
            streams[rng.randrange(partitions)].append({"kind": "tick", "received": received})
        else:
            event = random_event(rng, received, sent)
            streams[xxh64(event["user"].encode(), seed) % partitions].append(event)
    if rng.random() < 0.7:
        for stream in streams:
            stream.append({"kind": "tick", "received": now + rng.choice([0, 5, 60, 200])})
    return rules, partitions, streams


def print_case(number):
    rules, partitions, streams = random_case(number)
    print("case", number, partitions)
    for name, value in rules.items():
        if not isinstance(value, list):
            print("rule", name, value)
    for p, stream in enumerate(streams):
        for x in stream:
            rest = []
            if x["kind"] == "event":
                rest = [x["t"], x["user"], x["item"], x["type"], "-" if x["value"] is None else x["value"], x["session"] or "-", x["id"] or "-",
                        "undo" if x["undo"] else "-"]
            print("record", p, x["kind"], x["received"], *rest)
    clocks, sums, cells = learn(rules, partitions, streams)
    for p, clock in enumerate(clocks):
        print("clock", p, clock)
    for board, g, row, member, total in rows_at(rules, sums, min(clocks)):
        print("row", board, g, row or "-", member, total)
    for p, users in enumerate(cells):
        for user, cell in users.items():
            if cell.last and cell.last + rules["lifetime"] >= clocks[p]:
                print("cell", user, canonical(cell))
    print("end")


if __name__ == "__main__":
    for case in range(int(sys.argv[1]), int(sys.argv[1]) + int(sys.argv[2])):
        print_case(case)
