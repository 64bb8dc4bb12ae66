"""Any bytes, however split, give the same events, none longer than allowed, and at most the same
one ProtocolError, and no buffer stays on loan.

The first flag is whether compression was agreed on, the others are how many frames that are no
message may be among them, of which no more are told of.
"""

from typing import Final

from shard.closecodes import CloseCode
from shard.frames import BINARY, CLOSE, COMPRESSED, CONT, PING, PONG, TEXT
from tests.fuzz import sentence
from tests.fuzz.splits import pack, unpack
from tests.shard.parsing import LIMIT, MANY, parse
from tests.shard.wire import client_frame, close_frame

INVARIANT: Final = sentence(__doc__)

SNOW: Final = "雪".encode()


def check(data: bytes) -> None:
    flags, pieces = unpack(data)
    compression = bool(flags & 1)
    body = b"".join(pieces)
    most = flags >> 1 or MANY
    whole = parse([body], compression, most)
    told = sum(opcode in (PING, PONG) for opcode, _ in whole.events)
    assert told <= whole.controls <= most + (whole.code == CloseCode.FLOODING)
    for opcode, payload in whole.events:
        assert len(payload) <= (125 if CLOSE <= opcode <= PONG else LIMIT)
        assert compression or not opcode & COMPRESSED
    assert parse(pieces, compression, most) == whole, f"other events in {[*map(len, pieces)]}"
    single = [body[i : i + 1] for i in range(len(body))]
    assert parse(single, compression, most) == whole, "other events byte by byte"


SEEDS: Final = [
    b"",
    pack(client_frame(TEXT, b"Hello"), 1, 1, 4, 2),
    pack(client_frame(TEXT, SNOW) + client_frame(BINARY, b"\xff"), 7),
    pack(client_frame(TEXT, SNOW[:1], fin=False) + client_frame(CONT, SNOW[1:]), 6, 3),
    pack(
        client_frame(BINARY, b"a", fin=False) + client_frame(PING, b"?") + client_frame(CONT, b"b"),
        *(8, 4),
    ),
    pack(client_frame(TEXT, fin=False) + client_frame(CONT, fin=False) + client_frame(CONT), 6),
    pack(client_frame(TEXT, b"\xca\x49\x04\x00", rsv=COMPRESSED), 3, flags=1),
    pack(
        client_frame(TEXT, b"\xca", rsv=COMPRESSED, fin=False) + client_frame(CONT, b"\x49\x04\0"),
        flags=1,
    ),
    pack(client_frame(TEXT, b"x", rsv=COMPRESSED)),
    pack(client_frame(BINARY, b"x" * 125) + client_frame(BINARY, b"y" * 126), 130, 2, 2, 40),
    pack(client_frame(BINARY, b"x" * LIMIT), 3, 200, 200),
    pack(client_frame(BINARY, b"x" * LIMIT, fin=False) + client_frame(CONT, b"y"), 255),
    pack(b"\x82\xfe\x00\x7d"),
    pack(b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00", 5),
    pack(b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", 9),
    pack(b"\x81\x05Hello"),
    pack(client_frame(TEXT, b"ok\xff")),
    pack(client_frame(TEXT, SNOW[:2], fin=False) + client_frame(CONT)),
    pack(client_frame(PING) * 3 + client_frame(TEXT, b"a", fin=False) * 2, 6, 6, flags=4),
    pack(client_frame(TEXT, fin=False) + client_frame(CONT, fin=False) * 9, 8, flags=10),
    pack(client_frame(PONG, b"x" * 125) + close_frame(4999, SNOW) + b"\xff", 131, 6),
    pack(client_frame(CLOSE) + client_frame(PING)),
    pack(close_frame(1005)),
    pack(close_frame(1000, b"\xff"), 9),
]
