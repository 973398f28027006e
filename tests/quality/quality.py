#!/usr/bin/env python3
"""How good answers are on public data, beside popularity and the item kNN of a public library, all lists scored by reco evaluate in one run.

    quality.py [--build DIR] [--data DIR] [--only NAME]... [--table quality|presets] [--write]

What is judged is the preset of a data set (sets.py) with its settings of answers tuned on valid/, looked at on test once; the preset as it stands is
beside it for the reader, and has to reach the same goals. Two more tables are of valid/ alone: all presets as they stand, and what each value of
theirs is worth. --write puts the tables into docs/BENCHMARKS.md, each of them whole. Lines that miss are named at the end, and the status is 1. The
library is implicit (pip install implicit); without it the table says that its row was not run."""
import argparse
import os
import sys
import tempfile

import others
import presets
from sets import BESIDE, ROOT, SECONDS, SETS, Files, below, data_folder, evaluate, settings_line, too_slow, value

PAGE = os.path.join(ROOT, "docs", "BENCHMARKS.md")
HEAD = ["| data, protocol | lists of | ndcg@10, or hr@20 | recall@20, or mrr@20 | coverage@10 |", "|---" * 5 + "|"]


# --- rows of the first table ------------------------------------------------------------------------------------------------------------------------

def score(build, files, lists):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as file:
        for question, items in lists.items():
            file.write(f"{question}\t{','.join(items)}\n")
        file.flush()
        return evaluate(build, *files.line(), "--lists", file.name)[0]["configurations"][0]


def row(one, files, what, side):
    cells = " | ".join("{value:.4f} ({low:.4f}–{high:.4f})".format(**side["metrics"][name]) for name in one.metrics)
    return f"| {one.name}, {files.protocol} | {what} | {cells} | {value(side, 'coverage@10'):.3f} |"


def rows_of_others(build, one, files):
    events = others.Events(files)
    lines = [row(one, files, "popularity", score(build, files, others.popular(events)))]
    library = others.library()
    if library:
        lines.append(row(one, files, f"item kNN, cosine ({library})", score(build, files, others.item_knn(events))))
    else:
        lines.append(f"| {one.name}, {files.protocol} | item kNN, cosine (implicit) | not run: implicit was not installed | | |")
    return lines


def tuning_note(one, tuned, found, seconds):
    side, tuning = tuned["configurations"][0], tuned["tuning"]
    words = ", ".join(f"{name.split('.')[1]} {text}" for name, text in found.items())
    missed = " and ".join(name for name, goal in zip(one.metrics, one.goals) if value(side, name) < goal)
    return f"{one.name}: {one.metrics[0]} and {one.metrics[1]} are to be {one.goals[0]} and {one.goals[1]}: " \
           f"{'**' + missed + ' missed**' if missed else 'reached'}. Tuned in {tuning['trials']} trials on valid/, {tuning['objective']} there " \
           f"{tuning['before']:.4f} before and {tuning['after']:.4f} after: {words}. `{one.preset}` as it stands learned, asked and was scored in " \
           f"{seconds:.0f} s" + (f", to be less than {SECONDS[one.name]}." if one.name in SECONDS else ".")


def measure(build, data, one):
    """Lines of the table, a note, and what misses."""
    files = Files(data, one)
    judged, stands = f"`{one.preset}`, tuned on valid/", f"`{one.preset}` as it stands"
    tuned, _ = evaluate(build, *files.line(), "--preset", one.preset, "--tune", "--valid", os.path.join(files.folder, "valid"))
    plain, seconds = evaluate(build, *files.line(), "--preset", one.preset)
    side, found = tuned["configurations"][0], tuned["configurations"][0]["settings"]
    misses = below(one, judged, side) + below(one, stands, plain["configurations"][0]) + too_slow(one, stands, seconds)
    lines = rows_of_others(build, one, files) + [row(one, files, stands, plain["configurations"][0]), row(one, files, f"**{judged}**", side)]
    if one.protocol == "p2":
        novel = Files(data, one, protocol="p2-novel")
        same = evaluate(build, *novel.line(), "--preset", one.preset, *settings_line(found))[0]["configurations"][0]
        lines += rows_of_others(build, one, novel) + [row(one, novel, judged, same)]
    return lines, tuning_note(one, tuned, found, seconds), misses


# --- the page ---------------------------------------------------------------------------------------------------------------------------------------

def put(text, name, lines):
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    return text.split(begin)[0] + begin + "\n" + "\n".join(lines) + "\n" + end + text.split(end)[1]


def write(parts):
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    for name, lines in parts.items():
        text = put(text, name, lines)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(text)


def judge(given):
    """The first table, and what misses."""
    table, notes, misses = list(HEAD), [], []
    for one in SETS:
        if not given.only or one.name in given.only:
            lines, note, missed = measure(given.build, given.data, one)
            table += lines
            notes.append("- " + note)
            misses += missed
            print("\n".join(lines) + "\n" + note, flush=True)
    return table + [""] + notes, misses


def run(given):
    """The parts of the page by name, and what misses."""
    parts, misses = {}, []
    if given.table != "presets":
        parts["quality"], misses = judge(given)
    if given.table != "quality" and not given.only:
        found = presets.as_they_stand(given.build, given.data)
        parts["presets"] = presets.presets_table(found)
        print("\n".join(parts["presets"]), flush=True)
        parts["values"] = presets.values_table(given.build, given.data, found)
    return parts, misses


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.environ.get("RECO_BUILD_DIR", os.path.join(ROOT, "build")))
    parser.add_argument("--data", default=data_folder())
    parser.add_argument("--only", action="append", choices=[one.name for one in SETS], help="these data sets, and no tables of presets")
    parser.add_argument("--table", choices=("quality", "presets"), help="what is judged alone, or presets on valid/ alone")
    parser.add_argument("--write", action="store_true", help="into docs/BENCHMARKS.md")
    given = parser.parse_args()
    if given.only and (given.write or given.table == "presets"):
        parser.error("--only: goes neither with --write, a table is written whole, nor with --table presets")
    needed = [one for one in SETS if not given.only or one.name in given.only] + ([] if given.only or given.table == "quality" else list(BESIDE))
    absent = [one.folder for one in needed if not Files(given.data, one).are_there()]
    if absent:
        print(f"skipped: no data: {given.data} has no {', '.join(absent)}" + (": nothing to write" if given.write else ""))
        return 2 if given.write else 77
    parts, misses = run(given)
    if given.write:
        write(parts)
    for miss in misses:
        print(f"missed: {miss}", file=sys.stderr)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
