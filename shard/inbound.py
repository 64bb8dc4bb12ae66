"""Bytes in: off the socket, through its wire's parser, to events; and what is incomplete.

Rules. All connections are read into one scratch buffer. A connection between two messages, as
nearly all are, keeps nothing here; the others keep what their parser calls a partial. What an event
means is the group's.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pool.buffers import BufferPool
from shard.wires.wire import Event, Offer

SCRATCH_BYTES: Final = 65_536


class Inbound:
    """The way in, for connections of any variant; `message_bytes` bounds one message.

    lone  by variant: the one event of what is in the scratch, where there is a short way to tell;
          for a connection that is not among the `partials`
    """

    def __init__(self, offers: Sequence[Offer], message_bytes: int) -> None:
        self.buffers = BufferPool()
        self.partials: dict[int, Any] = {}
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._parsers = tuple(offer.wire.parser(self.buffers, message_bytes) for offer in offers)
        self.lone = tuple(parser.lone for parser in self._parsers)
        self._into_scratch = [self.scratch]

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
        """What `data` comes to, behind what was incomplete; may raise ProtocolError on the way."""
        events, partial = self._parsers[variant].feed(data, self.partials.pop(fd, None))
        if partial is not None:
            self.partials[fd] = partial
        return events

    def forget(self, fd: int, variant: int) -> None:
        """The connection is over."""
        if self.partials and (partial := self.partials.pop(fd, None)) is not None:
            self._parsers[variant].discard(partial)
