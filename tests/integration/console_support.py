"""A shop with the console on it, and a browser: for console.py and console_a11y.py."""
import http.client
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

import chromium
import console_data
from http_support import BIN, PATIENCE, Serve, Service, environment, post, run
from servers import die_with_the_test

SKIPPED = 77
RESULT = "document.querySelector('#result')"


def need_browser():
    if not chromium.program():
        print("skipped: no chromium is installed (infra/scripts/deps.sh)")
        sys.exit(SKIPPED)


def evaluate(folder, reports):
    """Two reports as `reco evaluate` writes them."""
    for name, text in zip(("train.tsv", "test.tsv"), console_data.columns()):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    command = [os.path.join(BIN, "reco"), "evaluate", "--protocol", "p1", "--train", "train.tsv", "--test", "test.tsv", "--preset", "long-history", "--against", "sessions",
               "--resamples", "200", "--json", "--html", os.path.join(reports, "shop.html")]
    with open(os.path.join(reports, "shop.json"), "w", encoding="utf-8") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.PIPE, check=True, cwd=folder, env=environment(), timeout=PATIENCE * 2)


class Shop:
    """History, reports, one service that may post, and one browser."""

    def __init__(self, cleanup):
        self.folder = tempfile.mkdtemp(prefix="reco-console-")
        cleanup(shutil.rmtree, self.folder, True)
        self.data, self.reports = os.path.join(self.folder, "data"), os.path.join(self.folder, "reports")
        os.mkdir(self.reports)
        history = os.path.join(self.folder, "history")
        with open(history, "w", encoding="utf-8") as file:
            file.write(console_data.events())
        run("reco", "--data", self.data, "import", "--format", "ndjson", history, check=0)
        evaluate(self.folder, self.reports)
        self.all = Serve(self.data, "--console", "write", "--set", "services.reports=" + self.reports, preexec_fn=die_with_the_test)
        cleanup(self.all.end)
        post(self.all.api, "/items", console_data.items())
        self.origin = f"http://127.0.0.1:{self.all.api}/"
        self.browser = chromium.Chromium()
        cleanup(self.browser.end)


class Below:
    """A proxy that has a service below the path /reco/ of its own."""

    def __init__(self, port):
        class Handler(http.server.BaseHTTPRequestHandler):
            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not self.path.startswith("/reco/"):
                    self.send_error(404)
                    return
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
                connection.request(self.command, self.path[len("/reco"):], body, {name: value for name, value in self.headers.items() if name != "Accept-Encoding"})
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name in ("Content-Type", "Content-Security-Policy", "Location"):
                    if answer.headers[name]:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                connection.close()

            do_GET = do_POST = pass_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()


class WithConsole(unittest.TestCase):
    """The shop is opened once for all tests of a module."""

    shop = None

    @classmethod
    def setUpClass(cls):
        WithConsole.shop = WithConsole.shop or Shop(unittest.addModuleCleanup)
        for name in ("folder", "data", "reports", "all", "origin", "browser"):
            setattr(cls, name, getattr(cls.shop, name))

    def page(self, hash="", **options):
        page = self.browser.page(self.origin + hash, **options)
        self.addCleanup(page.close)
        return page

    def api(self, *arguments, kind=Service):
        """One more API service on the same shop."""
        service = kind("reco-api", self.data, *arguments)
        self.addCleanup(service.end)
        return service

    def assert_clean(self, page):
        """Nothing went wrong in the page, and nothing was asked of anybody else."""
        self.assertEqual(page.troubles, [])
        foreign = [url for url in page.requests if not url.startswith((self.origin, "data:"))]
        self.assertEqual(foreign, [])
        self.assertGreater(len(page.requests), 10)


def shown(page, condition="true"):
    """Waits until the view is complete. What the condition looks for is not there as long as the view before still is."""
    met = f"(() => {{ try {{ return {condition}; }} catch (error) {{ return false; }} }})()"
    page.wait(f"!!{RESULT} && !{RESULT}.querySelector('.loading') && !{RESULT}.hasAttribute('aria-busy') && {RESULT}.childNodes.length > 0 && {met}",
              "the view: " + condition)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)
