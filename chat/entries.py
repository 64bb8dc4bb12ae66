"""What travels in a stream entry: a message without its place, packed small.

Rules. MessagePack arrays, positional; a new field goes at the end and older entries lack it. The
place (room, epoch, seq) is not in it, because the publish script assigns that and does not look
inside.
"""

import msgpack
from msgspec import UNSET

from chat.schema import Msg, Notice


def pack_msg(
    uid: str,
    name: str,
    text: str,
    color: int,
    mode: str,
    size: int,
    ts: int,
    kind: str | None = None,
) -> bytes:
    """A message for the publish script."""
    packed: bytes = msgpack.packb((uid, name, text, color, mode, size, ts, kind))
    return packed


def unpack_msg(packed: bytes, room: str, epoch: str, seq: int) -> Msg:
    """A message at its place."""
    uid, name, text, color, mode, size, ts, kind = msgpack.unpackb(packed)[:8]
    return Msg(
        room,
        seq,
        f"{epoch}-{seq}",
        uid,
        name,
        text,
        color,
        mode,
        size,
        ts,
        UNSET if kind is None else kind,
    )


def pack_notice(
    users: list[str] | None, name: str, text: str, color: int, ts: int, kind: str | None = None
) -> bytes:
    """A notice for `users`, or for everyone."""
    packed: bytes = msgpack.packb((users, name, text, color, ts, kind))
    return packed


def unpack_notice(packed: bytes, notice_id: str) -> tuple[list[str] | None, Notice]:
    """A notice and whom it is for; None is everyone."""
    users, name, text, color, ts, kind = msgpack.unpackb(packed)[:6]
    scope = "all" if users is None else "user"
    return users, Notice(notice_id, scope, name, text, color, ts, UNSET if kind is None else kind)
