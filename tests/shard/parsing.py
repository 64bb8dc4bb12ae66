"""One way to run the frame parser, for the tests with literal bytes and the random ones.

The bytes are fed from a scratch buffer that is overwritten after each read, as a group's is, so an
event that still pointed into it would change. Whatever the short way takes has to be what the long
one makes of it. After each run no buffer may be on loan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pool.buffers import BufferPool
from shard.closecodes import CloseCode, ProtocolError
from shard.frames import CLOSE, Event, FrameParser, Partial

MANY = 1 << 30
LIMIT = 1_000
"""Bytes in a message; small, so that a random test passes it."""


@dataclass
class Parsed:
    """Events, the close code of the error that ended them, if one did, and how many controls."""

    events: list[Event]
    code: int | None
    controls: int = field(default=0, compare=False)


def parse(chunks: Sequence[bytes], compression: bool = False, most: int = MANY) -> Parsed:
    """Feed `chunks` until an error or a close frame; `most` controls are allowed in all."""
    buffers = BufferPool(sizes=(16, 64, 256))
    parser = FrameParser(buffers, LIMIT)
    partial: Partial | None = None
    parsed = Parsed([], None)
    for chunk in chunks:
        scratch = bytearray(chunk)
        lone = parser.lone(memoryview(scratch), len(chunk)) if partial is None else None
        before = len(parsed.events)
        try:
            partial = parser.feed(
                memoryview(scratch), partial, parsed.events, compression, most - parsed.controls
            )
            assert lone is None or (parsed.events[before:], partial) == ([lone], None)
        except ProtocolError as error:
            parsed.code = int(error.code)
            flooding = error.code == CloseCode.FLOODING  # which the short way leaves to its caller
            assert lone is None or flooding, "what the short way takes is no error"
            assert buffers.on_loan == 0, "an error gives everything back"
            return parsed
        finally:
            parsed.controls += parser.controls
            scratch[:] = b"\xaa" * len(scratch)
        if parsed.events and parsed.events[-1][0] == CLOSE:
            break
    if partial is not None:
        parser.discard(partial)
    assert buffers.on_loan == 0
    return parsed
