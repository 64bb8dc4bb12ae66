"""docs/api.md, written from the OpenAPI document.

    python -m chat.api.reference > docs/api.md

Rules. Nothing is said here that the document does not say. What is run by the reader is run by a
test, in the order of the page (`tests/e2e/test_api_documented.py`).
"""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from textwrap import fill
from typing import Any, Final
from urllib.parse import quote, urlencode

from chat.api import guide
from chat.api.examples import EXAMPLES
from chat.api.keys import needed
from chat.api.openapi import OPEN, document, operations
from chat.api.operations import JSON
from chat.config.sections import Api, Config, Server

CONFIG: Final = Config(server=Server(dialects=("danmaku", "centrifugal")), api=Api(key="key"))
"""What the page is of: a node with a key, which offers all."""
HEAD: Final = """\
# The HTTP API

{introduction}

## All of it

{index}
Examples take where the API is, and a key, from the environment: `DANMAKU_API=http://127.0.0.1:8001`,
`DANMAKU_KEY`.
"""
SHAPES: Final = """\
## Shapes

What bodies are made of, and what is answered. A field with a default may be left out.
"""
WIDTH: Final = 100
Item = dict[str, Any]


def page() -> str:
    """The page."""
    made = document(CONFIG)
    found = list(operations(made["paths"]))
    head = HEAD.format(introduction=_introduction(), index=_index(found))
    parts = [head]
    for tag, title in guide.TAGS.items():
        parts.append(f"## {title}\n\n{guide.OF_TAGS[tag]}\n")
        parts += [_operation(made, *one) for one in found if one[2]["tags"] == [tag]]
    schemas = made["components"]["schemas"]
    shapes = [_shape(name, schema) for name, schema in schemas.items()]
    return "\n".join([*parts, SHAPES, *shapes])


def _introduction() -> str:
    whole = (f"## {title}\n\n{guide.SECTIONS[title]}" for title in guide.WHOLE)
    return "\n\n".join([guide.SECTIONS[""], *whole])


def _index(found: list[tuple[str, str, Item]]) -> str:
    rows = ["| | | scope |", "|---|---|---|"]
    for path, method, one in found:
        scope = "" if path in OPEN else needed(method.upper(), path) or "any"
        anchor = re.sub(r"[^a-z0-9 -]", "", one["summary"].lower()).replace(" ", "-")
        rows.append(f"| `{method.upper()} {path}` | [{one['summary']}](#{anchor}) | {scope} |")
    return "\n".join(rows) + "\n"


def _operation(made: Item, path: str, method: str, one: Item) -> str:
    parts = [f"### {one['summary']}\n", f"`{method.upper()} {path}` {_takes(path, method)}.\n"]
    parts.append(f"{fill(one['description'], WIDTH)}\n")
    given = [*made["paths"][path].get("parameters", ()), *one.get("parameters", ())]
    if given:
        parts.append(_table("parameter", map(_parameter, given)))
    if "requestBody" in one:
        parts.append(f"Body: {_bodies(one['requestBody'])}.\n")
    parts.append(f"```sh\n{curl(path, method, given, one['operationId'])}\n```\n")
    parts.append(_answers(one))
    return "\n".join(parts)


def _takes(path: str, method: str) -> str:
    if path in OPEN:
        return "takes no key"
    scope = needed(method.upper(), path)
    return "takes any key" if scope is None else f"takes the scope `{scope}`"


def curl(path: str, method: str, given: list[Item], name: str) -> str:
    """The example of an operation, as a command."""
    example = EXAMPLES[name]
    values = {parameter["name"]: _text(parameter.get("example")) for parameter in given}
    for parameter, value in values.items():
        path = path.replace(f"{{{parameter}}}", quote(value, safe=":,"))
    if example.query:
        path += f"?{urlencode({one: values[one] for one in example.query})}"
    parts = ["curl"] if method == "get" else ["curl", "-X", method.upper()]
    if example.stream:
        parts.append("-N")
    lines = [" ".join([*parts, f'"$DANMAKU_API{path}"'])]
    if path not in OPEN:
        lines.append('-H "Authorization: Bearer $DANMAKU_KEY"')
    if example.body is not None:
        lines.append(f"-H 'Content-Type: {JSON}'")
        lines.append(f"-d {shlex.quote(json.dumps(example.body, ensure_ascii=False))}")
    return " \\\n     ".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, list):  # as a path has them
        return ",".join(map(_text, value))
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _answers(one: Item) -> str:
    [(kind, content)] = one["responses"]["200"]["content"].items()
    parts = []
    example = EXAMPLES[one["operationId"]]
    if example.stream:
        written = json.dumps(example.answer, ensure_ascii=False)
        parts.append(f"```text\nevent: {example.stream}\ndata: {written}\n```\n")
    elif kind == JSON:
        written = json.dumps(example.answer, ensure_ascii=False)
        if len(written) > WIDTH:
            written = json.dumps(example.answer, ensure_ascii=False, indent=2)
        parts.append(f"```json\n{written}\n```\n")
    refused = ", ".join(status for status in one["responses"] if status != "200")
    shape = _kind(content["schema"])
    answered = f"200: {shape}" if "$ref" in content["schema"] else f"200, `{kind}`"
    if example.stream:
        answered += f". The first event is as above; they are {_events(content['schema'])}"
    parts.append(f"Answered {answered}; refused with {refused}.\n")
    return "\n".join(parts)


def _events(schema: Item) -> str:
    """What the events of a stream are called, and what their data is."""
    each = (one["properties"] for one in schema["oneOf"])
    return ", ".join(
        f"`{one['event']['const']}` {_kind(one['data']['contentSchema'])}" for one in each
    )


def _bodies(body: Item) -> str:
    kinds = (f"`{kind}`, {_kind(one['schema'])}" for kind, one in body["content"].items())
    return "; ".join(kinds) + ("" if body["required"] else "; it may be left out")


def _parameter(one: Item) -> tuple[str, ...]:
    return f"`{one['name']}`", f"{one['in']}, {_kind(one['schema'])}", one["description"]


def _shape(name: str, schema: Item) -> str:
    told = " ".join(schema.get("description", "").split())
    parts = [f"### {name}\n"]
    if told:
        parts.append(f"{fill(told, WIDTH)}\n")
    fields = schema.get("properties", {})
    if fields:
        rows = (_field(schema, field, one) for field, one in fields.items())
        parts.append(_table("field", rows))
    elif schema.get("type") == "string" and "maxLength" in schema:
        parts.append(f"{schema['minLength']} to {schema['maxLength']} characters.\n")
    return "\n".join(parts)


def _field(schema: Item, name: str, one: Item) -> tuple[str, ...]:
    if "default" in one:
        default = f"default `{json.dumps(one['default'], ensure_ascii=False)}`"
    else:
        default = "" if name in schema.get("required", ()) else "may be absent"
    return f"`{name}`", _kind(one), default


def _table(what: str, rows: Any) -> str:
    lines = [f"| {what} | | |", "|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines) + "\n"


def _kind(schema: Item) -> str:
    """What a value is, in few words."""
    return " or ".join(_kinds(schema))


def _kinds(schema: Item) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield f"[{name}](#{name.lower()})"
    elif "const" in schema or "enum" in schema:
        for value in schema.get("enum", [schema.get("const")]):
            yield f"`{json.dumps(value)}`"
    elif "oneOf" in schema or "anyOf" in schema or "allOf" in schema:
        for one in schema.get("oneOf") or schema.get("anyOf") or schema["allOf"]:
            yield from _kinds(one)
    elif schema.get("type") == "array" or schema.get("type") == ["array", "null"]:
        items = _kind(schema["items"]) if "items" in schema else "anything"
        yield f"array of {items}{_bounds(schema)}"
    elif isinstance(schema.get("type"), list):
        yield "anything" if len(schema["type"]) > 2 else f"{schema['type'][0]}{_bounds(schema)}"
    else:
        yield f"{schema.get('type', 'anything')}{_bounds(schema)}"


def _bounds(schema: Item) -> str:
    for kind in ("imum", "Length", "Items"):
        least, most = f"min{kind}", f"max{kind}"
        if least in schema or most in schema:
            low, high = schema.get(least, 0), schema.get(most)
            return f", {low} or more" if high is None else f", {low} to {high}"
    return ""


if __name__ == "__main__":
    sys.stdout.write(page())
