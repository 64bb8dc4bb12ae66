"""What travels in a stream entry: a message without its place, packed small.

Rules. MessagePack arrays, positional; a new field goes at the end with a default, older entries
lack it and newer ones may have more. The place (room, epoch, seq) is not in it, because the publish
script assigns that and does not look inside.

Danger: anybody who reaches Redis can append to a stream. Whatever is not one of our entries raises
BadEntry, here, before it gets among messages that are encoded together.
"""

from typing import Any

import msgpack
import msgspec
from msgspec import UNSET, Struct

from chat.wire.schema import Msg, Notice


class BadEntry(Exception):
    """Bytes that are no entry of ours."""


class _Message(Struct, array_like=True, gc=False):
    uid: str
    name: str
    text: str
    color: int
    mode: str
    size: int
    ts: int
    kind: str | None = None


class _Notice(Struct, array_like=True, gc=False):
    users: list[str] | None
    name: str
    text: str
    color: int
    ts: int
    kind: str | None = None


_read_message = msgspec.msgpack.Decoder(_Message).decode
_read_notice = msgspec.msgpack.Decoder(_Notice).decode


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
    """A message at its place. Raises BadEntry."""
    found = _read(_read_message, packed)
    return Msg(
        room,
        seq,
        f"{epoch}-{seq}",
        found.uid,
        found.name,
        found.text,
        found.color,
        found.mode,
        found.size,
        found.ts,
        UNSET if found.kind is None else found.kind,
    )


def pack_notice(
    users: list[str] | None, name: str, text: str, color: int, ts: int, kind: str | None = None
) -> bytes:
    """A notice for `users`, or for everyone."""
    packed: bytes = msgpack.packb((users, name, text, color, ts, kind))
    return packed


def unpack_notice(packed: bytes, notice_id: str) -> tuple[list[str] | None, Notice]:
    """A notice and whom it is for; None is everyone. Raises BadEntry."""
    found = _read(_read_notice, packed)
    scope = "all" if found.users is None else "user"
    kind = UNSET if found.kind is None else found.kind
    notice = Notice(notice_id, scope, found.name, found.text, found.color, found.ts, kind)
    return found.users, notice


def id_order(entry_id: bytes) -> tuple[int, int]:
    """A stream entry's ID as something that can be compared."""
    ms, _, serial = entry_id.partition(b"-")
    return int(ms), int(serial)


def _read(decode: Any, packed: bytes) -> Any:
    # Text that is not UTF-8 is a ValueError of its own kind; nesting may exhaust the stack.
    try:
        return decode(packed)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadEntry(str(error)) from None
