"""schemathesis, all its checks, against the three services: what it makes of their OpenAPI documents finds nothing. It is installed into the build folder;
where it cannot be, or takes too long to come, the test is skipped. RECO_FULL=1: more examples and seeds, the values at
the edges of every schema, and calls that follow from answers."""
import os
import subprocess
import sys
import unittest

from http_support import HERE, WithData, environment
from pip_support import install

VERSION = "4.32.5"
FULL = bool(os.environ.get("RECO_FULL"))
SKIPPED = 77


class Services(WithData):
    def setUp(self):
        super().setUp()
        self.all = self.serve()

    def start(self, port, seed):
        """One run against one service, in a folder of its own for what it leaves."""
        folder = os.path.join(self.folder, f"run-{port}-{seed}")
        os.mkdir(folder)
        how = ["--phases", "examples,coverage,fuzzing,stateful", "-n", "50"] if FULL else ["--phases", "examples,fuzzing", "-n", "8"]
        return subprocess.Popen([PROGRAM, "--config-file", os.path.join(HERE, "schemathesis.toml"), "run", f"http://127.0.0.1:{port}/openapi.json", "--seed", str(seed),
                                 "--no-color", "--suppress-health-check", "all", "--output-sanitize", "false", *how], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                stdin=subprocess.DEVNULL, env=environment(SCHEMATHESIS_HOOKS="schemathesis_hooks", PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE="1"))

    def test_finds_nothing(self):
        for seed in range(1, 6 if FULL else 2):
            runs = {name: self.start(port, seed) for name, port in (("api", self.all.api), ("ingest", self.all.ingest), ("processor", self.all.processor))}
            for name, one in runs.items():
                said = one.communicate()[0]
                with self.subTest(service=name, seed=seed):
                    self.assertEqual(one.returncode, 0, said[-8000:])
                    self.assertRegex(said, r"\b\d+ generated")
        self.assertIsNone(self.all.process.poll())


if __name__ == "__main__":
    FOLDER = install("schemathesis", VERSION)
    if not FOLDER:
        sys.exit(SKIPPED)
    PROGRAM = os.path.join(FOLDER, "bin", "schemathesis")
    unittest.main()
