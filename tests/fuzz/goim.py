"""Any message of a goim client is commands of ours, or closes its connection; and whatever is
answered to them is packets whose lengths are those of what is there.

The first byte chooses the way a client is spoken to.
"""

from struct import unpack_from
from typing import Any, Final

from chat.wire.commands import Join, Ping
from chat.wire.dialects.dialect import BadCommand
from chat.wire.dialects.goim import dialects
from chat.wire.foreign import Connect, Counted, Invalid, LeaveAll, Stats, Told
from chat.wire.schema import Error, ErrorCode, Joined, Message, Msgs, Pong, Welcome
from tests.chat.goimclient import packet, packets
from tests.fuzz import sentence

INVARIANT: Final = sentence(__doc__)
MAX_BODY: Final = 4096
ALL: Final = dialects("live:{}")


def check(data: bytes) -> None:
    dialect = ALL[(data[0] if data else 0) % len(ALL)]
    try:
        commands = dialect.decode(data[1:])
    except BadCommand as bad:
        assert bad.closes is not None
        return
    length, header = unpack_from(">IH", data, 1)
    assert (length, header) == (len(data) - 1, 16)
    assert length - header <= MAX_BODY
    assert commands
    written = []
    for command in commands:
        if isinstance(command, Join) and isinstance(command.ref, str):
            joined = dialect.joined(Joined(command.room, "e", 1, 2, False, []), None)
            assert joined is not None
            written.append(dialect.answering(joined, command.ref))
        one = dialect.event(answer(command))
        written += [] if one is None else [one]
    for one in [*written, b"".join(written)]:
        for read in packets(dialect.payload([one])):
            assert read.version in (0, 1)


def answer(command: Any) -> Told:
    """An event with what the client wrote."""
    match command:
        case Connect():
            assert command.speaks in ALL
            return Welcome("c", "u", "n", "guest", 30, ref=command.ref)
        case Stats():
            return Counted("live:1", 2**40, command.ref)
        case Ping() | LeaveAll():
            return Pong(command.ref)
        case Join():
            assert command.room
            said = Message(uid=command.room[:64], text=command.room, ts=1)
            return Msgs(command.room, "e", 1, 1, [said])
        case Invalid():
            return Error(ErrorCode.BANNED, command.message)
    raise AssertionError(f"{command} is no command of theirs")


def auth(body: str) -> bytes:
    return packet(7, body.encode())


SEEDS: Final = [
    b"",
    b"\x00",
    *(b"%c" % which + packet(2, b"[object Object]", seq=2**32 - 1) for which in range(3)),
    b"\x00" + auth('{"uid":0,"roomid":42,"protover":3,"platform":"web","type":2,"key":"a.b.c"}'),
    b"\x01" + auth('{"mid":5,"room_id":"live://1000","accepts":[1000,1001],"protover":2}'),
    b"\x02" + auth('{"roomid":"007","key":null,"protover":1e0}'),
    b"\x02" + auth('{"roomid":' + "9" * 4000 + "}"),
    b"\x02" + auth('{"roomid":-1}'),
    b"\x02" + auth('{"room_id":"\\ud800","key":"\\ud83d\\ude00"}'),
    b"\x02" + auth("[" * 4000),
    b"\x00" + packet(12, "live://幕".encode()),
    b"\x00" + packet(12, b""),
    b"\x00" + packet(12, b"\xff"),
    b"\x01" + packet(14, b"1000,1001" * 400),
    b"\x01" + packet(16, b"a:b:c"),
    b"\x01" + packet(5, b"{}"),
    b"\x01" + packet(99, b"{}"),
    b"\x02" + packet(14, b"x" * 4097),
    b"\x02" + packet(2)[:15],
    b"\x02" + packet(2) + packet(2),
    b"\x02\xff\xff\xff\xff" + packet(2)[4:],
    b"\x02" + packet(2)[:4] + b"\x00\x0f" + packet(2)[6:],
]
