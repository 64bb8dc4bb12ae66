"""The API is what its document says, to whoever asks it anything: schemathesis, on a real node.

Requests that fit the document must be done, those that do not refused, and every answer be one of
those that are documented. What is asked is the same each time: the examples, the edges of every
schema, and EXAMPLES more of each operation, from a fixed seed.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from bench.local import Node
from chat.api.guide import without_links
from chat.api.openapi import document
from chat.config.sections import Limits
from chat.policy.text import clean_text, text_problem
from chat.policy.words import read_word
from tests.chat.api.test_formats import ROOM, TEXT, WORD
from tests.chat.rig import configured

EXAMPLES = 4
KEY = "s3cret"
DIALECTS = ["danmaku", "centrifugal"]
NDJSON = "application/x-ndjson"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    missing_required_header,
    ignored_auth,
    unsupported_method,
    allow_header_conformance,
]

DOCUMENT = document(configured(server={"dialects": DIALECTS}, api={"key": KEY}))
SCHEMA: Any = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.config.seed = 1
SCHEMA.config.max_stream_events = 1
"""A stream never ends by itself: its first event is looked at, and then it is closed."""


@schemathesis.serializer(NDJSON)
def one_line(context: Any, value: Any) -> bytes:
    """A stream of one line."""
    return json.dumps(value).encode()


def spared(case: Any) -> bool:
    """Whether what does not fit may be done all the same.

    A call of Centrifugo's is answered 200 with an error, as its libraries expect it. Of texts that
    are cleaned, and of words, more is taken than a pattern can say. And schemathesis takes
    `p{L}` for Latin letters, so a room in another script does not fit, it thinks.
    """
    if case.operation.path.startswith("/api/"):
        return True
    room = (case.path_parameters or {}).get("room", "")
    if case.operation.path.endswith("/live"):
        return all(map(ROOM, names(room))) or any(map(taken, strings(case.body)))
    in_another_script = isinstance(room, str) and not room.isascii() and ROOM(room)
    return in_another_script or any(map(taken, strings(case.body)))


def names(rooms: Any) -> list[str]:
    """The rooms in a path that may have several: texts there, whatever they were made of."""
    return ",".join(map(str, rooms if isinstance(rooms, list) else [rooms])).split(",")


def strings(value: Any) -> Iterator[str]:
    """All strings within."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def taken(text: str) -> bool:
    """Whether a text or a word is taken that does not fit."""
    cleaned = clean_text(text)
    if not TEXT(text) and text_problem(cleaned, Limits().text_chars) is None:
        return True
    return not WORD(text) and not isinstance(read_word(text, "mask"), str)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that is configured as the document's is."""
    folder = tmp_path_factory.mktemp("node")
    with Node(folder, api_key=KEY, server_dialects=json.dumps(DIALECTS)) as node:
        yield node


def test_the_document_is_that_of_a_node_configured_so(keyed: Node) -> None:
    _, served = keyed.request("GET", "/openapi.json")
    assert served == without_links(DOCUMENT)


@SCHEMA.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_it_is_answered_as_it_says(case: Any, keyed: Node) -> None:
    checks = [one for one in CHECKS if one is not negative_data_rejection or not spared(case)]
    given = {"Authorization": f"Bearer {KEY}"}
    case.call_and_validate(base_url=keyed.page, headers=given, checks=checks)
