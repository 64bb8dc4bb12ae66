"""Centrifugo's calls in the OpenAPI document: what they ask, are answered, and are refused by.

Rules. As in `openapi`. What their libraries may ask for and is refused here is left out. A call
that was understood is answered 200, with its result or with an error.
"""

from typing import Any, Final

import msgspec

from chat.api.centrifugal import (
    Broadcast,
    Channel,
    Channels,
    Disconnect,
    History,
    Info,
    Publish,
)
from chat.api.operations import JSON, integer, json_of, ref

STRUCTS: Final = (Broadcast, Channel, Channels, Disconnect, History, Info, Publish)
REFUSED: Final = (401, 403, 404, 408, 413, 415, 429, 503)
NOT_HERE: Final = ("tags", "b64data", "skip_history", "client", "session", "whitelist")
"""Fields that are refused where they say anything."""
WHOLE: Final = integer(0, None)
TEXT: Final = {"type": "string"}
Item = dict[str, Any]


def _object(**fields: Item) -> Item:
    return {"type": "object", "properties": fields, "required": [*fields]}


PLACE: Final = _object(offset=WHOLE, epoch=TEXT)
ERROR: Final = _object(code=integer(100, None), message=TEXT)
NODE: Final = _object(
    uid=TEXT, name=TEXT, version=TEXT, num_clients=WHOLE, num_channels=WHOLE, uptime=WHOLE
)
PUBLICATION: Final = _object(data={"type": "object"}, offset=WHOLE)
CHANNEL: Final = _object(num_clients=WHOLE)


def paths() -> dict[str, Item]:
    """All calls."""
    responses = {
        "type": "array",
        "items": {"oneOf": [_object(result=PLACE), _object(error=ERROR)]},
    }
    return dict(
        (
            _call(
                "publish", "Publish to a channel", "As to the room of that name.", Publish, PLACE
            ),
            _call(
                "broadcast",
                "Publish to many channels",
                "Each has an answer of its own.",
                Broadcast,
                _object(responses=responses),
            ),
            _call(
                "disconnect",
                "Disconnect a user",
                "All of the user's connections are closed, with 4505.",
                Disconnect,
                _object(),
            ),
            _call(
                "presence_stats",
                "Count a channel's clients",
                "And its users, about.",
                Channel,
                _object(num_clients=WHOLE, num_users=WHOLE),
            ),
            _call(
                "history",
                "Read a channel's history",
                "At most 500 at once; without a `limit` none, only the position.",
                History,
                _object(
                    publications={"type": "array", "items": PUBLICATION}, epoch=TEXT, offset=WHOLE
                ),
            ),
            _call(
                "channels",
                "List the fullest channels",
                "Of the thousand with most clients those whose name fits.",
                Channels,
                _object(channels={"type": "object", "additionalProperties": CHANNEL}),
            ),
            _call(
                "info",
                "See this node",
                "It does not know what the others hold.",
                Info,
                _object(nodes={"type": "array", "items": NODE}),
                needs_body=False,
            ),
        )
    )


def _call(
    name: str,
    summary: str,
    description: str,
    asked: type[msgspec.Struct],
    result: Item,
    needs_body: bool = True,
) -> tuple[str, Item]:
    answered = {
        "description": "Its result, or why there is none.",
        "content": {JSON: {"schema": {"oneOf": [_object(result=result), _object(error=ERROR)]}}},
    }
    refused = {"$ref": "#/components/responses/CallRefused"}
    operation = {
        "operationId": f"call_{name}",
        "tags": ["centrifugo"],
        "summary": summary,
        "description": description,
        "requestBody": {"required": needs_body, "content": json_of(asked)},
        "responses": {"200": answered, **{str(status): refused for status in REFUSED}},
    }
    return f"/api/{name}", {"post": operation}


def refusals() -> dict[str, Item]:
    """How what never came to be a call is answered."""
    told = {"error": {"code": 101, "message": "send `Authorization: Bearer <key>` …"}}
    content = {JSON: {"schema": _object(error=ERROR), "example": told}}
    words = "What never came to be a call: its key, its rate, its length; or no bus to ask."
    return {"CallRefused": {"description": words, "content": content}}


def narrow(schemas: Item) -> None:
    """Say what a channel is, and what may be published; a field nobody knows is refused."""
    for kind in STRUCTS:
        schema = schemas[kind.__name__]
        fields: Item = schema["properties"]
        for name in NOT_HERE:
            fields.pop(name, None)
        for name, rule in (("channel", "Room"), ("user", "Uid")):
            if name in fields:
                fields[name] = ref(rule)
        if "channels" in fields:
            fields["channels"]["items"] = ref("Room")
        if "data" in fields:
            fields["data"] = {"oneOf": [ref("MessageIn"), ref("Text")]}
            fields["idempotency_key"] = {"type": ["string", "null"], "maxLength": 64}
            schema["required"].append("data")
        schema["additionalProperties"] = False
