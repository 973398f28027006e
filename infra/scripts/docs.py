#!/usr/bin/env python3
"""Writes what can be told from the programs: docs/reference/configuration.md and the pages of docs/man/. docs.py [--check] [BUILD]

The texts come from the tables that parse settings and command lines, by way of `reco settings --markdown` and --help: nothing in those files is written
by hand. With --check nothing is written; files that differ are named, and the exit code is 1. BUILD (default: build) holds bin/."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECK = "--check" in sys.argv
BUILD = next((word for word in sys.argv[1:] if not word.startswith("--")), "build")
SERVICES = ("reco-ingest", "reco-api", "reco-processor")

CONFIGURATION = """# Settings

This page is generated: `make docs` writes it from the table in `lib/config/table.c`, and a test fails when it differs.

Settings come from a YAML file (`--config`, or `RECO_CONFIG`), from variables, and from `--set NAME=VALUE`; the later one wins. In YAML the dots are
nested maps. The variable of a setting is `RECO_` and its name in capitals, the dots as underscores: `coview.length` is `RECO_COVIEW_LENGTH`. Names that
are unknown and values that are not allowed are errors. Durations are integers with a unit (`ms`, `s`, `m`, `h`, `d`), bytes too (`B`, `KiB`, `MiB`, `GiB`,
`TiB`). `reco settings --current` prints what is in force, as YAML; [reco.yaml](../../infra/config/reco.yaml) has all of it to begin with.

† decides what is learned: stored data know the values they were learned with, and an engine with others is REFUSED, naming the first that differs.
"""


def run(*command):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RECO_")}
    path = os.path.join(BUILD, "bin", command[0])
    return subprocess.run([path, *command[1:]], capture_output=True, text=True, env=environment, check=True).stdout


def version():
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as source:
        return re.search(r"project\(libreco VERSION ([\d.]+)", source.read())[1]


# --- what --help says, taken apart -----------------------------------------------------------------------------------------------------------


def entries(lines):
    """Lines of two columns, the left one in place 2, the right one in place 31, below it where the left one is long."""
    found = []
    for line in lines:
        if line.startswith(" " * 31) and found and not found[-1][1]:
            found[-1] = (found[-1][0], line.strip())
        elif len(line) > 31 and line[30] == " " and line[2:30].strip():
            found.append((line[2:30].strip(), line[31:].strip()))
        else:
            found.append((line.strip(), ""))
    return found


def parse(text):
    """name, summary, usage, blocks: a block is ("text", lines), ("options", entries) or (heading, entries)."""
    head, usage, *rest = text.split("\n\n", 2)
    name, summary = head.strip().split(" - ", 1)
    blocks = []
    for block in re.split(r"\n\n+", rest[0].strip("\n") if rest else ""):
        lines = block.split("\n")
        title = re.match(r"^([a-z][^:]*):$", lines[0])
        if title and len(lines) > 1 and lines[1].startswith("  "):
            blocks.append((title[1].split(",")[0], entries(lines[1:])))
        elif lines[0].startswith("  "):
            blocks.append(("options", entries(lines)))
        elif lines[0]:
            blocks.append(("text", lines))
    return name, summary, [line.strip().removeprefix("usage: ") for line in usage.split("\n")], blocks


# --- roff ------------------------------------------------------------------------------------------------------------------------------------


def plain(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("†", "(+)")
    return "\\&" + text if text[:1] in (".", "'") else text


def page_head(name, section, summary):
    return ['.\\" Generated from the programs by infra/scripts/docs.py: make docs', f'.TH {name.upper()} {section} "" "libreco {version()}" "libreco"',
            ".SH NAME", f"{plain(name)} \\- {plain(summary)}"]


def option_lines(found):
    lines = []
    for left, right in found:
        words = re.match(r"^((?:-\w, )?--[\w-]+)(.*)$", left)
        lines += [".TP", f"\\fB{plain(words[1])}\\fR{plain(words[2])}" if words else f"\\fB{plain(left)}\\fR", plain(right)]
    return lines


def text_lines(lines):
    return [".PP"] + [plain(line.strip()) for line in lines]


def synopsis(usage):
    lines = [".SH SYNOPSIS"]
    for line in usage:
        name, _, rest = line.partition(" ")
        lines += [".B " + plain(name), plain(rest), ".br"]
    return lines[:-1]


COMMON = [".SH ENVIRONMENT", ".TP", "\\fBRECO_CONFIG\\fR", "the file of settings, when none is given", ".TP", "\\fBRECO_\\fINAME\\fR",
          "a setting, see \\fBreco.yaml\\fR(5)"]


def see_also(own):
    pages = [("reco", 1)] + [(name, 1) for name in SERVICES] + [("reco-conformance", 1), ("reco.yaml", 5)]
    named = [(name, section) for name, section in pages if name != own]
    return [".SH SEE ALSO"] + [f".BR {plain(name)} ({section}){',' if (name, section) != named[-1] else ''}" for name, section in named]


def closing_texts(blocks):
    """Exit codes have a section of their own."""
    texts, codes = [], []
    for kind, block in blocks:
        if kind == "text":
            lines = [line for line in block if not line.startswith("Exit codes:")]
            codes += [line.removeprefix("Exit codes:").strip() for line in block if line.startswith("Exit codes:")]
            texts += text_lines(lines) if lines else []
    return texts, [".SH EXIT STATUS", plain(codes[0])] if codes else []


def command_lines(command):
    name, summary, usage, blocks = parse(run("reco", command, "--help"))
    lines = [f'.SS "{plain(name)}"', plain(summary) + ".", ".PP"] + [plain(line) for line in usage]
    for kind, block in blocks:
        if kind == "text":
            lines += text_lines(block)
        elif kind == "options":
            own = [entry for entry in block if not re.search(r"--(config|data|set|help|version)\b", entry[0])]
            lines += option_lines(own)
    return lines


def reco_page():
    name, summary, usage, blocks = parse(run("reco", "--help"))
    commands = next(block for kind, block in blocks if kind == "commands")
    options = next(block for kind, block in blocks if kind == "options")
    texts, codes = closing_texts(blocks)
    lines = page_head(name, 1, summary) + synopsis(usage) + [".SH DESCRIPTION"] + texts[1:] + [".SH OPTIONS", "They stand before or after the command."]
    lines += option_lines(options) + [".SH COMMANDS"]
    for left, _ in commands:
        lines += command_lines(left.split()[0])
    return lines + codes + COMMON + see_also(name)


def service_page(program):
    text = run(program, "--help").split("\n\nsettings:\n")[0]
    name, summary, usage, blocks = parse(text)
    texts, codes = closing_texts(blocks)
    lines = page_head(name, 1, summary) + synopsis(usage) + [".SH DESCRIPTION"] + texts[1:] + [".SH OPTIONS"]
    for kind, block in blocks:
        if kind == "options":
            lines += option_lines(block)
    return lines + codes + COMMON + see_also(name)


def conformance_page():
    name, summary, usage, blocks = parse(run("reco-conformance", "--help"))
    texts, codes = closing_texts(blocks)
    lines = page_head(name, 1, summary) + synopsis(usage) + [".SH DESCRIPTION"] + texts[1:] + [".SH OPTIONS"]
    for kind, block in blocks:
        if kind == "options":
            lines += option_lines(block)
    return lines + codes + see_also(name)


def settings_page(markdown):
    lines = page_head("reco.yaml", 5, "settings of libreco and its programs") + [".SH DESCRIPTION"]
    for paragraph in re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", CONFIGURATION).split("\n\n")[2:]:
        lines += text_lines(paragraph.replace("`", "").strip().split("\n"))
    for line in markdown.split("\n"):
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")] if line.startswith("| `") else []
        if line.startswith("## "):
            lines.append(f'.SH "{plain(line[3:].upper())}"')
        elif cells:
            told = f"{cells[3]} ({cells[2]}; default {cells[1]})" if len(cells) == 4 else cells[1]
            lines += [".TP", f"\\fB{plain(cells[0])}\\fR", plain(told)]
    return lines + see_also("reco.yaml")


# --- files -----------------------------------------------------------------------------------------------------------------------------------


def pages():
    markdown = run("reco", "settings", "--markdown")
    yield "docs/reference/configuration.md", CONFIGURATION + markdown
    yield "docs/man/reco.1", "\n".join(reco_page()) + "\n"
    for program in SERVICES:
        yield f"docs/man/{program}.1", "\n".join(service_page(program)) + "\n"
    if os.path.exists(os.path.join(BUILD, "bin", "reco-conformance")):
        yield "docs/man/reco-conformance.1", "\n".join(conformance_page()) + "\n"
    yield "docs/man/reco.yaml.5", "\n".join(settings_page(markdown)) + "\n"


def main():
    different = []
    for path, text in pages():
        full = os.path.join(ROOT, path)
        there = None
        if os.path.exists(full):
            with open(full, encoding="utf-8") as file:
                there = file.read()
        if there == text:
            continue
        different.append(path)
        if not CHECK:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
    for path in different:
        print(path, "differs from what the programs say: make docs" if CHECK else "written")
    sys.exit(1 if CHECK and different else 0)


main()
