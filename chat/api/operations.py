"""How an operation stands in the OpenAPI document.

Rules. Plain data out. What a body is, its Struct says; the sentences are the caller's. How an
operation may be refused follows from what it is: whether it takes a body, whether it publishes.
"""

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any, Final

import msgspec

from chat.policy.identity import MAX_NAME
from chat.policy.moderation import MOST_REASON

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
"""Server-sent events, as many as come."""
REFUSALS: Final[dict[int, tuple[str, str]]] = {
    400: (
        "BadRequest",
        "Something is wrong with the request; `problems` names each field.",
    ),
    401: ("Unauthorized", "There are keys, and none of them was given."),
    403: (
        "Forbidden",
        "This may not be done; or the key lacks the scope that is named; or there are no keys and "
        "the caller is not this machine.",
    ),
    404: ("NotFound", "There is no such room, message or path."),
    408: (
        "Timeout",
        "The body stopped coming; `accepted` messages of a stream were published before.",
    ),
    409: (
        "Conflict",
        "An `id` was given to another message; `accepted` messages were published before.",
    ),
    413: ("TooLarge", "The body is too large."),
    415: (
        "UnsupportedMediaType",
        "The content type is not one of these, or the body has a content encoding.",
    ),
    429: (
        "TooManyRequests",
        "The key's rate is used up, or the room is busy, or there are too many connections from "
        "this address; `retry_after` says when to come again.",
    ),
    503: (
        "Unavailable",
        "The bus does not answer, or the server is about to end, or has as many connections or "
        "live streams as it may; `accepted` messages were published before, `lines` of a stream "
        "dealt with.",
    ),
}
"""What a refusal is called, and why it comes, by its status."""
ALWAYS: Final = (400, 401, 403, 404, 429, 503)
WITH_BODY: Final = (408, 413, 415)
TOLD: Final = {
    400: {
        "code": "bad_request",
        "message": "the request is not valid",
        "problems": [{"message": "Expected `int` <= 16777215", "path": "color"}],
    },
    401: {
        "code": "unauthorized",
        "message": "send `Authorization: Bearer <key>` with a key of this server's",
    },
    403: {
        "code": "forbidden",
        "message": "the key 'bot' has no scope 'moderate', which this needs",
    },
    404: {"code": "not_found", "message": "nobody has been in a room 'live:42' lately"},
    408: {"code": "timeout", "message": "nothing of the body came for 10 s"},
    409: {
        "code": "id_reused",
        "message": "an id was given to another message; give each its own",
        "accepted": 1,
    },
    413: {
        "code": "too_large",
        "message": "a body is at most 1048576 bytes; stream more as lines",
    },
    415: {
        "code": "unsupported_media_type",
        "message": "the content type must be application/json",
    },
    429: {
        "code": "rate_limited",
        "message": "too many requests with the key 'bot'",
        "retry_after": 0.4,
    },
    503: {
        "code": "unavailable",
        "message": "the bus does not answer now; try again",
        "retry_after": 1.0,
    },
}
"""An example of each refusal."""


def operation(
    name: str,
    summary: str,
    description: str,
    answer: type[msgspec.Struct],
    body: dict[str, Any] | None = None,
    parameters: Sequence[dict[str, Any]] = (),
    tag: str = "rooms",
    needs_body: bool = True,
    more: Sequence[int] = (),
) -> dict[str, Any]:
    """The operation `name`, which is answered with a body, or refused as all are, and by `more`."""
    refusals = sorted({*ALWAYS, *more, *(WITH_BODY if body is not None else ())})
    made: dict[str, Any] = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "responses": {
            "200": {
                "description": cleandoc(answer.__doc__ or "Done."),
                "content": {JSON: {"schema": ref(answer.__name__)}},
            },
            **{str(status): refusal(status) for status in refusals},
        },
    }
    if body is not None:
        made["requestBody"] = {"required": needs_body, "content": body}
    if parameters:
        made["parameters"] = [*parameters]
    return made


def refusal(status: int) -> dict[str, str]:
    """A refusal, by reference."""
    return {"$ref": f"#/components/responses/{REFUSALS[status][0]}"}


def refusals() -> dict[str, Any]:
    """All refusals, by their names."""
    return {name: _refusal(status, words) for status, (name, words) in REFUSALS.items()}


def _refusal(status: int, words: str) -> dict[str, Any]:
    content = {JSON: {"schema": ref("FailureOut"), "example": {"error": TOLD[status]}}}
    made: dict[str, Any] = {"description": words, "content": content}
    if status == 401:
        schema = {"type": "string", "const": "Bearer"}
        made["headers"] = {"WWW-Authenticate": {"required": True, "schema": schema}}
    if status in (429, 503):
        words = "when to come again, in seconds"
        made["headers"] = {"Retry-After": {"description": words, "schema": integer(1, None)}}
    return made


def parameter(
    name: str, where: str, schema: dict[str, Any], text: str, example: Any = None
) -> dict[str, Any]:
    """A parameter in the path, the query or the head."""
    made = {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": text,
    }
    return made if example is None else made | {"example": example}


def reason() -> dict[str, Any]:
    """Why, where no body says it."""
    schema = {"type": "string", "maxLength": MOST_REASON}
    return parameter("reason", "query", schema, "why, for the audit", "spam")


def actor() -> dict[str, Any]:
    """The human behind what a backend does."""
    words = "the human behind it, for the audit; beside ASCII it takes UTF-8"
    most = MAX_NAME - 2
    schema = {
        "type": "string",
        "maxLength": MAX_NAME,
        "pattern": rf"^(?:[!-~](?:[ -~]{{0,{most}}}[!-~])?)?$",
    }
    return parameter("X-Danmaku-Actor", "header", schema, words, "Mei")


def integer(least: int, most: int | None) -> dict[str, Any]:
    """A whole number within bounds."""
    return {"type": "integer", "minimum": least} | ({"maximum": most} if most else {})


def json_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A body that is such an object."""
    return {JSON: {"schema": ref(kind.__name__)}}


def ref(name: str) -> dict[str, str]:
    """A schema, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}
