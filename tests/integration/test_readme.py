#!/usr/bin/env python3
"""What the documents say holds: the program in README.md compiles as C99 and prints what stands below it; examples run; links, files, functions, settings,
make targets, options and subcommands that are named exist. Needs RECO_BUILD_DIR and RECO_SOURCE_DIR; a test of the examples is skipped where they were
not built."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.environ.get("RECO_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["RECO_BUILD_DIR"]
CC = os.environ.get("RECO_TEST_CC", "cc")
CFLAGS = os.environ.get("RECO_TEST_CFLAGS", "").split()
TOP = ("include", "lib", "services", "tests", "infra", "docs", "examples", "pkgconfig", ".ci")
FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.M | re.S)
SUBCOMMAND = re.compile(r"^\s*(?:\S*/)?reco\s+(.*)$", re.M)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as source:
        return source.read()


def documents():
    patterns = ["*.md", "lib/*.md", "docs/**/*.md", "examples/**/*.md", "services/**/*.md", "tests/**/*.md", "infra/**/*.md"]
    found = {path for pattern in patterns for path in glob.glob(os.path.join(ROOT, pattern), recursive=True)}
    return sorted(os.path.relpath(path, ROOT) for path in found)


def fences(text, language):
    return [match[2] for match in FENCE.finditer(text) if match[1] == language]


def prose(text):
    """The text without its blocks of code."""
    return FENCE.sub("", text)


def code_spans(text):
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(text))


def anchor(heading):
    words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.replace("`", "")).strip().lower())
    return words.replace(" ", "-")


def clean_environment():
    """Without RECO_..., which our programs take for settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RECO_")}


def run(*command):
    return subprocess.run(command, text=True, capture_output=True, timeout=120, env=clean_environment(), check=False)


def program(name):
    return os.path.join(BUILD, "bin", name)


class Program(unittest.TestCase):
    """The program in README.md, and the examples."""

    def compiled(self, source, name):
        folder = self.folder()
        path, binary = os.path.join(folder, name + ".c"), os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as target:
            target.write(source)
        done = run(CC, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", *CFLAGS, "-I" + os.path.join(ROOT, "include"), path, "-o", binary,
                   "-L" + os.path.join(BUILD, "lib"), "-lreco", "-Wl,-rpath," + os.path.join(BUILD, "lib"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return folder, binary

    def folder(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        return holder.name

    def test_readme(self):
        text = read("README.md")
        sources, said = fences(text, "c"), fences(text, "text")
        self.assertEqual(len(sources), 1, "README.md has one program")
        self.assertLessEqual(len(sources[0].strip().splitlines()), 20, "it has 20 lines at most")
        _, binary = self.compiled(sources[0], "readme")
        done = run(binary)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, said[0], "it prints what README.md says")

    def test_readme_on_disk(self):
        source = fences(read("README.md"), "c")[0]
        self.assertIn('"memory:"', source)
        folder, _ = self.compiled(source, "memory")
        where = os.path.join(folder, "data.reco")
        _, binary = self.compiled(source.replace('"memory:"', f'"{where}"'), "disk")
        first, second = run(binary), run(binary)
        self.assertEqual((first.returncode, second.returncode), (0, 0), first.stderr + second.stderr)
        self.assertEqual(first.stdout, fences(read("README.md"), "text")[0])
        self.assertEqual(second.stdout, first.stdout, "the same events once more change counts, not the answer")

    def test_hello(self):
        if not os.path.exists(program("example_hello")):
            self.skipTest("examples were not built")
        where = os.path.join(self.folder(), "data.reco")
        for arguments in ([], [where], [where]):
            done = run(program("example_hello"), *arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("learned = replayed: yes\n", done.stdout)
            self.check_sums(done.stdout)
            before, after = done.stdout.split("for eve, after")
            self.assertIn("of f3", after, "the last view is a reason")
            if not arguments:
                self.assertIn(" f2 ", before)
                self.assertNotIn("of f3", before)

    def check_sums(self, text):
        lines = re.findall(r"^  \d+\. \S+ (-?[\d.]+) =(.*)$", text, re.M)
        self.assertTrue(lines)
        for score, reasons in lines:
            parts = [float(part) for part in re.findall(r"(?:^| \+) (-?\d+\.\d{3}) ", reasons)]
            self.assertAlmostEqual(float(score), sum(parts), delta=0.001 * (len(parts) + 1), msg=reasons)


class Named(unittest.TestCase):
    """What the documents name exists."""

    @classmethod
    def setUpClass(cls):
        found = [path for folder in ("include", "lib", "services", "tests", "infra", "examples") for ending in ("[ch]", "cmake", "txt", "sh")
                 for path in glob.glob(os.path.join(ROOT, folder, "**", "*." + ending), recursive=True)]
        text = "\n".join(read(os.path.relpath(path, ROOT)) for path in found + [os.path.join(ROOT, "CMakeLists.txt")])
        cls.words = set(re.findall(r"\b[A-Za-z_]\w+\b", text)) | {"reco_noun_verb", "reco__room_verb"}

    def test_links(self):
        for document in documents():
            for target in re.findall(r"\]\(([^)\s]+)\)", prose(read(document))):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, part = target.partition("#")
                full = os.path.normpath(os.path.join(ROOT, os.path.dirname(document), path)) if path else os.path.join(ROOT, document)
                with self.subTest(document=document, link=target):
                    self.assertTrue(os.path.exists(full))
                    if part:
                        headings = re.findall(r"^#+ (.*)$", prose(read(os.path.relpath(full, ROOT))), re.M)
                        self.assertTrue(part in [anchor(heading) for heading in headings], "no such heading")

    def test_files(self):
        for document in documents():
            for span in code_spans(read(document)):
                if not re.fullmatch(r"[\w./{},*-]+/[\w./{},*-]*", span) or span.split("/")[0] not in TOP:
                    continue
                with self.subTest(document=document, file=span):
                    match = re.fullmatch(r"([^{]*)\{([^}]*)\}(.*)", span)
                    names = [match[1] + part + match[3] for part in match[2].split(",")] if match else [span]
                    for name in names:
                        self.assertTrue(glob.glob(os.path.join(ROOT, name)), f"{name} does not exist")

    def test_file_names_alone(self):
        known = {os.path.basename(path) for folder in ("include", "lib", "services", "tests", "infra", "examples", "docs")
                 for path in glob.glob(os.path.join(ROOT, folder, "**", "*"), recursive=True)}
        known |= set(json.loads(read("infra/check/layering.json"))["libraries"])
        for document in documents():
            for span in code_spans(read(document)):
                if re.fullmatch(r"[\w-]+\.(?:c|h|py|sh|json|yaml)", span):
                    with self.subTest(document=document, file=span):
                        self.assertTrue(span in known, "no such file")

    def test_functions(self):
        """Names of ours in the text; in the walks, every word with an underscore."""
        for document in documents():
            text = read(document)
            names = {name for span in code_spans(text) for name in re.findall(r"\b(?:reco__?[a-z]\w*|RECO__?[A-Z]\w*)\b", span)}
            if document == "docs/ARCHITECTURE.md":
                names |= {name for walk in fences(text, "text") for name in re.findall(r"\b[a-z]\w*_\w+\b", walk)}
            for name in sorted(names - {"RECO_COVIEW_LENGTH"}):
                with self.subTest(document=document, name=name):
                    self.assertTrue(name in self.words, "no source has it")

    def test_make_targets(self):
        for document in documents():
            text, beside = read(document), os.path.join(os.path.dirname(document), "Makefile")
            groups = re.findall(r"^([\w-]+(?: [\w-]+)*):", read(beside if os.path.exists(os.path.join(ROOT, beside)) else "Makefile"), re.M)
            targets = {name for group in groups for name in group.split()}
            for name in re.findall(r"^make ([a-z-]+)", "\n".join(fences(text, "sh")), re.M) + [m for s in code_spans(text) for m in re.findall(r"^make ([a-z-]+)", s)]:
                with self.subTest(document=document, target=name):
                    self.assertIn(name, targets)

    def test_scripts(self):
        for document in documents():
            text = read(document)
            for name in re.findall(r"bash ([\w./-]+\.sh)", "\n".join(fences(text, "sh") + code_spans(text))):
                with self.subTest(document=document, script=name):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, name)))

    def test_settings(self):
        if not os.path.exists(program("reco-ingest")):
            self.skipTest("services were not built")
        known = set(re.findall(r"^([a-z]+(?:\.[a-z_]+)?) ", run(program("reco-ingest"), "--help").stdout.split("settings:")[-1], re.M))
        groups = {name.split(".")[0] for name in known if "." in name}
        self.assertIn("coview.length", known)
        for document in documents():
            for span in code_spans(read(document)):
                if re.fullmatch(r"[a-z]+\.[a-z_]+", span) and span.split(".")[0] in groups and not span.endswith((".c", ".h", ".md", ".mdb")):
                    with self.subTest(document=document, setting=span):
                        self.assertTrue(span in known, "no such setting")


class CommandLine(unittest.TestCase):
    """Subcommands and options that the documents use are those of the program."""

    def setUp(self):
        if not os.path.exists(program("reco")):
            self.skipTest("services were not built")
        self.usage = run(program("reco"), "--help").stdout
        self.commands = set(re.findall(r"^  ([a-z-]+)\b", self.usage.split("commands:")[1].split("\noptions")[0], re.M))

    def lines(self):
        for document in documents():
            text = read(document)
            for match in SUBCOMMAND.finditer("\n".join(fences(text, "sh"))):
                yield document, match[1].split("#")[0]
            for span in code_spans(text):
                if re.match(r"reco [a-z-]", span):
                    yield document, span[5:]

    def test_subcommands(self):
        self.assertTrue({"serve", "import", "recommend", "verify"} <= self.commands)
        seen = set()
        for document, line in self.lines():
            words = [word for word in re.sub(r"(?<= )(--data|-d|--config|-c|--set|-s) \S+", "", " " + line).split() if not word.startswith("-")]
            if not words or words[0].isupper():
                continue
            with self.subTest(document=document, line=line):
                self.assertIn(words[0], self.commands)
                options = self.options(words[0])
                for option in re.findall(r"(?<!\S)(--[a-z-]+)", line):
                    self.assertIn(option, options)
                seen.add(words[0])
        self.assertTrue({"serve", "import", "verify"} <= seen)

    def options(self, command):
        return set(re.findall(r"--[a-z-]+", run(program("reco"), command, "--help").stdout + self.usage))

    def test_readme_lists_all(self):
        text = read("README.md")
        for command in self.commands:
            with self.subTest(command=command):
                self.assertRegex(text, rf"(?:reco .*\b|`){command}\b")

    def test_readme_commands_run(self):
        """The five lines of the command line, but serve, in order, as they stand."""
        block = next(block for block in fences(read("README.md"), "sh") if "reco generate" in block)
        lines = [line.split("#")[0].strip() for line in block.splitlines() if line.strip() and " serve" not in line]
        self.assertGreaterEqual(len(lines), 4)
        with tempfile.TemporaryDirectory() as folder:
            script = "set -eu\ncd '{}'\nPATH='{}':$PATH\n".format(folder, os.path.join(BUILD, "bin")) + "\n".join(lines)
            done = run("bash", "-c", script)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("equal", done.stdout)


class Http(unittest.TestCase):
    """The lines of curl in README.md and docs/API.md, as they stand but for the ports."""

    PORTS = {"8080": "ingest", "8081": "api", "8082": "processor"}

    def setUp(self):
        if not os.path.exists(program("reco")):
            self.skipTest("services were not built")
        if not shutil.which("curl"):
            self.skipTest("there is no curl")
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        file = os.path.join(holder.name, "ports")
        with open(os.path.join(holder.name, "p1.json"), "w", encoding="utf-8") as report:
            report.write("{}")
        with open(os.path.join(holder.name, "log"), "w", encoding="utf-8") as log:
            server = subprocess.Popen([program("reco"), "--data", os.path.join(holder.name, "data"), "--set", "limits.map_size=4GiB", "--set",
                                       "services.reports=" + holder.name, "serve", "--port-file",
                                       file] + [f"--{name}-listen=127.0.0.1:0" for name in self.PORTS.values()], stdout=log, stderr=log,
                                      env=clean_environment())
        self.addCleanup(server.wait, 60)
        self.addCleanup(server.terminate)
        until = time.monotonic() + 60
        while not os.path.exists(file) and time.monotonic() < until and server.poll() is None:
            time.sleep(0.01)
        self.assertTrue(os.path.exists(file), "reco serve did not begin")
        with open(file, encoding="utf-8") as ports:
            self.ports = dict(line.strip().split("=") for line in ports)

    def curl(self, line):
        for port, name in self.PORTS.items():
            line = line.replace("localhost:" + port, "127.0.0.1:" + self.ports[name])
        done = run("bash", "-c", line + " -f")
        self.assertEqual(done.returncode, 0, line + done.stderr)
        return done.stdout

    def test_readme_lines(self):
        lines = next(block for block in fences(read("README.md"), "sh") if "/events" in block).splitlines()
        self.assertEqual(len(lines), 8)
        receipt = json.loads(self.curl(lines[0]))
        self.assertEqual((receipt["accepted"], receipt["rejected"]), (1, []))
        answer = json.loads(self.curl(lines[1].replace("POSITION", receipt["position"])))
        self.assertFalse(answer["behind"])
        self.assertEqual(json.loads(self.curl(lines[5])), {"item_id": "i7", "title": "Tea", "categories": ["drinks"]})
        self.assertEqual(json.loads(self.curl(lines[6]))["status"], "ready")
        self.assertIn("reco_", self.curl(lines[7]))
        until, items = time.monotonic() + 30, []
        while not items and time.monotonic() < until:
            items = json.loads(self.curl(lines[2]))["items"]
        self.assertEqual([item["item_id"] for item in items], ["i7"])
        self.assertEqual(json.loads(self.curl(lines[3]))["items"], [])
        self.assertNotIn("i7", [item["item_id"] for item in json.loads(self.curl(lines[4]))["items"]])

    def test_api_lines(self):
        """All of docs/API.md, in order; what stands below a line as JSON has the members of its answer."""
        position = ""
        blocks = re.findall(r"^```sh\n(curl [^\n]+)\n```\n(?:\n```json\n(.*?)```)?", read("docs/API.md"), re.M | re.S)
        self.assertGreaterEqual(len(blocks), 14)
        for line, said in blocks:
            with self.subTest(line=line):
                answer = self.curl(line.replace("POSITION", position))
                if said:
                    self.assertEqual(set(json.loads(answer)), set(json.loads(said)), answer)
                if "/events" in line:
                    position = json.loads(answer)["position"]


class Decisions(unittest.TestCase):
    """docs/decisions/0001 lists every other page, whose name and title bear the same number, and no number is there twice."""

    def test_record(self):
        folder = os.path.join(ROOT, "docs", "decisions")
        pages = sorted(name for name in os.listdir(folder) if name.endswith(".md"))
        self.assertEqual([int(name[:4]) for name in pages], list(range(1, len(pages) + 1)))
        for name in pages:
            self.assertTrue(read("docs/decisions/" + name).startswith(f"# {int(name[:4])}. "), name)
        listed = re.findall(r"^\| \[(\d+)\]\(([^)]+)\) \|", read("docs/decisions/" + pages[0]), re.M)
        self.assertEqual(listed, [(str(int(name[:4])), name) for name in pages[1:]])


class Layering(unittest.TestCase):
    """lib/README.md tells the table that infra/check enforces."""

    def test_rooms(self):
        table = json.loads(read("infra/check/layering.json"))["rooms"]
        told = {}
        for line in read("lib/README.md").splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) == 3 and re.fullmatch(r"`\w+`", cells[0]) and cells[0].strip("`") in table:
                told[cells[0].strip("`")] = set(re.findall(r"`([\w./]+)`", cells[2]))
        self.assertEqual(told, {room: set(sees) for room, sees in table.items()})


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1).result
    sys.exit(0 if result.wasSuccessful() else 1)
