"""Bytes in: off the socket, through its wire's parser, to events; and what is incomplete.

Rules. All connections are read into one scratch buffer, which is also the most that is read of one
connection before the others have their turn. A connection between two messages, as nearly all are,
keeps nothing here; the others keep what their parser calls a partial. What an event means is the
group's.

What is no message costs nobody's allowance of commands, so it has a rate of its own: pings, pongs,
small pieces of an unfinished message, and reads of a few bytes that finish nothing are *controls*.
So many a second leak out of a bucket that holds BURST_S as many; a connection is in the dict of
buckets only while its own is not empty.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pool.buffers import BufferPool
from shard.closecodes import CloseCode, ProtocolError
from shard.frames import MANY_CONTROLS
from shard.wires.wire import Event, Offer

SCRATCH_BYTES: Final = 4_096
"""Some 680 of the shortest frames, 0.4 ms. Nearly every message fits, and a long one loses little:
a read costs 1 us, and parsing what it brought more."""

SMALL_PIECE: Final = 536
"""No TCP has to cut its segments smaller (RFC 9293, section 3.7.1): a shorter read is the end of
what its sender had to say, or somebody is wasting our time."""

BURST_S: Final = 5
"""What a client sends by the clock may come all at once after a pause of ours or the network's."""


class Inbound:
    """The way in, for connections of any variant.

    message_bytes   bounds one message
    controls_per_s  how many controls a connection may send, on average

    lone      by variant: the one event of what is in the scratch, where there is a short way to
              tell; for a connection that is not among the `partials`
    controls  all that were counted
    """

    def __init__(self, offers: Sequence[Offer], message_bytes: int, controls_per_s: int) -> None:
        self.buffers = BufferPool()
        self.partials: dict[int, Any] = {}
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))
        self.controls = 0
        self._parsers = tuple(offer.wire.parser(self.buffers, message_bytes) for offer in offers)
        self.lone = tuple(parser.lone for parser in self._parsers)
        self._into_scratch = [self.scratch]
        self._per_s = controls_per_s
        self._most = controls_per_s * BURST_S
        self._buckets: dict[int, int] = {}

    def receive(self, fd: int) -> int | None:
        """Fill the scratch: bytes read, 0 when the connection is over, None when there are none."""
        try:
            return os.readv(fd, self._into_scratch)
        except BlockingIOError:
            return None
        except OSError:
            return 0

    def received(self, size: int) -> memoryview:
        """The `size` bytes that were received last."""
        return self.scratch[:size]

    def events(self, fd: int, variant: int, data: bytes | memoryview) -> Iterable[Event]:
        """What `data` comes to, behind what was incomplete; may raise ProtocolError, at once or on
        the way."""
        allowed = self._most - self._buckets.get(fd, 0)
        events, partial, controls = self._parsers[variant].feed(
            data, self.partials.pop(fd, None), allowed
        )
        if partial is not None:
            self.partials[fd] = partial
            if not controls and len(data) < SMALL_PIECE:
                controls = 1
        if controls:
            self.count(fd, controls)
        return events

    def count(self, fd: int, controls: int = 1) -> None:
        """The connection sent what is no message. Raises ProtocolError if that was too much."""
        self.controls += controls
        level = self._buckets.get(fd, 0) + controls
        if level > self._most:
            raise ProtocolError(CloseCode.FLOODING, MANY_CONTROLS)
        self._buckets[fd] = level

    def pass_time(self, seconds: int) -> None:
        """So much leaks out of the buckets."""
        leak = self._per_s * seconds
        if self._buckets:
            self._buckets = {fd: n - leak for fd, n in self._buckets.items() if n > leak}

    def forget(self, fd: int, variant: int) -> None:
        """The connection is over."""
        if self._buckets:
            self._buckets.pop(fd, None)
        if self.partials and (partial := self.partials.pop(fd, None)) is not None:
            self._parsers[variant].discard(partial)
