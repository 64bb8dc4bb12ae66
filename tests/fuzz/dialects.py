"""Any payload decodes to a command that both native dialects can carry or raises BadCommand, and
the event that answers it is the same in both.

The first byte chooses the dialect. The plain packages that other people's clients use do the
writing of commands and the reading of events.
"""

import json
from collections.abc import Callable
from typing import Any, Final

import msgpack
import msgspec

from chat.wire.batch import batches, expand
from chat.wire.commands import (
    Auth,
    Command,
    History,
    Join,
    Leave,
    Like,
    Moderate,
    Ping,
    Report,
    Send,
)
from chat.wire.dialects.dialect import BadCommand, Dialect
from chat.wire.dialects.native import JSON, MSGPACK
from chat.wire.foreign import Alive, Connect, Invalid, LeaveAll, Read, Renew, Stats, Unheard
from chat.wire.schema import (
    Authed,
    Done,
    Error,
    Gap,
    Left,
    Likes,
    Message,
    Msg,
    Paged,
    Pong,
    ServerEvent,
)
from tests.fuzz import sentence

INVARIANT: Final = sentence(__doc__)


def dump_json(fields: Any) -> bytes:
    return json.dumps(fields).encode()


DIALECTS: Final[list[Dialect]] = [JSON, MSGPACK]
WRITE: Final[list[Callable[[Any], bytes]]] = [dump_json, msgpack.packb]
READ: Final[list[Callable[[bytes], Any]]] = [json.loads, msgpack.unpackb]
"""Beside DIALECTS."""


def check(data: bytes) -> None:
    dialect = DIALECTS[(data[0] if data else 0) % len(DIALECTS)]
    try:
        [command] = dialect.decode(data[1:])
    except BadCommand as bad:
        assert str(bad)
        event: ServerEvent = Error(bad.code, str(bad), bad.ref)
    else:
        foreign = Alive | Connect | Invalid | LeaveAll | Read | Renew | Stats | Unheard
        assert not isinstance(command, foreign), "no words of our own wire"
        for other, write in zip(DIALECTS, WRITE, strict=True):
            assert other.decode(write(msgspec.to_builtins(command))) == [command]
        event = answer(command)
    for other, read in zip(DIALECTS, READ, strict=True):
        written = other.event(event)
        assert written is not None
        assert read(other.payload([written])) == [msgspec.to_builtins(event)]


def answer(command: Command) -> ServerEvent:
    """An event with everything in it that the client wrote."""
    match command:
        case Ping(ref):
            return Pong(ref)
        case Leave(room, ref):
            return Left(room, ref)
        case Join(room, since):
            return Gap(room, since.epoch if since else "", since.seq if since else 0, 0)
        case Send(room, text, color, mode, size, id, ref):
            said = Msg(room, 1, "k-1", str(id), str(ref), text, color, mode, size, 0)
            [batch] = batches(room, "k", [said])
            assert list(expand(room, "k", batch.m, batch.seq)) == [said]
            return batch
        case History(room, before, limit, ref):
            written = [Message(before or 1, removed=True)] * min(limit, 3)
            return Paged(room, "k", written, before is None, ref)
        case Auth(token, ref, guest):
            return Authed(str(token), str(guest), "user", 0, ref)
        case Moderate(room, action, ref):
            return Done(room, action, ref)
        case Report(room, seq, reason, ref, epoch):
            return Done(room, f"{seq} {reason} {epoch}", ref)
        case Like(room, kind, count):
            return Likes(room, {kind: count})


COMMANDS: Final[list[Any]] = [
    {"t": "ping", "ref": 3},
    {"t": "ping", "ref": -(2**53)},
    {"t": "auth", "token": "x.y.z", "ref": 4},
    {"t": "leave", "room": "幕", "ref": "x" * 64},
    {"t": "join", "room": "live:42", "since": {"epoch": "k3f9", "seq": 1041, "ts": 5}, "ref": 1},
    {"t": "join", "room": "a", "since": None, "more": [{"x": 1.5}, True]},
    {"t": "send", "room": "a", "text": "前方高能 😀\x00\u2028", "color": 0xFFFFFF, "mode": "scroll",
     "size": 25, "id": "c-1", "ref": "r"},
    {"t": "send", "room": "a", "text": "x", "color": 0xFF0000, "mode": "top", "size": 30, "ref": 6},
    {"t": "history", "room": "a", "before": 9, "limit": 100, "ref": 8},
    {"t": "history", "room": "a", "limit": 101},
    {"t": "send", "room": "a", "text": "x", "mode": "under", "ref": 7},
    {"t": "report", "room": "a", "seq": 2**53, "reason": "粗话", "ref": 5,
     "epoch": "k3f9"},
    {"t": "send", "room": "a", "text": 5, "ref": 2**53 + 1},
    {"t": "moderate", "room": "a", "action": "mute", "uid": "u7", "seconds": 60.0, "reason": "幕"},
    {"t": "moderate", "room": "a", "action": "settings", "pinned": None, "uid": None},
    {"t": "like", "room": "a", "kind": "heart", "count": 100.0, "ref": 9},
    {"t": "like", "room": "a", "kind": "No", "count": 101},
    {"t": "shout\n'😀", "ref": [1]},
    {"room": "a"},
    [],
]  # fmt: skip

SEEDS: Final = [
    b"",
    *(bytes((which,)) + WRITE[which](fields) for fields in COMMANDS for which in range(2)),
    b'\x00 {"\\u0074" : "send","room":"\\ud83d\\ude00","text":"\\ud800"} ',
    b'\x00{"t":"ping","\\ud800":1,"ref":2}',
    b'\x00{"t":"ping","ref":1e999}',
    b'\x00{"t":"ping","ref":' + b"9" * 400 + b"}",
    b'\x00{"t":"ping","ref":1}{"t":"ping"}',
    b'\x00\xef\xbb\xbf{"t":"ping"}',
    b'\x00{"t":"leave","room":"\xff"}',
    b"\x00" + b"[" * 2_000 + b"]" * 2_000,
    b"\x01" + b"\x91" * 1_500 + b"\xc0",
    b"\x01\xdf\xff\xff\xff\xff\xa1t",
    b"\x01\xc6\xff\xff\xff\xff",
    b"\x01\x82\xa1t\xa4ping\xa3ref\xa3\xed\xa0\x80",
    b"\x01\x82\xa1t\xa4ping\xa3ref\xd7\xff" + b"\xff" * 8,  # a timestamp
    b"\x01\x82\xa1t\xa4ping\xa3ref\xcb\x7f\xf8" + b"\x00" * 6,  # NaN
    b"\x01\x81\x90\xc0",  # a key that cannot be hashed
    b"\x01\x82\xa1t\xc4\x04ping\xa3ref\x07",
]
