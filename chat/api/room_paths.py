"""Rooms in the OpenAPI document: publishing, histories, viewers, broadcasts.

Rules. As in `openapi`: the Structs describe themselves; here are sentences, what goes where, and
which fields of a broadcast go together.
"""

from typing import Any, Final

from chat.api import moderation_paths
from chat.api.models import (
    MAX_NOTICES,
    MAX_PRODUCT,
    MAX_TARGETS,
    BroadcastIn,
    BroadcastOut,
    HistoryOut,
    MessageIn,
    PublishedOut,
    RoomDetailOut,
    RoomsOut,
)
from chat.api.operations import JSON, integer, json_of, operation, parameter, ref

STRUCTS: Final = (
    BroadcastIn,
    BroadcastOut,
    HistoryOut,
    MessageIn,
    PublishedOut,
    RoomDetailOut,
    RoomsOut,
)
NDJSON: Final = "application/x-ndjson"
"""Of what JSON by the line is called, the name that most use."""
Item = dict[str, Any]


def paths(room: Item) -> dict[str, Item]:
    """All paths of rooms; `room` is the parameter of those in one."""
    return {
        "/v1/rooms/{room}/messages": {
            "parameters": [room],
            "post": _publish(),
            "get": _history(),
            "delete": moderation_paths.clear(),
        },
        "/v1/rooms/{room}": {
            "parameters": [room],
            "get": operation(
                "getRoom", "See a room", "Its position, viewers and likes.", RoomDetailOut
            ),
        },
        "/v1/rooms": {
            "get": operation(
                "listRooms",
                "See the fullest rooms",
                "By viewers on all nodes, as last reported.",
                RoomsOut,
                parameters=[parameter("top", "query", integer(1, 1000), "how many rooms", 10)],
            )
        },
        "/v1/broadcast": {
            "post": operation(
                "broadcast",
                "Publish to many",
                f"To at most {MAX_TARGETS} rooms as messages, at most {MAX_PRODUCT} messages times "
                f"rooms at once; to everyone, or to at most {MAX_TARGETS} users, as notices, at "
                f"most {MAX_NOTICES} at once.",
                BroadcastOut,
                json_of(BroadcastIn),
                more=(409,),
            )
        },
    }


def _publish() -> Item:
    message = ref("MessageIn")
    many = {"type": "array", "items": message, "minItems": 1}
    one_or_many = {JSON: {"schema": {"oneOf": [message, many]}}}
    return operation(
        "publish",
        "Publish to a room",
        "One message, an array of them (all or none), or lines of any number. Lines are published "
        "while they come: when there are 500, or when the first has waited 30 ms. The good ones "
        "are published, the bad ones listed; when none is good, or there is none, that is a 400.",
        PublishedOut,
        one_or_many | {NDJSON: {"schema": message}},
        more=(409,),
    )


def _history() -> Item:
    return operation(
        "getHistory",
        "Read a room's history",
        "Oldest first. Page on with `after` = `next`.",
        HistoryOut,
        parameters=[
            parameter("after", "query", integer(0, 2**53), "messages after this seq", 0),
            parameter("limit", "query", integer(1, 500), "at most so many; 100, if not said", 50),
        ],
    )


def narrow(schemas: Item) -> None:
    """Say of a broadcast which of its fields go together: to whom, and what."""
    notices = {"messages": {"maxItems": MAX_NOTICES}}
    whom = [
        {"properties": {"rooms": {"type": "array"}}, "required": ["rooms"]},
        {"properties": {"users": {"type": "array"}, **notices}, "required": ["users"]},
        {"properties": {"all": {"const": True}, **notices}, "required": ["all"]},
    ]
    one = {"properties": {"message": {"type": "object"}}, "required": ["message"]}
    many = {"properties": {"messages": {"type": "array"}}, "required": ["messages"]}
    schemas["BroadcastIn"]["allOf"] = [{"oneOf": whom}, {"oneOf": [one, many]}]
