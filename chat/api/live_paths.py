"""What goes on, in the OpenAPI document: nodes, rooms, users, moderators; asked or followed.

Rules. As in `openapi`: the Structs describe themselves; here are sentences, and what goes where.
What a stream tells are these Structs, too, each under the name of its event.
"""

from typing import Any, Final

from msgspec import Struct

from chat.api.models import RemovedOut, RoomDetailOut, RoomOut
from chat.api.operations import EVENTS, JSON, integer, operation, parameter, ref
from chat.api.rulings import AuditEntryOut
from chat.bus.inquiry import MOST_FOUND
from chat.wire.schema import Clear, Delete, Msg, State

TAG: Final = "live"
MAX_SEARCH: Final = 64
MOST_FOLLOWED: Final = 8
"""Rooms of one stream."""
SEEN: Final = r"[^\s\x1C-\x1F\x85]"
"""What is more than space, in every engine's opinion."""
Item = dict[str, Any]


class KeyOut(Struct):
    """The key that a request was made with: what the configuration calls it, and what it opens."""

    key: str
    scopes: list[str]


class ShardOut(Struct):
    """A shard now.

    serving      its loop runs; not while it is started again, nor while it is stopped
    starts       its lives: 1 if it has never died
    loop_lag_ms  how late its loop came at worst in the last ten seconds, rounded up to the next of
                 0.5, 1, 2, 4, … ms
    """

    shard: int
    serving: bool
    starts: int
    connections: int
    rooms: int
    slow_readers: int
    backlog_bytes: int
    loop_lag_ms: float
    bus_connected: bool


class RatesOut(Struct):
    """What goes on a second, over the last two seconds, of all shards of a node.

    received, published  viewers' messages asked to be published, and those that got a place
    delivered, writes    messages times their viewers; writes to sockets
    shed                 messages times the viewers that rooms' display budgets left them out for
    dropped              frames that viewers did not get, by reason, as in `/metrics`; and so are
    refused              commands and messages answered with an error,
    turned_away          connections that got no further than their request, and
    closed               connections that the server ended
    """

    received: float = 0.0
    published: float = 0.0
    delivered: float = 0.0
    writes: float = 0.0
    sent_bytes: float = 0.0
    joins: float = 0.0
    shed: float = 0.0
    dropped: dict[str, float] = {}
    refused: dict[str, float] = {}
    turned_away: dict[str, float] = {}
    closed: dict[str, float] = {}


class NodeOut(Struct):
    """A node, as it told of itself in the last ten seconds.

    node       host and port of the WebSocket
    streams    live streams that are open here, of which `most_streams` may be
    """

    node: str
    version: str
    streams: int
    most_streams: int
    shards: list[ShardOut]
    rates: RatesOut


class NodesOut(Struct):
    """All nodes, by name; `bus` is whether Redis answered, without which it is this node only."""

    nodes: list[NodeOut]
    bus: bool = True


class RoomNowOut(RoomOut):
    """And how far its messages have come: two of these tell how many there are a second."""

    seq: int


class RoomsNowOut(Struct):
    """The fifty fullest rooms; event `rooms`."""

    rooms: list[RoomNowOut]


class HelloOut(Struct):
    """A stream begins; event `hello`. It brings what the key's scopes open: `nodes` for `metrics`,
    `rooms` for `read`, `audit` for `moderate`, each every `every_s` seconds or when there is
    something."""

    key: str
    scopes: list[str]
    node: str
    version: str
    every_s: float


class AuditedOut(Struct):
    """What moderators did since, oldest first, and how many reports wait; event `audit`."""

    entries: list[AuditEntryOut]
    reports: int


class LinesOut(Struct):
    """What took a place in a room, oldest first; event `lines`. The room is at (epoch, seq).

    `anew`: it is the room's end as it is now, and what was told before is void. The first is, and
    one after the room began another epoch. Of others some may have been told before: go by `seq`.
    """

    room: str
    epoch: str
    seq: int
    anew: bool
    lines: list[Msg | Delete | Clear | State | RemovedOut]


class GoodbyeOut(Struct):
    """Why a stream ends; event `end`. `slow`: its reader was too slow; `draining`: the node ends.
    Come again, and have everything anew."""

    reason: str


class FoundUserOut(Struct):
    """A user or guest that is connected: `count` connections, in these rooms."""

    uid: str
    name: str
    role: str
    count: int
    rooms: list[str]


class UsersOut(Struct):
    """Who is connected, on all nodes, and has the text in uid or name; by name. `more`: there are
    more than were asked for. Otherwise as of one user."""

    users: list[FoundUserOut]
    more: bool
    complete: bool
    answered: int
    known: int


STRUCTS: Final = (
    *(KeyOut, NodesOut, RoomsNowOut, HelloOut, AuditedOut, LinesOut, GoodbyeOut, UsersOut),
)


def paths(room: Item) -> dict[str, Item]:
    """All paths of what goes on; `room` is the parameter of those in a room."""
    return {
        "/v1/key": {
            "get": operation(
                "getKey",
                "See what a key opens",
                "Any key of this server's will do.",
                KeyOut,
                tag=TAG,
            )
        },
        "/v1/nodes": {
            "get": operation(
                "listNodes",
                "See nodes and shards",
                "With what goes on a second, by reason where something is left out.",
                NodesOut,
                tag=TAG,
            )
        },
        "/v1/users": {
            "get": operation(
                "searchUsers",
                "Search who is connected",
                "By a part of uid or name, in any case; asked of all shards. Of very many a shard "
                "lists some.",
                UsersOut,
                parameters=[
                    _looked_for(),
                    parameter(
                        *("limit", "query", integer(1, MOST_FOUND)),
                        *("at most so many; 50, if not said", 20),
                    ),
                ],
                tag=TAG,
            )
        },
        "/v1/live": {
            "get": _stream(
                "follow",
                "Follow what goes on",
                "A stream of server-sent events, `hello` first: what the key may see of `nodes`, "
                "`rooms` and `audit`, until the connection ends or `end` says why.",
                {
                    "hello": HelloOut,
                    "nodes": NodesOut,
                    "rooms": RoomsNowOut,
                    "audit": AuditedOut,
                    "end": GoodbyeOut,
                },
            )
        },
        "/v1/rooms/{room}/live": {
            "parameters": [_followed()],
            "get": _stream(
                "followRoom",
                "Follow rooms",
                "A stream of server-sent events: `lines`, what takes a place in a room, and "
                "`room`, its viewers. Whoever follows is none of them.",
                {"lines": LinesOut, "room": RoomDetailOut, "end": GoodbyeOut},
            ),
        },
    }


def _looked_for() -> Item:
    """What is searched for, which nobody may leave out."""
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_SEARCH, "pattern": SEEN}
    words = "what uid or name have in them, without the spaces around it"
    return parameter("q", "query", schema, words, "u7") | {"required": True}


def _followed() -> Item:
    """One room, or several."""
    schema = {"type": "array", "items": ref("Room"), "minItems": 1, "maxItems": MOST_FOLLOWED}
    return parameter("room", "path", schema, "rooms' names, with commas between", ["live:42"])


def _stream(name: str, summary: str, description: str, events: dict[str, type[Struct]]) -> Item:
    made = operation(name, summary, description, GoodbyeOut, tag=TAG)
    schema = {"oneOf": [_event(event, kind) for event, kind in events.items()]}
    made["responses"]["200"] = {
        "description": "Each event is one of these.",
        "content": {EVENTS: {"schema": schema}},
    }
    return made


def _event(name: str, kind: type[Struct]) -> Item:
    """An event as OpenAPI 3.2 has it: its fields, of which `data` is a text that is JSON."""
    data = {"type": "string", "contentMediaType": JSON, "contentSchema": ref(kind.__name__)}
    return {
        "type": "object",
        "properties": {"event": {"const": name}, "data": data},
        "required": ["event", "data"],
    }
