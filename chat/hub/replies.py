"""What a shard says to its viewers: to one, or the same to many, each in its own encoding.

Rules. Here variants become codecs and events become frames; who says what to whom is its callers'.
What many get is encoded once per codec, compressed once per codec, and written once per viewer.
What is very much, after a pause or under more load than a shard can carry, is several frames.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from msgspec import UNSET

from chat.wire.codec import CODECS, Codec, codec_of, frame
from chat.wire.schema import Error, ErrorCode, Ref, ServerEvent
from shard.group import ConnectionGroup

FRAME_BYTES: Final = 65_536
"""Bytes of events after which a frame is full: what the send buffer of a viewer who keeps up has
room for at the default of limits.send_buffer_bytes. Larger ones make slow readers of them all."""


class Replies:
    """Events to the connections of one group."""

    def __init__(self, group: ConnectionGroup) -> None:
        self._group = group
        self._variant = group.table.variant

    def codec(self, fd: int) -> Codec:
        """The codec a connection agreed to."""
        return codec_of(self._variant[fd])

    def one(self, fd: int, event: ServerEvent) -> bytes:
        """An event, encoded for a connection and not sent yet."""
        return codec_of(self._variant[fd]).one(event)

    def send(self, fd: int, encoded: Sequence[bytes]) -> None:
        """Send encoded events to one connection, in one frame."""
        self._group.send(fd, frame(codec_of(self._variant[fd]), encoded))

    def error(
        self,
        fd: int,
        code: ErrorCode,
        message: str,
        ref: Ref | Any = UNSET,
        retry_after: float | None = None,
    ) -> bytes:
        """An encoded refusal of the command `ref`."""
        after = UNSET if retry_after is None else round(retry_after, 2)
        return self.one(fd, Error(code, message, ref, after))

    def fan_out(
        self,
        members: Sequence[Collection[int]],
        events: Sequence[ServerEvent],
        droppable: bool = True,
    ) -> None:
        """Send events to many, in order; `members` are descriptors by variant."""
        for plain, codec in enumerate(CODECS):
            packed = plain + len(CODECS)
            if not members[plain] and not members[packed]:
                continue
            for parts in full_frames([codec.one(event) for event in events]):
                if members[plain]:
                    self._group.fan_out(members[plain], frame(codec, parts), droppable)
                if members[packed]:
                    self._group.fan_out(members[packed], frame(codec, parts, True), droppable)


def full_frames(events: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Encoded events in order, as many at a time as fit one frame; one always does."""
    start = size = 0
    for i, event in enumerate(events):
        if size and size + len(event) > FRAME_BYTES:
            yield events[start:i]
            start, size = i, 0
        size += len(event)
    if size:
        yield events[start:]
