"""Moderation in the OpenAPI document: its paths, and the bodies they take and give.

Rules. As in `openapi`: the Structs describe themselves; here are sentences, and what goes where.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chat.api import rulings as r
from chat.api.operations import integer, operation, parameter, reason, ref
from chat.policy.identity import MAX_UID

STRUCTS: Final = (
    *(r.SanctionIn, r.KickIn, r.SettingsIn),
    *(r.MuteOut, r.MutesOut, r.BanOut, r.BansOut, r.AddressBanOut, r.AddressBansOut),
    *(r.KickOut, r.TakenBackOut, r.ClearedOut, r.SettingsOut),
    *(r.UserOut, r.DisconnectedOut, r.AuditOut, r.ReportsOut, r.DealtOut),
)
READ: Final = (400, 401, 403, 429, 503)
WRITE: Final = (400, 401, 403, 408, 413, 415, 429, 503)
"""How what has a body is refused."""

Item = dict[str, Any]


def paths(room: Item) -> dict[str, Item]:
    """All paths of moderation; `room` is the parameter of those in a room."""
    uid = _name("uid", "whose; percent-encoded, a slash too")
    address = _name("address", "an address, or a network in CIDR notation, percent-encoded")
    here = "/v1/rooms/{room}"
    return {
        f"{here}/mutes": {"parameters": [room], "get": _list("mutes in a room", r.MutesOut)},
        f"{here}/mutes/{{uid}}": {
            "parameters": [room, uid],
            "put": _put("Mute in a room", "What the user types there is refused.", r.MuteOut),
            "delete": _lift("Unmute in a room", r.MuteOut),
        },
        "/v1/mutes": {"get": _list("mutes everywhere", r.MutesOut)},
        "/v1/mutes/{uid}": {
            "parameters": [uid],
            "put": _put("Mute everywhere", "What the user types is refused.", r.MuteOut),
            "delete": _lift("Unmute everywhere", r.MuteOut),
        },
        f"{here}/bans": {"parameters": [room], "get": _list("bans in a room", r.BansOut)},
        f"{here}/bans/{{uid}}": {
            "parameters": [room, uid],
            "put": _put("Ban from a room", "The user leaves it and is not let in.", r.BanOut),
            "delete": _lift("Unban in a room", r.BanOut),
        },
        "/v1/bans": {"get": _list("bans everywhere", r.BansOut)},
        "/v1/bans/{uid}": {
            "parameters": [uid],
            "put": _put("Ban everywhere", "The user's connections are closed.", r.BanOut),
            "delete": _lift("Unban everywhere", r.BanOut),
        },
        "/v1/bans/addresses": {"get": _list("banned addresses", r.AddressBansOut)},
        "/v1/bans/addresses/{address}": {
            "parameters": [address],
            "put": _put("Ban an address", "Its connections are closed.", r.AddressBanOut),
            "delete": _lift("Unban an address", r.AddressBanOut),
        },
        f"{here}/kicks": {
            "parameters": [room],
            "post": _moderate(
                "Kick out of a room",
                "The user leaves it, and may come back after a minute.",
                r.KickOut,
                WRITE,
                _body(r.KickIn),
            ),
        },
        f"{here}/messages/{{seq}}": {
            "parameters": [room, parameter("seq", "path", integer(1, 2**53), "which message")],
            "delete": _moderate(
                "Take a message back",
                "Viewers are told to remove it.",
                r.TakenBackOut,
                READ,
                parameters=[reason()],
            ),
        },
        f"{here}/settings": {
            "parameters": [room],
            "get": _moderate(
                "See a room's settings",
                "All of them; its words to a key that may moderate.",
                r.SettingsOut,
                READ,
            ),
            "patch": _moderate(
                "Change a room's settings",
                "Those that are named; viewers are told. Owners and words are all there are.",
                r.SettingsOut,
                WRITE,
                _body(r.SettingsIn),
            ),
        },
        "/v1/users/{uid}": {
            "parameters": [uid],
            "get": _moderate(
                "See a user",
                "Connections and rooms, asked of all shards; mutes and bans. The audit has who "
                "asked for addresses.",
                r.UserOut,
                READ,
                parameters=[
                    parameter("addresses", "query", {"type": "boolean"}, "from where it came, too")
                ],
            ),
        },
        "/v1/users/{uid}/connections": {
            "parameters": [uid],
            "delete": _moderate(
                "Close a user's connections",
                "With 4505; the user may come back after a minute.",
                r.DisconnectedOut,
                READ,
                parameters=[reason()],
            ),
        },
        "/v1/audit": {"get": _log("See what moderators did", r.AuditOut, [_before()])},
        "/v1/reports": {"get": _log("See what viewers reported", r.ReportsOut)},
        "/v1/reports/{id}": {
            "parameters": [_name("id", "of a report")],
            "delete": _moderate(
                "Deal with a report",
                "It is taken out of the queue.",
                r.DealtOut,
                READ,
                parameters=[reason()],
            ),
        },
    }


def clear() -> Item:
    """Taking back a room's messages, which are published and read under the same path."""
    whose = {"type": "string", "minLength": 1, "maxLength": MAX_UID}
    return _moderate(
        "Take messages back",
        "All so far, or those of one user; viewers are told to remove them.",
        r.ClearedOut,
        READ,
        parameters=[
            parameter("uid", "query", whose, "whose; without, everybody's"),
            reason(),
        ],
    )


def _moderate(
    summary: str,
    description: str,
    answer: type[msgspec.Struct],
    refusals: tuple[int, ...],
    body: Item | None = None,
    parameters: list[Item] | None = None,
    needs_body: bool = True,
) -> Item:
    return operation(
        *(summary, description, answer, refusals, body, parameters, "moderation", needs_body)
    )


def _put(summary: str, description: str, answer: type[msgspec.Struct]) -> Item:
    words = f"{description} Again, it is as said last. Without a body, for good."
    return _moderate(summary, words, answer, WRITE, _body(r.SanctionIn), needs_body=False)


def _lift(summary: str, answer: type[msgspec.Struct]) -> Item:
    words = "Whether it was so or not, it is not any more."
    return _moderate(summary, words, answer, READ, None, [reason()])


def _list(what: str, answer: type[msgspec.Struct]) -> Item:
    behind = parameter("after", "query", {"type": "string"}, "the `next` of the page before")
    return _moderate(
        f"See {what}",
        "By name. Page on with `after` = `next`.",
        answer,
        READ,
        None,
        _paging(behind),
    )


def _log(summary: str, answer: type[msgspec.Struct], more: Sequence[Item] = ()) -> Item:
    schema = {"type": "string", "pattern": "^[0-9]{1,20}-[0-9]{1,20}$"}
    behind = parameter("after", "query", schema, "the `next` of the page before")
    words = "Newest last. Page on with `after` = `next`."
    return _moderate(summary, words, answer, READ, None, [*_paging(behind), *more])


def _before() -> Item:
    schema = {"type": "string", "pattern": "^(end|[0-9]{1,20}-[0-9]{1,20})$"}
    words = "instead of `after`: newest first, from `end` or the `next` of the page before"
    return parameter("before", "query", schema, words)


def _paging(behind: Item) -> list[Item]:
    return [behind, parameter("limit", "query", integer(1, 1000), "at most so many")]


def _name(name: str, text: str) -> Item:
    return parameter(name, "path", {"type": "string", "minLength": 1}, text)


def _body(kind: type[msgspec.Struct]) -> Item:
    return {"application/json": {"schema": ref(kind.__name__)}}
