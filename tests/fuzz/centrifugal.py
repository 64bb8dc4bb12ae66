"""Any payload decodes to what the other form's decoder would be asked by the same commands, each
with its number, or raises a BadCommand that closes, and every refusal is read by its clients alike.

The first byte chooses the form. The package of a client that speaks both reads and writes Protobuf.
"""

import json
from contextlib import suppress
from typing import Any, Final

from centrifuge.protocol import client_pb2
from google.protobuf.message import DecodeError
from msgspec import structs

from chat.wire.dialects.centrifugal import CentrifugalJson
from chat.wire.dialects.centrifugal_protobuf import CentrifugalProtobuf, lengths, varint
from chat.wire.dialects.dialect import BadCommand
from chat.wire.foreign import Alive, Asked, Invalid, Unheard
from chat.wire.schema import Error, ErrorCode
from tests.fuzz import sentence

INVARIANT: Final = sentence(__doc__)
PB: Final[Any] = client_pb2


def wall() -> float:
    return 0.0


PROTOBUF: Final = CentrifugalProtobuf(wall)
JSON: Final = CentrifugalJson(PROTOBUF, wall)
SILENT: Final = (Alive, Unheard)
"""They get no answer."""


def check(data: bytes) -> None:
    binary, payload = bool(data and data[0] & 1), data[1:]
    dialect = PROTOBUF if binary else JSON
    try:
        asked = dialect.decode(payload)
    except BadCommand as bad:
        assert str(bad)
        assert bad.closes is not None
        return
    if binary:
        with suppress(DecodeError):  # of fields that nobody here reads
            assert list(map(meant, asked)) == list(map(meant, JSON.decode(in_json(payload))))
    for one in asked:
        assert isinstance(one, SILENT) or 0 < int(str(one.ref)) < 2**32
        answer(one)


def meant(one: Asked) -> Asked:
    """What is wrong is explained by what stands there."""
    return structs.replace(one, message="") if isinstance(one, Invalid) else one


def in_json(payload: bytes) -> bytes:
    """The same commands as lines, by the package."""
    return b"\n".join(
        json.dumps(plain(PB.Command.FromString(one))).encode() for one in lengths(payload)
    )


def plain(message: Any) -> dict[str, Any]:
    """A command's fields that are not default."""
    made: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is not None and not field.is_repeated:
            made[field.name] = plain(value)
        elif isinstance(value, bytes):
            made[field.name] = as_json(value)
        elif isinstance(value, int | str | bool):
            made[field.name] = value
    return made


def as_json(data: bytes) -> Any:
    """What stands in data; what is no JSON becomes what no request takes either."""
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError):
        return [None]


def answer(one: Asked) -> None:
    if isinstance(one, SILENT):
        return
    refusal = Error(ErrorCode.MUTED, "until tomorrow", one.ref)
    written, told = PROTOBUF.event(refusal), JSON.event(refusal)
    assert written is not None
    assert told is not None
    [reply] = [PB.Reply.FromString(part) for part in lengths(PROTOBUF.payload([written]))]
    line = json.loads(JSON.payload([told]))
    assert line["id"] == reply.id == one.ref
    assert line["error"] == {"code": reply.error.code, "message": reply.error.message}


def frame(*commands: Any) -> bytes:
    written = [command.SerializeToString() for command in commands]
    return b"\x01" + b"".join(varint(len(one)) + one for one in written)


SINCE: Final = PB.StreamPosition(offset=9, epoch="k3f9")
SEEDS: Final = [
    b"",
    b"\x00{}",
    b"\x01\x00",
    b'\x00{"id":1,"connect":{"token":"x","data":{"guest":"k"}}}\n{"id":2,"subscribe":{"channel":"a"}}',
    b'\x00{"id":3,"subscribe":{"channel":"a","recover":true,"epoch":"k","offset":9}}',
    b'\x00{"id":4,"publish":{"channel":"a","data":{"text":"\\ud800"}}}',
    b'\x00{"id":5,"history":{"channel":"a","limit":-1,"since":{"offset":1e3}}}',
    b'\x00{"id":4294967296,"ping":{}}',
    b'\x00{"id":1,"rpc":{"data":' + b"[" * 2_000 + b"]" * 2_000 + b"}}",
    b'\x00{"id":1,"publish":{"channel":"a","data":"\xff"}}',
    frame(PB.Command(id=1, connect=PB.ConnectRequest(token="x", data=b'{"name":"n"}'))),
    frame(PB.Command(id=1, subscribe=PB.SubscribeRequest(recover=True, offset=2**64 - 1))),
    frame(
        PB.Command(id=2, publish=PB.PublishRequest(channel="幕", data=b'{"text":"hi","size":30}')),
        PB.Command(id=3, publish=PB.PublishRequest(channel="a", data=b'"hi"')),
        PB.Command(id=2**32 - 1, publish=PB.PublishRequest(data=b"no json")),
    ),
    frame(PB.Command(id=4, history=PB.HistoryRequest(limit=-1, since=SINCE, reverse=True))),
    frame(PB.Command(id=5, unsubscribe=PB.UnsubscribeRequest(channel="a")), PB.Command()),
    frame(PB.Command(id=6, sub_refresh=PB.SubRefreshRequest(channel="a", token="t"))),
    frame(PB.Command(id=7, refresh=PB.RefreshRequest()), PB.Command(send=PB.SendRequest())),
    frame(PB.Command(id=8, presence=PB.PresenceRequest()), PB.Command(id=9, rpc=PB.RPCRequest())),
    frame(PB.Command(id=1, publish=PB.PublishRequest(data=b'{"text":"hi","\x80":1}'))),
    b"\x01\xff\xff\xff\xff\x0f",
    b"\x01\x80\x80\x80\x80\x80\x80",
    b"\x01\x03\x08\x01",
    b"\x01" + varint(202) + b"\x0b" * 101 + b"\x0c" * 101,
    b"\x01\x06\x08\x01\x2a\x02\x0a\x00\x06\x08\x01\x2a\x02\x0a\x01",
]  # fmt: skip
