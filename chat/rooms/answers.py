"""What a join is answered with: the newest messages, or those that were missed.

Rules. Pure: a room, a position, what was missed. That is all places behind the position or None;
`room` and `replay` say which.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType, structs

from chat.rooms.position import UNSPOKEN
from chat.rooms.replay import Stretch
from chat.rooms.room import Room
from chat.wire.batch import shorten
from chat.wire.commands import Since
from chat.wire.dialects.dialect import Dialect
from chat.wire.schema import Joined, Message, Ref, Sequenced


@dataclass(slots=True)
class Answer:
    """A `joined` that several connections may get.

    since    the position it answers
    life     as the room's
    missed   its history, where that is written in parts; `event` has none then
    written  as it is in each dialect, without a ref; without parts
    frames   as it was last sent, by variant: with which ref, wrapped, maybe compressed
    """

    event: Joined
    since: Since
    life: str
    missed: Stretch | None = None
    written: dict[object, bytes | None] = field(default_factory=dict)
    frames: dict[object, tuple[Ref | UnsetType, bytes]] = field(default_factory=dict)


def remembered(room: Room, since: Since | None) -> Room | Answer | None:
    """The answer, if what the room remembers is enough for one: the Room when that is only what the
    room is."""
    if since is None:
        return room
    missed = room.missed(since)
    if missed is None and not room.is_over(since):
        return None
    return resumed(room, since, missed)


def joined(room: Room, history: list[Message] | None = None) -> Joined:
    """A room as who joins it is shown it: its newest places, unless there is what it missed."""
    here = room.position
    history = shorten(room.newest, None) if history is None else history
    state, ts = room.rules.settings.state(), room.ts or UNSET
    event = Joined(room.name, here.epoch, here.seq, room.online, False, history, state=state, ts=ts)
    event.likes = room.likes or UNSET
    return event


def event_of(dialect: Dialect, found: Room | Answer) -> Joined:
    """An answer as those are told it who speak a dialect."""
    event = joined(found) if isinstance(found, Room) else found.event
    if dialect.unsaid and event.epoch == UNSPOKEN:
        event = structs.replace(event, epoch=found.life)
    return event


def resumed(room: Room, since: Since, missed: Sequence[Sequenced] | Stretch | None) -> Answer:
    """The answer to who says a position; `missed` None is one that cannot be resumed."""
    if missed is None:
        return Answer(joined(room), since, room.life)
    stretch = missed if isinstance(missed, Stretch) else None
    event = joined(room, [] if isinstance(missed, Stretch) else shorten(missed, None))
    event.recovered = True
    # The client may be ahead of this shard by what is on its way here, the first even.
    event.epoch = event.epoch or since.epoch
    if since.seq > event.seq:
        event.seq, event.ts = since.seq, since.ts or UNSET
    return Answer(event, since, room.life, stretch)
