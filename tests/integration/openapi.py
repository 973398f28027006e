"""The routes of the services, their OpenAPI documents and docs/API.md say the same; the examples of the documents do what they say; parameters that are
understood are described and the other way round. Every answer in http_services.py is held against the documents, too (http_support.py)."""
import glob
import http.client
import json
import os
import re
import subprocess
import sys
import unittest
import urllib.parse

from http_support import BIN, PATIENCE, WithData, ask, environment, get
from openapi_support import ROOT, SERVICES, Documented, document, jsonschema, written

WORD = re.compile(r'"([a-z][a-z_.]{0,31})"')


def registered():
    """Service -> {(method, path)} as the programs register them."""
    lines = subprocess.run([os.path.join(BIN, "list_routes")], capture_output=True, text=True, check=True, env=environment()).stdout.split("\n")
    found = {service: set() for service in SERVICES}
    for line in lines:
        if line:
            service, method, path = line.split(" ")
            found[service].add((method, path))
    return found


def words():
    """Every word of the sources that might be the name of a parameter."""
    found = set()
    for pattern in ("lib/engine/*.[ch]", "lib/recommend/*.[ch]", "lib/model/*.[ch]", "services/http/re*.c", "services/http/standard.c", "services/ingest/*.c", "services/api/*.c", "services/console/*.c"):
        for path in glob.glob(os.path.join(ROOT, pattern)):
            with open(path, encoding="utf-8") as file:
                found.update(WORD.findall(file.read()))
    return sorted(found)


class Sources(unittest.TestCase):
    """What can be told without a server."""

    def test_routes(self):
        for service, routes in registered().items():
            described = {(one.method, one.path) for one in Documented(service).operations}
            self.assertEqual(described, routes, f"services/{service}/openapi.json describes what reco-{service} registers")

    def test_references(self):
        for service in SERVICES:
            whole = document(service)
            for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(whole)):
                node = whole
                for part in reference.removeprefix("#/").split("/"):
                    self.assertIn(part, node, reference)
                    node = node[part]

    def test_operations(self):
        whole = Documented(*SERVICES)
        names = [one.source["operationId"] for one in whole.operations]
        self.assertEqual(len(names), len(set(names)), names)
        for one in whole.operations:
            with self.subTest(method=one.method, path=one.path):
                self.assertTrue(one.source["summary"])
                self.assertTrue(one.source["tags"])
                self.assertEqual({p["name"] for p in one.parameters if p["in"] == "path"}, set(re.findall(r"\{(\w+)\}", one.path)))
                for status, response in one.responses.items():
                    self.assertTrue(response["description"])
                    if int(status) < 300 and status != "204":
                        for content in response["content"].values():
                            self.assertIn("example", content, f"{status} has an example")
                    elif int(status) >= 400:
                        self.assertEqual(list(response["content"]), ["application/problem+json"])
                for content in one.source.get("requestBody", {}).get("content", {}).values():
                    self.assertTrue("example" in content or "examples" in content, "the body has an example")

    @unittest.skipUnless(jsonschema, "python3-jsonschema is not installed")
    def test_bodies(self):
        """What can be said of any body that is sent, whatever takes it."""
        for one in Documented(*SERVICES).operations:
            if "requestBody" in one.source:
                with self.subTest(method=one.method, path=one.path):
                    self.assertLessEqual({"400", "408", "411", "413", "415", "417"}, set(one.responses))

    def test_schemas(self):
        whole = Documented(*SERVICES)
        for one in whole.operations:
            for status, response in one.responses.items():
                for kind, content in response.get("content", {}).items():
                    if kind.endswith("json"):
                        jsonschema.Draft202012Validator.check_schema(content["schema"])
                        if "example" in content:
                            one.validator(status, kind).validate(content["example"])
            for kind, content in one.source.get("requestBody", {}).get("content", {}).items():
                jsonschema.Draft202012Validator.check_schema(content["schema"])
                for example in examples(content):
                    jsonschema.Draft202012Validator(content["schema"]).validate(example)


def examples(content):
    return [content["example"]] if "example" in content else [one["value"] for one in content.get("examples", {}).values()]


def sections():
    """docs/API.md: (method, path) -> its text. A heading may name several, with commas between."""
    with open(os.path.join(ROOT, "docs", "API.md"), encoding="utf-8") as file:
        text = file.read()
    found = {}
    for match in re.finditer(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", text, re.M | re.S):
        for method, path in re.findall(r"`([A-Z]+) (\S+)`", match[1]):
            found[method, path] = match[2]
    return found


class Pages(unittest.TestCase):
    """docs/API.md has a section for each operation: "### `GET /path`", a table whose first column names the parameters, a line of curl, and a line
    "Answers: 200, 400, ..." with all statuses."""

    def test_same_operations(self):
        self.assertEqual(set(sections()), {(one.method, one.path) for one in Documented(*SERVICES).operations})

    def test_same_parameters_and_statuses(self):
        told = sections()
        for one in Documented(*SERVICES).operations:
            with self.subTest(method=one.method, path=one.path):
                text = told.get((one.method, one.path), "")
                table = re.search(r"^\| parameter \|.*\n\|[-|]+\n((?:\|.*\n)*)", text, re.M)
                named = set(re.findall(r"^\| `([\w.-]+)` \|", table[1], re.M)) if table else set()
                self.assertEqual(named, set(one.query()), "parameters")
                answers = re.search(rf"^Answers(?: to `?{one.method}`?)?: ([\d, ]+)", text, re.M)
                self.assertTrue(answers, "a line 'Answers: 200, ...'")
                self.assertEqual(answers[1].replace(" ", "").strip(",").split(","), sorted(one.responses))
                self.assertIn("curl ", text)


class Served(WithData):
    """Against a running server."""

    def setUp(self):
        super().setUp()
        reports = os.path.join(self.folder, "reports")
        os.mkdir(reports)
        with open(os.path.join(reports, "p1.json"), "w", encoding="utf-8") as file:
            file.write('{"protocol":"p1"}')
        self.all = self.serve("--set", "services.reports=" + reports)
        self.ports = {"ingest": self.all.ingest, "api": self.all.api, "processor": self.all.processor}

    def test_document(self):
        for service, port in self.ports.items():
            answer = get(port, "/openapi.json")
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/json"))
            expected, served = document(service), answer.json()
            self.assertRegex(served["info"].pop("version"), r"^\d+\.\d+\.\d+$")
            expected["info"].pop("version")
            self.assertEqual(served, expected)
            self.assertEqual(get(port, "/openapi.json", **{"If-None-Match": answer.headers["ETag"]}).status, 304)

    def operations(self):
        for service, port in self.ports.items():
            for one in Documented(service).operations:
                yield port, one

    def target(self, one, **query):
        """A path of the operation, with examples for what is required."""
        path = one.path
        for parameter in one.parameters:
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], urllib.parse.quote(str(parameter["example"]), safe=""))
            elif parameter["in"] == "query" and parameter.get("required"):
                query.setdefault(parameter["name"], parameter["example"])
        return path + ("?" + urllib.parse.urlencode(query) if query else "")

    def send(self, port, one, target, kind=None, body=None):
        headers = {"Content-Type": kind} if kind else {}
        return ask(port, one.method, target, written(kind, body), headers)

    def test_examples(self):
        """Bodies and parameters of the examples are taken, and answered by the first 2xx that is described; GET last, so that there is something."""
        order = {"PUT": 0, "POST": 1, "PATCH": 2, "GET": 3, "DELETE": 4}
        for port, one in sorted(self.operations(), key=lambda each: order[each[1].method]):
            good = [status for status in one.responses if status.startswith("2")] or [status for status in one.responses if status.startswith("3")]
            bodies = [(kind, example) for kind, content in one.source.get("requestBody", {}).get("content", {}).items() for example in examples(content)]
            for kind, body in bodies or [(None, None)]:
                with self.subTest(method=one.method, path=one.path, body=body):
                    answer = self.send(port, one, self.target(one), kind, body)
                    self.assertIn(str(answer.status), good, answer.body)
            for name, parameter in one.query().items():
                if "example" in parameter:
                    kind, body = bodies[0] if bodies else (None, None)
                    with self.subTest(method=one.method, path=one.path, parameter=name):
                        answer = self.send(port, one, self.target(one, **{name: parameter["example"]}), kind, body)
                        self.assertIn(str(answer.status), good, answer.body)

    def test_parameters(self):
        """Of all words in the sources, those that an operation does not refuse as unknown are the ones that are described. A page may ignore all:
        links pick parameters up."""
        candidates = set(words()).union(*(one.query() for _, one in self.operations()))
        self.assertGreater(len(candidates), 100)
        for port, one in self.operations():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            understood = {word for word in candidates if self.is_understood(connection, one, word)}
            connection.close()
            with self.subTest(method=one.method, path=one.path):
                self.assertEqual(understood, candidates if one.source.get("x-ignores-parameters") else set(one.query()))

    def is_understood(self, connection, one, word):
        kind = next(iter(one.source.get("requestBody", {}).get("content", {})), None)
        target = one.path.replace("{", "").replace("}", "") + "?" + word + "=%01"
        connection.request(one.method, target, "{" if kind else None, {"Content-Type": kind} if kind else {})
        response = connection.getresponse()
        body = response.read()
        if response.status != 400:
            return True
        problem = json.loads(body)
        return not (problem["detail"].startswith("unknown") and problem.get("errors", [{"field": ""}])[0]["field"] == word)

    def test_methods(self):
        """A path knows the methods that are described and no other."""
        for service, port in self.ports.items():
            paths = {}
            for one in Documented(service).operations:
                paths.setdefault(one.path, set()).add(one.method)
            for path, methods in paths.items():
                allowed = methods | ({"HEAD"} if "GET" in methods else set())
                for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "TRACE", "FOO"):
                    if method not in methods:
                        answer = ask(port, method, path.replace("{", "").replace("}", ""))
                        self.assert_problem(answer, 405)
                        self.assertEqual(set(answer.headers["Allow"].split(", ")) - {"OPTIONS"}, allowed, (method, path))


if __name__ == "__main__":
    if not jsonschema:
        print("note: bodies are not validated, python3-jsonschema is not installed", file=sys.stderr)
    unittest.main()
