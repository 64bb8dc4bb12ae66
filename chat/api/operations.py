"""How an operation stands in the OpenAPI document.

Rules. Plain data out. What a body is, its Struct says; the sentences are the caller's.
"""

from inspect import cleandoc
from typing import Any, Final

import msgspec

from chat.policy.moderation import MOST_REASON

REFUSALS: Final = {
    400: "Something is wrong with the request; `problems` names each field.",
    401: "There are keys, and none of them was given.",
    403: "This may not be done; or the key lacks the scope that is named; or there are no keys and "
    "the caller is not this machine.",
    404: "There is no such room.",
    408: "The body stopped coming; `accepted` messages of a stream were published before.",
    409: "An `id` was given to another message; `accepted` messages were published before.",
    413: "The body is too large.",
    415: "The content type is not one of these, or the body has a content encoding.",
    429: "The key's rate is used up; `retry_after` says when to come again.",
    503: "The bus does not answer, or the server is about to end; `accepted` messages were "
    "published before, `lines` of a stream dealt with.",
}


def operation(
    summary: str,
    description: str,
    answer: type[msgspec.Struct],
    refusals: tuple[int, ...],
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    tag: str = "rooms",
    needs_body: bool = True,
) -> dict[str, Any]:
    """An operation that is answered with a body, or refused with one of these statuses."""
    refused = {"application/json": {"schema": ref("FailureOut")}}
    made: dict[str, Any] = {
        "tags": [tag],
        "summary": summary,
        "description": description,
        "responses": {
            "200": {
                "description": cleandoc(answer.__doc__ or "Done."),
                "content": {"application/json": {"schema": ref(answer.__name__)}},
            },
            **{
                str(status): {"description": REFUSALS[status], "content": refused}
                for status in refusals
            },
        },
    }
    if body is not None:
        made["requestBody"] = {"required": needs_body, "content": body}
    if parameters:
        made["parameters"] = parameters
    return made


def parameter(name: str, where: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    """A parameter in the path or the query."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": text,
    }


def reason() -> dict[str, Any]:
    """Why, where no body says it."""
    schema = {"type": "string", "maxLength": MOST_REASON}
    return parameter("reason", "query", schema, "why, for the audit")


def integer(least: int, most: int | None) -> dict[str, Any]:
    """A whole number within bounds."""
    return {"type": "integer", "minimum": least} | ({"maximum": most} if most else {})


def ref(name: str) -> dict[str, str]:
    """A Struct's schema, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}
