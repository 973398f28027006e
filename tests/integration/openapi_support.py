"""The OpenAPI documents of the services, read from their sources; an answer of any test can be held against them: its status, its type, its headers and,
by a JSON schema, its body. Objects in answers are taken strictly: a member that the document does not name is an error."""
import gzip
import json
import os
import re

try:
    import jsonschema
except ImportError:
    jsonschema = None

ROOT = os.environ.get("RECO_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SERVICES = ("ingest", "api", "processor")
PIECES = {"api": ("console",)}  # what a service answers as it is set up by default, beside its own
NOT_SERVED = b"there is nothing at this path"
METHODS = ("get", "put", "post", "delete", "patch")


def merged(target, piece):
    for name, value in piece.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            merged(target[name], value)
        else:
            target[name] = value
    return target


def source(folder):
    path = os.path.join(ROOT, "services", folder, "openapi.json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def document(*services):
    """As a service puts it together; of several services at once."""
    whole = source("http")
    for service in services:
        for folder in (service, *PIECES.get(service, ())):
            merged(whole, source(folder))
    return whole


def resolved(whole, node):
    """The node with what its references point to put in; they do not go round in circles."""
    if isinstance(node, list):
        return [resolved(whole, part) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = whole
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return resolved(whole, target)
    return {name: resolved(whole, part) for name, part in node.items()}


def strict(schema):
    """The schema with objects that hold nothing but what is named."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out = {name: strict(part) for name, part in schema.items()}
    if "properties" in out and isinstance(out["properties"], dict):
        out.setdefault("additionalProperties", False)
    return out


def written(kind, value):
    """A body as it is sent; the lines of NDJSON are described as an array."""
    if isinstance(value, (str, bytes)) or value is None:
        return value
    return "".join(json.dumps(one) + "\n" for one in value) if kind == "application/x-ndjson" else json.dumps(value)


def unnamed(status, problem):
    """In words, that a problem with the request does not say with what of it; None: it does."""
    errors = problem.get("errors") if status in range(400, 500) else [{"field": "none is needed"}]
    return None if errors and all(error["field"] for error in errors) else f"no field is named: {problem}"


class Operation:
    def __init__(self, whole, path, method):
        item = whole["paths"][path]
        self.path, self.method = path, method.upper()
        self.source = resolved(whole, item[method])
        self.parameters = resolved(whole, item.get("parameters", [])) + self.source.get("parameters", [])
        self.responses = self.source["responses"]
        self.validators = {}
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
        self.pattern = re.compile(pattern)

    def query(self):
        return {parameter["name"]: parameter for parameter in self.parameters if parameter["in"] == "query"}

    def validator(self, status, kind):
        if (status, kind) not in self.validators:
            schema = strict(self.responses[status]["content"][kind].get("schema", {}))
            self.validators[status, kind] = jsonschema.Draft202012Validator(schema)
        return self.validators[status, kind]


class Documented:
    """All operations of some services."""

    def __init__(self, *services):
        self.whole = document(*services)
        self.operations = [Operation(self.whole, path, method) for path, item in self.whole["paths"].items() for method in METHODS if method in item]

    def find(self, method, target):
        path = target.split("?")[0]
        wanted = "GET" if method == "HEAD" else method
        fitting = [one for one in self.operations if one.method == wanted and one.pattern.fullmatch(path)]
        # of two templates that fit, the one with fewer parameters is meant
        return min(fitting, key=lambda one: one.path.count("{")) if fitting else None

    def offences(self, method, target, status, headers, body):
        """What of an answer is not as the document says, in words."""
        operation = self.find(method, target)
        if status == 404 and NOT_SERVED in body:
            operation = None  # asked of a service that is for other paths
        status = str(status)
        if not operation:
            return [] if int(status) >= 400 or method == "OPTIONS" else [f"{method} {target} answers {status} and is not described"]
        if status not in operation.responses:
            return [f"{operation.method} {operation.path} answers {status}, which is not described: {body[:300]!r}"]
        response = operation.responses[status]
        found = [f"{operation.method} {operation.path} {status}: header {name} is described and missing"
                 for name in response.get("headers", {}) if headers.get(name) is None and not response["headers"][name].get("x-may-be-missing")]
        if method == "HEAD" or status in ("204", "304"):
            return found
        kind = (headers.get("Content-Type") or "").split(";")[0]
        if kind not in response.get("content", {}):
            return found + [f"{operation.method} {operation.path} {status}: Content-Type {kind!r} is not described"]
        if kind.endswith("json") and jsonschema:
            value = json.loads(gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body)
            found += [f"{operation.method} {operation.path} {status}: {text}" for text in [unnamed(int(status), value)] if text]
            for error in operation.validator(status, kind).iter_errors(value):
                found.append(f"{operation.method} {operation.path} {status}: {error.message[:300]} at /{'/'.join(map(str, error.absolute_path))}")
        return found


_everything = None


def everything():
    global _everything
    if _everything is None:
        _everything = Documented(*SERVICES)
    return _everything
