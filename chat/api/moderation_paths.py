"""Moderation in the OpenAPI document: its paths, and the bodies they take and give.

Rules. As in `openapi`: the Structs describe themselves; here are sentences, and what goes where.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chat.api import rulings as r
from chat.api.operations import actor, integer, json_of, operation, parameter, reason, ref

STRUCTS: Final = (
    *(r.SanctionIn, r.KickIn, r.SettingsIn),
    *(r.MuteOut, r.MutesOut, r.BanOut, r.BansOut, r.AddressBanOut, r.AddressBansOut),
    *(r.KickOut, r.TakenBackOut, r.ClearedOut, r.SettingsOut),
    *(r.UserOut, r.DisconnectedOut, r.AuditOut, r.ReportsOut, r.DealtOut),
)
TAG: Final = "moderation"

Item = dict[str, Any]


def paths(room: Item) -> dict[str, Item]:
    """All paths of moderation; `room` is the parameter of those in a room."""
    uid = parameter("uid", "path", ref("Uid"), "whose; percent-encoded, a slash too", "u7")
    words = "an address, or a network in CIDR notation, percent-encoded"
    address = parameter("address", "path", ref("Network"), words, "192.0.2.0/24")
    here = "/v1/rooms/{room}"
    return {
        f"{here}/mutes": {
            "parameters": [room],
            "get": _list("listRoomMutes", "mutes in a room", r.MutesOut),
        },
        f"{here}/mutes/{{uid}}": {
            "parameters": [room, uid],
            "put": _put(
                "muteInRoom", "Mute in a room", "What the user types there is refused.", r.MuteOut
            ),
            "delete": _lift("unmuteInRoom", "Unmute in a room", r.MuteOut),
        },
        "/v1/mutes": {"get": _list("listMutes", "mutes everywhere", r.MutesOut)},
        "/v1/mutes/{uid}": {
            "parameters": [uid],
            "put": _put("mute", "Mute everywhere", "What the user types is refused.", r.MuteOut),
            "delete": _lift("unmute", "Unmute everywhere", r.MuteOut),
        },
        f"{here}/bans": {
            "parameters": [room],
            "get": _list("listRoomBans", "bans in a room", r.BansOut),
        },
        f"{here}/bans/{{uid}}": {
            "parameters": [room, uid],
            "put": _put(
                "banFromRoom", "Ban from a room", "The user leaves it and is not let in.", r.BanOut
            ),
            "delete": _lift("unbanInRoom", "Unban in a room", r.BanOut),
        },
        "/v1/bans": {"get": _list("listBans", "bans everywhere", r.BansOut)},
        "/v1/bans/{uid}": {
            "parameters": [uid],
            "put": _put("ban", "Ban everywhere", "The user's connections are closed.", r.BanOut),
            "delete": _lift("unban", "Unban everywhere", r.BanOut),
        },
        "/v1/bans/addresses": {
            "get": _list("listAddressBans", "banned addresses", r.AddressBansOut)
        },
        "/v1/bans/addresses/{address}": {
            "parameters": [address],
            "put": _put(
                "banAddress", "Ban an address", "Its connections are closed.", r.AddressBanOut
            ),
            "delete": _lift("unbanAddress", "Unban an address", r.AddressBanOut),
        },
        f"{here}/kicks": {
            "parameters": [room],
            "post": _moderate(
                "kick",
                "Kick out of a room",
                "The user leaves it, and may come back after a minute.",
                r.KickOut,
                body=json_of(r.KickIn),
            ),
        },
        f"{here}/messages/{{seq}}": {
            "parameters": [room, parameter("seq", "path", integer(1, 2**53), "which message", 1)],
            "delete": _moderate(
                "removeMessage",
                "Take a message back",
                "Viewers are told to remove it.",
                r.TakenBackOut,
                parameters=[reason(), actor()],
            ),
        },
        f"{here}/settings": {
            "parameters": [room],
            "patch": _moderate(
                "changeSettings",
                "Change a room's settings",
                "Those that are named; viewers are told. Owners and words are all there are.",
                r.SettingsOut,
                body=json_of(r.SettingsIn),
            ),
            "get": _moderate(
                "getSettings",
                "See a room's settings",
                "All of them; its words to a key that may moderate.",
                r.SettingsOut,
            ),
        },
        "/v1/users/{uid}": {
            "parameters": [uid],
            "get": _moderate(
                "getUser",
                "See a user",
                "Connections and rooms, asked of all shards; mutes and bans. The audit has who "
                "asked for addresses.",
                r.UserOut,
                parameters=[
                    parameter(
                        *("addresses", "query", {"type": "boolean"}),
                        *("from where it came, too", False),
                    ),
                    actor(),
                ],
            ),
        },
        "/v1/users/{uid}/connections": {
            "parameters": [uid],
            "delete": _moderate(
                "disconnectUser",
                "Close a user's connections",
                "With 4505; the user may come back after a minute.",
                r.DisconnectedOut,
                parameters=[reason(), actor()],
            ),
        },
        "/v1/audit": {"get": _log("getAudit", "See what moderators did", r.AuditOut, [_before()])},
        "/v1/reports": {"get": _log("listReports", "See what viewers reported", r.ReportsOut)},
        "/v1/reports/{id}": {
            "parameters": [
                parameter("id", "path", ref("EntryId"), "of a report", "1764000000123-0")
            ],
            "delete": _moderate(
                "dealWithReport",
                "Deal with a report",
                "It is taken out of the queue.",
                r.DealtOut,
                parameters=[reason(), actor()],
            ),
        },
    }


def narrow(schemas: Item) -> None:
    """Say that of an announcement something is to be seen; null takes it down."""
    told = {"anyOf": [ref("Announcement"), {"type": "null"}]}
    schemas["SettingsIn"]["properties"]["announcement"] = told


def clear() -> Item:
    """Taking back a room's messages, which are published and read under the same path."""
    return _moderate(
        "clearRoom",
        "Take messages back",
        "All so far, or those of one user; viewers are told to remove them.",
        r.ClearedOut,
        parameters=[
            parameter("uid", "query", ref("Uid"), "whose; without, everybody's", "u7"),
            reason(),
            actor(),
        ],
    )


def _moderate(
    name: str,
    summary: str,
    description: str,
    answer: type[msgspec.Struct],
    body: Item | None = None,
    parameters: Sequence[Item] = (),
    needs_body: bool = True,
) -> Item:
    if body is not None:
        parameters = [*parameters, actor()]
    return operation(name, summary, description, answer, body, parameters, TAG, needs_body)


def _put(name: str, summary: str, description: str, answer: type[msgspec.Struct]) -> Item:
    words = f"{description} Again, it is as said last. Without a body, for good."
    return _moderate(name, summary, words, answer, json_of(r.SanctionIn), needs_body=False)


def _lift(name: str, summary: str, answer: type[msgspec.Struct]) -> Item:
    words = "Whether it was so or not, it is not any more."
    return _moderate(name, summary, words, answer, parameters=[reason(), actor()])


def _list(name: str, what: str, answer: type[msgspec.Struct]) -> Item:
    behind = parameter("after", "query", {"type": "string"}, "the `next` of the page before")
    words = "By name. Page on with `after` = `next`."
    return _moderate(name, f"See {what}", words, answer, parameters=_paging(behind))


def _log(name: str, summary: str, answer: type[msgspec.Struct], more: Sequence[Item] = ()) -> Item:
    behind = parameter("after", "query", ref("EntryPlace"), "the `next` of the page before", "0-0")
    words = "Newest last. Page on with `after` = `next`."
    return _moderate(name, summary, words, answer, parameters=[*_paging(behind), *more])


def _before() -> Item:
    schema = {"anyOf": [{"const": "end"}, ref("EntryPlace")]}
    words = "newest first, from `end` or the `next` of the page before; with `after` down to there"
    return parameter("before", "query", schema, words, "end")


def _paging(behind: Item) -> list[Item]:
    words = "at most so many; 100, if not said"
    return [behind, parameter("limit", "query", integer(1, 1000), words, 50)]
