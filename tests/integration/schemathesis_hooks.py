"""For http_schemathesis.py: how a body of NDJSON is written, and what a schema cannot say of values."""
import json
import re

import schemathesis

# Any text may stand there as far as the schema goes, and hardly any is right: tokens are made by the server (None: left out), types are configured, and in
# a query filter and caps are JSON.
KNOWN = {"min_position": "", "cursor": None, "event_type": "view"}
IN_QUERY = {**KNOWN, "filter": '{"color":"red"}', "caps": '{"brand":2}'}


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """The lines are described as an array; what is none becomes a line that is none either."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in (value if isinstance(value, list) else [[value]]))


def adapted(value, known=KNOWN):
    """To a schema 5.0 is an integer and 1e25 is one, too; a name of a member may have a NUL. Here not. And times begin in 1970."""
    if isinstance(value, list):
        return [adapted(one, known) for one in value]
    if isinstance(value, dict):
        told = {name.replace("\0", "") if isinstance(name, str) else name: part for name, part in value.items()}
        mine = {name for name, part in told.items() if name in known and isinstance(part, str) and len(part) <= 1024}
        return {name: known[name] if name in mine else adapted(part, known) for name, part in told.items() if not (name in mine and known[name] is None)}
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[Tt]", value):
        return "2024" + value[4:]
    if isinstance(value, int) and not -2**63 <= value < 2**63:
        return float(value)  # no reader takes it as an integer
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


@schemathesis.hook
def before_call(context, case, kwargs):
    if isinstance(case.query, dict):
        case.query = adapted(case.query, IN_QUERY)
        for name, value in case.query.items():
            if isinstance(value, list):  # which is sent without being encoded
                case.query[name] = [one.replace("%", "") or "x" if isinstance(one, str) else one for one in value]
    if isinstance(case.body, (list, dict)):
        case.body = adapted(case.body)
