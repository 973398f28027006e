"""A small shop for console.py: items with titles, and people with tastes who look at them. The same events for the same seed; the newest is just now."""
import json
import random
import time

KINDS = {
    "kitchen": ["teapot", "chopping board", "cast iron pan", "mixing bowl", "bread tin", "coffee grinder", "ladle", "storage jar"],
    "garden": ["watering can", "hand fork", "seed tray", "pruning shears", "bird feeder", "planter", "garden hose", "kneeling pad"],
    "desk": ["notebook", "pen tray", "desk lamp", "letter opener", "bookend", "ink bottle", "paper knife", "card index"],
    "walking": ["rucksack", "water bottle", "rain cape", "wool socks", "map case", "trekking pole", "head torch", "sun hat"],
    "music": ["music stand", "metronome", "guitar strap", "tuning fork", "reed case", "drum sticks", "capo", "rosin"],
}
MANNERS = ["Oak", "Linen", "Enamel", "Copper", "Felt"]
DAY = 86_400_000


def items():
    """200 of them."""
    found = []
    for kind, names in KINDS.items():
        for name in names:
            for manner in MANNERS:
                number = len(found)
                found.append({"item_id": f"{kind[:3]}-{number:03}", "title": f"{manner} {name}", "categories": [kind], "price": 4 + number * 37 % 90,
                              "material": manner.lower()})
    return found


def events(people=220, days=12, seed=7):
    rng = random.Random(seed)
    known = items()
    of = {kind: [one["item_id"] for one in known if one["categories"] == [kind]] for kind in KINDS}
    kinds = list(KINDS)
    now = int(time.time() * 1000) - 2000
    made = []
    for person in range(people):
        taste = rng.sample(kinds, 2)
        for _ in range(rng.randint(1, 4)):
            at = now - int(rng.random() ** 2 * days * DAY)
            for _ in range(rng.randint(2, 9)):
                group = of[taste[0] if rng.random() < 0.75 else taste[1]]
                item = group[min(int(rng.expovariate(1 / 9)), len(group) - 1)]
                kind = rng.choices(["view", "cart", "purchase"], [12, 2, 1])[0]
                made.append((min(at, now), {"user_id": f"visitor-{person}", "item_id": item, "event_type": kind}))
                at += rng.randint(5_000, 240_000)
    for step, item in enumerate(("kit-010", "kit-004", "kit-021", "gar-042", "kit-007")):
        for person in ("anna", "mira"):  # whom the story and the pictures are about
            made.append((now - (5 - step) * 180_000, {"user_id": person, "item_id": item, "event_type": "view"}))
    made.sort(key=lambda one: one[0])
    return "".join(json.dumps({**event, "timestamp": at}) + "\n" for at, event in made)


def columns():
    """The same as train and test of `reco evaluate`: user, item, time; hidden are the last items of each."""
    of = {}
    for line in events().splitlines():
        one = json.loads(line)
        of.setdefault(one["user_id"], {}).setdefault(one["item_id"], one["timestamp"])
    train, test = [], []
    for user, items_of in of.items():
        rows = [f"{user}\t{item}\t{at}\n" for item, at in items_of.items()]
        kept = len(rows) * 3 // 4 or 1
        train += rows[:kept]
        test += rows[kept:]
    return "".join(train), "".join(test)
