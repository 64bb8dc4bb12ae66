"""Places in a room, written short: a batch or a history leaves out whatever can be known.

Rules. Pure. `shorten` and `expand` are each other's inverse: what one leaves out the other puts
back, and a test holds them to it. A place's number is left out where it follows the one before; a
name where it is what `default_name` makes of the uid. Of a message that was taken back only its
place is written, always with its number. A message that is hidden, because it is shadowed or left
out, is not written: its place is a hole, which whoever reads passes over because the next place
says its number.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import UNSET, UnsetType
from msgspec.json import encode

from chat.wire.schema import (
    GUEST,
    NORMAL_SIZE,
    SCROLL,
    WHITE,
    Batched,
    Clear,
    Delete,
    LeftOut,
    Message,
    Msg,
    Msgs,
    Removed,
    Sequenced,
    Shadowed,
    State,
)

FRAME_BYTES: Final = 65_536
"""Bytes of messages after which a batch is full: what the send buffer of a viewer who keeps up has
room for at the default of limits.send_buffer_bytes. Larger ones make slow readers of them all."""
MESSAGE_BYTES: Final = 100
"""What a message's names of fields and numbers come to, about, beside its texts."""


Shown = Msg | Delete | Clear | State | Removed


def default_name(uid: str) -> str:
    """The name of who has none: a guest's is its uid's end, a user's the uid."""
    return f"{GUEST}-{uid[-4:]}" if uid.startswith(f"{GUEST}:") else uid


def shorten(places: Iterable[Sequenced], after: int | None) -> list[Message]:
    """Places as they are written behind seq `after`; None: nothing before them is known."""
    written = []
    for place in places:
        if type(place) is Shadowed or type(place) is LeftOut:
            continue
        seq = place.seq
        written.append(_written(place, UNSET if after is not None and seq == after + 1 else seq))
        after = seq
    return written


def _written(place: Shown, seq: int | UnsetType) -> Message:  # hot: once per message
    match place:
        case Msg():
            return Message(
                seq,
                place.uid,
                UNSET if place.name == default_name(place.uid) else place.name,
                place.text,
                UNSET if place.color == WHITE else place.color,
                UNSET if place.mode == SCROLL else place.mode,
                UNSET if place.size == NORMAL_SIZE else place.size,
                place.ts,
                place.kind,
                avatar=place.avatar,
                level=place.level,
                badges=place.badges,
                times=place.times,
                data=place.data,
            )
        case Delete():
            return Message(seq, t="delete", target=place.target, ts=place.ts)
        case Clear():
            return Message(seq, t="clear", uid=place.uid, ts=place.ts)
        case State():
            return Message(seq, t="state", state=place.state, ts=place.ts)
        case Removed():
            return Message(place.seq, removed=True)


def expand(
    room: str, epoch: str, written: Iterable[Message], first: int = 0
) -> Iterator[Sequenced]:
    """The places that `shorten` wrote. What is none, from a newer server, is passed over."""
    seq = first - 1
    for one in written:
        seq = seq + 1 if one.seq is UNSET else one.seq
        match one:
            case Message(removed=True):
                yield Removed(room, seq)
            case Message(t="delete", target=int(target), ts=int(ts)):
                yield Delete(room, seq, target, ts)
            case Message(t="clear", ts=int(ts)):
                yield Clear(room, seq, ts, one.uid)
            case Message(t="state", state=dict(state), ts=int(ts)):
                yield State(room, seq, ts, state)
            case Message(t=t, uid=str(uid), text=str(text), ts=int(ts)) if t is UNSET:
                yield Msg(
                    *(room, seq, f"{epoch}-{seq}", uid),
                    default_name(uid) if one.name is UNSET else one.name,
                    text,
                    WHITE if one.color is UNSET else one.color,
                    SCROLL if one.mode is UNSET else one.mode,
                    NORMAL_SIZE if one.size is UNSET else one.size,
                    ts,
                    one.kind,
                    *(one.avatar, one.level, one.badges, one.data),
                    times=one.times,
                )


def batches(
    room: str,
    epoch: str,
    messages: Sequence[Batched],
    first: int | None = None,
    to: int | None = None,
) -> Iterator[Msgs]:
    """Messages in order as events of at most about FRAME_BYTES each; one message always fits.

    Together they cover the numbers `first` to `to`, by default from the first message to the last:
    where all of them are hidden, a batch is empty.
    """
    if first is None and not messages:
        return
    seq = messages[0].seq if first is None else first
    start = size = 0
    for i, message in enumerate(messages):
        weight = 0
        if type(message) is Msg:
            weight = len(message.uid) + len(message.name) + len(message.text.encode())
            weight += MESSAGE_BYTES
            if not (message.avatar is message.badges is message.data is UNSET):
                weight += _adornment_bytes(message)
        elif type(message) is Removed:
            weight = MESSAGE_BYTES
        if size and size + weight > FRAME_BYTES:
            last = messages[i - 1].seq
            yield Msgs(room, epoch, seq, last, shorten(messages[start:i], seq - 1))
            seq, start, size = last + 1, i, 0
        size += weight
    last = messages[-1].seq if to is None else to
    yield Msgs(room, epoch, seq, last, shorten(messages[start:], seq - 1))


def _adornment_bytes(message: Msg) -> int:
    """What an avatar, badges and data come to, about."""
    avatar = 0 if message.avatar is UNSET else len(message.avatar)
    data = 0 if message.data is UNSET else len(encode(message.data))
    return avatar + data + sum(len(badge.encode()) + 3 for badge in message.badges or ())
