"""Bad input of every endpoint: the right status, the field named, nothing changed.

Rows are made from the OpenAPI documents, so that a new operation, parameter or field is tried as soon as it is described: PARAMETERS says what
is wrong for a kind of schema, NOT for a kind of field, BODIES what is wrong as a body, IDS what is wrong as an id in a path."""
import http.client
import json
import re
import unittest
import urllib.parse

from http_support import PATIENCE, WithData, ask, event, get, post, wait_for
from openapi_support import SERVICES, Documented, unnamed

BIG = 10_000_000
JSON = "application/json"

# As the value of a parameter, already percent-encoded, by the type of its schema.
PARAMETERS = {
    "integer": ["", "-1", "1.5", "NaN", "Infinity", "1e3", "0x10", "99999999999999999999999", "%00", "%ff", "one", "%EF%BC%91", "1%20", "--1", "1,2"],
    "enum": ["", "maybe", "TRUE", "1", "%00", "%ff", "true%20"],
    "id": ["", "x" * 257, "%ff", "%00", "a%00b", "%ed%a0%80", "%f4%90%80%80", "%c0%af", "%"],
    "pattern": ["%ff", "%00", "x%20y", "%27", "-1", "%0a", "1e3"],
    "time": ["yesterday", "-1", "1.5", "NaN", "2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "99999999999999999999", "%ff", "%00"],
    "position": ["zzz", "!", "AAAA", "%ff", "%00", "A" * 3000],
}
# As the value of a field of a body, as JSON text, by what its schema takes; NOT is what no field of that type takes.
NOT = {
    "string": ["1", "-1.5", "true", "[]", "{}", '["x"]'],
    "integer": ['"1"', "1.5", "1e400", "true", "[]", "{}", "99999999999999999999", "-99999999999999999999", "NaN", "-Infinity"],
    "number": ['"1"', "true", "[]", "{}", "1e400", "NaN"],
    "boolean": ['"true"', "1", "0", "[]", "{}"],
    "array": ['"x"', "1", "true", "{}"],
    "object": ['"x"', "1", "true", "[]"],
}
TEXTS = ['"\\u0000"', '"a\\u0000b"', '"' + "x" * 3000 + '"', '"\\ud800"', '"\xff"']
# As a body where JSON is expected.
BODIES = [b"", b" ", b"{", b"[", b"nul", b"NaN", b"1", b'"text"', b"true", b"null", b"[1]", b"[[]]", b"[null]", b"{]", b'{"a":1,}', b"{'a':1}", b'{"a"}',
          b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a":"\xff"}', b"{}\0", b'{"a\0":1}', b'{"a":1,"a":2}', b'{"a":1e999}', b"[" * 100_000, b'{"a":' * 50_000,
          b"[" * 20_000 + b"]" * 20_000, b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"a":"' + b"x" * 1_900_000, b"{} {}", b"[] []", b"\0" * 100,
          b'{"a":\xed\xa0\x80}']
# Fields that take whatever there is.
ANYTHING = ()
# What the object within a field needs beside what is wrong in it.
INNER = {"session": {"item_id": "i7"}}
# As an id in a path, raw.
IDS = [("%", 400), ("%zz", 400), ("%2", 400), ("%00", 400), ("a%00b", 400), ("%ff", 400), ("%ed%a0%80", 400), ("%c0%af", 400), ("", 404), ("a/b", 404),
       ("a/", 404), ("/a", 404), ("../a", 404), ("x" * 257, 413), ("%f0%9f%98%80" * 65, 413)]


def types(schema):
    if "type" in schema:
        return set(schema["type"] if isinstance(schema["type"], list) else [schema["type"]])
    return set().union(*(types(one) for one in schema.get("oneOf", schema.get("anyOf", []))))


def is_time(name):
    return name in ("as_of", "timestamp", "available_from", "available_until")


def bad_parameters(name, schema):
    if is_time(name):
        return PARAMETERS["time"]
    if name == "min_position":
        return PARAMETERS["position"]
    if "enum" in schema:
        return [value for value in PARAMETERS["enum"] if value not in schema["enum"]]
    if "integer" in types(schema):
        return PARAMETERS["integer"]
    if "maxLength" in schema:
        return PARAMETERS["id"]
    if "pattern" in schema:
        return [value for value in PARAMETERS["pattern"] if not re.search(schema["pattern"], urllib.parse.unquote(value))]
    return ["%ff", "%00"]


def outside(schema):
    """JSON texts beyond the limits that the schema itself states."""
    made = [str(schema["minimum"] - 1)] if "minimum" in schema else []
    made += [str(schema["maximum"] + 1)] if "maximum" in schema else []
    made += [json.dumps([f"n{i}" for i in range(schema["maxItems"] + 1)])] if "maxItems" in schema else []
    made += ["[]"] if schema.get("minItems") else []
    return made + (['["same","same"]'] if schema.get("uniqueItems") else [])


def inner(schema):
    """The fields of the object that a field may be, or have as elements, and how the object is written within the field."""
    for one in [schema] + schema.get("oneOf", []) + schema.get("anyOf", []):
        if "items" in one and objects_of(one["items"]):
            return objects_of(one["items"]), "[%s]"
        if one.get("properties"):
            return one, "%s"
    return {}, "%s"


def bad_fields(name, schema):
    """JSON texts that the field does not take."""
    takes = types(schema)
    if not takes:
        return []
    wrong = [text for one in takes - {"null"} for text in NOT[one]]
    examples = {"string": '"', "integer": "0123456789", "number": "0123456789-", "array": "[", "object": "{", "boolean": "tf"}
    fine = lambda text: any(text[0] in examples[one] and text not in NOT[one] for one in takes - {"null"})
    wrong = [text for text in wrong if not fine(text)] + outside(schema)
    if takes - {"null"} == {"string"}:
        wrong += TEXTS
    if is_time(name):
        wrong += ['"yesterday"', '"2026-01-01T00:00:00"', "-1", '"2026-13-01T00:00:00Z"']
    if name == "min_position":
        wrong += ['"zzz"']
    return wrong


def objects_of(schema):
    """The schema of the object that a body is, or has as elements."""
    if "properties" in schema:
        return schema
    for one in schema.get("oneOf", []) + schema.get("anyOf", []) + ([schema["items"]] if "items" in schema else []):
        if objects_of(one):
            return objects_of(one)
    return None


def examples(content):
    return [content["example"]] if "example" in content else [one["value"] for one in content.get("examples", {}).values()]


class Table(WithData):
    def setUp(self):
        super().setUp()
        self.all = self.serve()
        self.ports = {"ingest": self.all.ingest, "api": self.all.api, "processor": self.all.processor}
        self.connections = {}
        answer = post(self.all.ingest, "/events", [event("known", "i7"), event("known", "i8"), event("other", "i7")])
        ask(self.all.api, "PUT", "/items/i7", '{"title":"Tea"}', {"Content-Type": JSON})
        ask(self.all.api, "PUT", "/users/u1", '{"segment":"new"}', {"Content-Type": JSON})
        path = f"/recommendations?user_id=known&wait_ms=2000&min_position={answer.json()['position']}"
        wait_for(lambda: get(self.all.api, path).json()["behind"] is False, "the events to be learned")
        wait_for(lambda: len(get(self.all.api, "/popular").json()["items"]) == 2, "popularity")
        self.before = self.state()

    def state(self):
        """What can be seen of what is stored and learned."""
        answers = [get(self.all.api, path).json() for path in ("/popular", "/items/i7", "/users/u1", "/recommendations?user_id=known")]
        answers[-1].pop("recommendation_id")
        counts = [line for line in get(self.all.ingest, "/metrics").body.decode().splitlines() if re.match(r"reco_(events_accepted|stream)\w*_total", line)]
        return answers + [ask(self.all.api, "GET", "/items/" + name).status for name in ("a", "x", "null", "%E2%98%83")] + counts

    def tearDown(self):
        self.assertEqual(self.state(), self.before, "bad input changed something")
        for connection in self.connections.values():
            connection.close()
        self.assertIsNone(self.all.process.poll())

    def operations(self):
        for service in SERVICES:
            for one in Documented(service).operations:
                yield self.ports[service], one

    def request(self, port, method, target, body=None, kind=None, headers=None):
        """Like ask, on a connection that is kept."""
        if port not in self.connections:
            self.connections[port] = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection = self.connections[port]
        try:
            connection.request(method, target, body, {**({"Content-Type": kind} if kind else {}), **(headers or {})})
        except (BrokenPipeError, ConnectionResetError):
            pass
        response = connection.getresponse()
        return response.status, response.headers, response.read()

    def refused(self, one, answer, statuses, field=None, what=""):
        """The answer is a problem with one of the statuses, which are described, that names the field."""
        status, headers, body = answer
        with self.subTest(method=one.method, path=one.path, what=str(what)[:120]):
            self.assertIn(status, statuses, body[:500])
            self.assertIn(str(status), list(one.responses) + ["404"])
            self.assertEqual(headers["Content-Type"], "application/problem+json")
            problem = json.loads(body)
            self.assertTrue(problem["detail"])
            self.assertIsNone(unnamed(status, problem))
            if field:
                named = [error["field"] for error in problem.get("errors", [])]
                self.assertTrue(any(name == field or name.startswith((field + ".", field + "[")) for name in named), (field, problem))

    def target(self, one, **query):
        path = one.path
        for parameter in one.parameters:
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], parameter["example"] if one.method == "PATCH" else "x")
            elif parameter["in"] == "query" and parameter.get("required"):
                query.setdefault(parameter["name"], urllib.parse.quote_plus(str(parameter["example"])))
        return path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")

    def body_of(self, one):
        """A body that is fine, and its type; None, None without."""
        for kind, content in one.source.get("requestBody", {}).get("content", {}).items():
            if kind.endswith("json") and "ndjson" not in kind:
                return json.dumps(examples(content)[0]), kind
        return None, None

    def test_parameters(self):
        for port, one in self.operations():
            body, kind = self.body_of(one)
            for name, parameter in one.query().items():
                for value in bad_parameters(name, parameter["schema"]):
                    self.refused(one, self.request(port, one.method, self.target(one, **{name: value}), body, kind), (400, 413), name, f"{name}={value}")
                good = urllib.parse.quote_plus(str(parameter.get("example", parameter["schema"].get("default", "1"))))
                twice = self.target(one, **{name: good}) + f"&{name}={good}"
                if parameter["schema"].get("type") != "array":
                    self.refused(one, self.request(port, one.method, twice, body, kind), (400,), name, twice)
            for query in ("nosuch=1", "nosuch", "%00=1", "%ff=1", "%=1", "a%zz=1", "=1", "x" * 9000 + "=1"):
                target = self.target(one)
                target += ("&" if "?" in target else "?") + query
                answer = self.request(port, one.method, target, body, kind)
                if one.source.get("x-ignores-parameters"):
                    with self.subTest(method=one.method, path=one.path, what=query[:20]):
                        self.assertIn(answer[0], (200, 307))
                else:
                    self.refused(one, answer, (400, 413), "nosuch" if "nosuch" in query else None, query)

    def test_ids_in_paths(self):
        for port, one in self.operations():
            body, kind = self.body_of(one)
            name = next((parameter["name"] for parameter in one.parameters if parameter["in"] == "path"), None)
            for text, status in IDS if name else ():
                path = one.path.replace("{%s}" % name, text)
                self.refused(one, self.request(port, one.method, path, body, kind), (status,), name if status in (400, 413) else None, path)

    def test_bodies(self):
        for port, one in self.operations():
            content = one.source.get("requestBody", {}).get("content", {})
            for kind in content:
                for body in BODIES:
                    answer = self.request(port, one.method, self.target(one), body, kind)
                    self.refused(one, answer, (400, 413, 422), None, (kind, body[:60], len(body)))
            if content:
                kind = next(iter(content))
                self.refused(one, self.request(port, one.method, self.target(one), b"[" + b" " * BIG + b"]", kind), (413,), None, "10 MB")
                self.connections.pop(port).close()
                for wrong in (None, "text/plain", "application/jsonx", "application", "", "application/x-www-form-urlencoded", "*/*"):
                    self.refused(one, self.request(port, one.method, self.target(one), b"{}", wrong), (415,), "Content-Type", wrong)

    def test_fields(self):
        for port, one in self.operations():
            body, kind = self.body_of(one)
            schema = objects_of(one.source["requestBody"]["content"][kind]["schema"]) if body else None
            for name, of in (schema or {}).get("properties", {}).items():
                good = json.loads(body)
                texts = bad_fields(name, of)
                self.assertTrue(texts or name in ANYTHING, (one.path, name))
                within, form = inner(of)
                for part, schema_of_part in within.get("properties", {}).items():
                    rest = {key: value for key, value in INNER.get(name, {}).items() if key != part}
                    wrapped = [form % (json.dumps(rest)[:-1] + (", " if rest else "") + f'"{part}": {text}' + "}") for text in bad_fields(part, schema_of_part)]
                    self.assertTrue(wrapped or part in ANYTHING, (one.path, name, part))
                    texts += wrapped
                for text in texts:
                    first = good[0] if isinstance(good, list) else good
                    others = {key: value for key, value in first.items() if key != name}
                    inside = json.dumps(others)[:-1] + (", " if others else "") + f'"{name}": {text}' + "}"
                    whole = ("[" + inside + "]" if isinstance(good, list) else inside).encode("latin-1")
                    answer = self.request(port, one.method, self.target(one), whole, kind)
                    self.refused(one, answer, (400, 413, 422), name, f"{name}: {text}")
            for name in (schema or {}).get("required", []):
                good = json.loads(body)
                first = dict(good[0] if isinstance(good, list) else good)
                if first.pop(name, None) is not None:
                    answer = self.request(port, one.method, self.target(one), json.dumps([first] if isinstance(good, list) else first), kind)
                    self.refused(one, answer, (400, 422), name, f"without {name}")

    def test_named(self):
        """What is wrong with a member is said of the member; what is wrong with none, of the body."""
        deep = '{"a":' * 200 + "1" + "}" * 200
        rows = [('{"title":"x","title":"y"}', "title"), ('{"price":NaN}', "price"), ('{"a":{"b":1,"b":2}}', "a.b"), ('{"a":{"b":[1,Infinity]}}', "a.b"),
                (f'{{"title":"x","a":{deep}}}', "a.a"), ('{"a\\u0000":1}', "a\\u0000"), ('{"title" "x"}', "body"), ('{NaN:1}', "body"),
                ('{"title":"' + "x" * 70_000 + '"}', "body"), ('[{"title":"x"}]', "body"), ("", "body"), ('{"title":"\ud800"}', "title")]
        for text, field in rows:
            body = text.encode("utf-8", "surrogatepass")
            answer = self.request(self.all.api, "PATCH", "/items/i7", body, JSON)
            one = next(one for _, one in self.operations() if one.method == "PATCH")
            self.refused(one, answer, (400, 413, 422), field, text[:80])
        post = next(one for _, one in self.operations() if one.method == "POST" and one.path == "/items")
        for text, field in [('[{"item_id":"a"},{"item_id":"b","price":1,"price":2}]', "price"), ('[{"item_id":"a"},7]', "body"),
                            ('[{"item_id":"a","x":' + deep + "}]", "x.a")]:
            answer = self.request(self.all.api, "POST", "/items", text, JSON)
            self.refused(post, answer, (422,), field, text[:80])
        self.assertEqual(json.loads(answer[2])["errors"][0]["index"], 0)

    def test_many(self):
        one = next(one for _, one in self.operations() if one.path == "/events")
        many = b"[" + b",".join([b"{}"] * 100_000) + b"]"
        self.refused(one, self.request(self.all.ingest, "POST", "/events", many, JSON), (413,), None, "100,000 events")
        lines = b'{"user_id":"u","item_id":"i","event_type":"view"}\n' * 1001
        self.refused(one, self.request(self.all.ingest, "POST", "/events", lines, "application/x-ndjson"), (413,), None, "1,001 lines")
        answer = self.request(self.all.ingest, "POST", "/events?atomic=true", json.dumps([event("u", "i"), event("u", "")]), JSON)
        self.refused(one, answer, (422,), "item_id", "one of two, atomic")


if __name__ == "__main__":
    unittest.main()
