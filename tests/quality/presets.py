"""What presets are worth, as they stand, on valid/ of the public data, and what each of their values is worth: the preset with that value changed."""
from sets import BESIDE, PRESETS, SETS, Files, evaluate, value

# What is said instead, and the sets it is compared on: those the preset is meant for. What a preset says is put back to the default; what it leaves
# at the default and matters is changed. Order is all that games and diginetica know of time: ages mean nothing there, and neither do sessions.
TIMED, P2 = ("yoochoose100k",), ("diginetica", "yoochoose100k")
INSTEAD = {
    "sessions": (
        ("coview.length=7d coview.kept=26", TIMED), ("coview.halving=0", TIMED), ("pairs.within=history", TIMED), ("pairs.weight=flat", P2),
        ("pairs.window=3", P2), ("recommend.normalise=max", P2), ("recommend.popularity_power=0", P2), ("recommend.popularity_power=0.3", P2),
        ("recommend.recency=exp recommend.recency_value=5", P2), ("recommend.recency_value=0.8", P2), ("recommend.recency_value=0.3", P2),
        ("recommend.revisit=0", P2), ("recommend.revisit=4", P2), ("recommend.filter_seen=yes", P2), ("recommend.weight_popular=0", P2),
        ("recommend.weight_popular=0.1", P2)),
    "shop": (
        ("coview.halving=0", TIMED), ("pairs.within=session", TIMED), ("pairs.weight=flat", ("games",) + P2),
        ("recommend.normalise=max", ("games",) + P2), ("recommend.popularity_power=0.2", ("games",) + P2),
        ("recommend.popularity_power=0", ("games",) + P2), ("recommend.recency=exp recommend.recency_value=5", ("games",) + P2),
        ("recommend.recency_value=0.5", ("games",) + P2), ("recommend.recency_value=0.85", ("games",) + P2), ("recommend.revisit=0", P2), ("recommend.revisit=4", P2),
        ("recommend.filter_seen=yes", P2)),
    "long-history": (
        ("coview.length=7d coview.kept=26", ("ml100k",)), ("coview.length=7d coview.kept=60", ("ml100k",)), ("pairs.window=5", ("ml100k", "games")), ("pairs.within=session", ("ml100k",)),
        ("pairs.weight=inverse", ("ml100k", "games")), ("recommend.normalise=max", ("ml100k", "games")),
        ("recommend.row_power=0", ("ml100k", "games")), ("recommend.row_power=1", ("ml100k", "games")),
        ("recommend.popularity_power=0", ("ml100k", "games")), ("recommend.popularity_power=0.4", ("ml100k", "games")),
        ("recommend.recency_value=2", ("ml100k", "games")), ("recommend.recency_value=20", ("ml100k", "games")),
        ("recommend.recency=power recommend.recency_value=0.7", ("ml100k", "games")), ("recommend.weight_popular=0", ("ml100k", "games")),
        ("recommend.weight_popular=0.3", ("ml100k", "games")), ("cell.recents=10", ("ml100k", "games"))),
    "catalogue-small": (
        ("coview.length=7d coview.kept=26", ("ml100k",)), ("coview.length=7d coview.kept=60", ("ml100k",)), ("coview.cut=512", ("ml100k",)), ("coview.head=128", ("ml100k",)),
        ("pairs.window=10", ("ml100k",)), ("pairs.weight=flat", ("ml100k", "games")), ("recommend.normalise=sum", ("ml100k", "games")),
        ("recommend.popularity_power=0", ("ml100k",)), ("recommend.popularity_power=0.4", ("ml100k",)),
        ("recommend.recency=exp recommend.recency_value=5", ("ml100k",)), ("recommend.recency_value=0.6", ("ml100k",)),
        ("recommend.recency_value=0.9", ("ml100k",))),
}


def figures(build, data, one, *line):
    side = evaluate(build, *Files(data, one, valid=True).line(), "--resamples", "100", *line)[0]["configurations"][0]
    return [value(side, metric) for metric in one.metrics]


def as_they_stand(build, data):
    """{preset: {set: [figure, figure]}}"""
    return {preset: {one: figures(build, data, one, "--preset", preset) for one in SETS + BESIDE} for preset in PRESETS}


def presets_table(found):
    """A row a preset, the best of each column in bold."""
    lines = ["| preset | " + " | ".join(f"{one.name}, {one.protocol}: {one.metrics[0]} · {one.metrics[1]}" for one in SETS + BESIDE) + " |",
             "|---" * (1 + len(SETS + BESIDE)) + "|"]
    best = {one: [max(of[one][at] for of in found.values()) for at in range(2)] for one in SETS + BESIDE}
    for preset, of in found.items():
        cells = [" · ".join(f"**{figure:.4f}**" if figure == most else f"{figure:.4f}" for figure, most in zip(of[one], best[one]))
                 for one in SETS + BESIDE]
        lines.append(f"| `{preset}` | " + " | ".join(cells) + " |")
    return lines


def difference(figures_, stand):
    return " · ".join(f"{figure - now:+.4f}".replace("-", "−") for figure, now in zip(figures_, stand))


def values_table(build, data, found):
    """A row a change of one value: what is lost by it, or won."""
    lines = ["| preset | instead | " + " | ".join(one.name for one in SETS) + " |", "|---" * 6 + "|"]
    for preset, changes in INSTEAD.items():
        for instead, names in changes:
            line = [part for pair in instead.split() for part in ("--set", pair)]
            cells = [difference(figures(build, data, one, "--preset", preset, *line), found[preset][one]) if one.name in names else "" for one in SETS]
            text = ", ".join(pair.removeprefix("recommend.").replace("=", " ") for pair in instead.split())
            lines.append(f"| `{preset}` | `{text}` | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    return lines
