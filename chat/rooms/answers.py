"""What a join is answered with: the newest messages, or those that were missed.

Rules. Pure: a room, a position, what was read of the history. An answer is never a guess: `missed`
is all places behind a position or None.

A position is (epoch, seq, ts), as the client says it. Where it says a ts, what stands at that place
has to vouch for it.
"""

from dataclasses import dataclass, field
from itertools import chain

from msgspec import UNSET, UnsetType

from chat.bus.store import RoomState
from chat.rooms.position import UNSPOKEN, vouch
from chat.rooms.room import Room
from chat.wire.batch import shorten
from chat.wire.commands import Since
from chat.wire.redaction import redacted
from chat.wire.schema import Joined, Ref, Sequenced


@dataclass(slots=True)
class Answer:
    """A `joined` that several connections may get.

    written  as it is in each dialect, without a ref
    frames   as it was last sent, by variant: with which ref, wrapped, maybe compressed
    """

    event: Joined
    written: dict[object, bytes | None] = field(default_factory=dict)
    frames: dict[object, tuple[Ref | UnsetType, bytes]] = field(default_factory=dict)


def joined(room: Room, missed: list[Sequenced] | None = None) -> Joined:
    """A room as who joins it is shown it: its newest places, unless there is what it missed."""
    here = room.position
    history = shorten(room.newest if missed is None else missed, None)
    state, ts = room.rules.settings.state(), room.ts or UNSET
    event = Joined(room.name, here.epoch, here.seq, room.online, False, history, state=state, ts=ts)
    event.likes = room.likes or UNSET
    return event


def resumed(room: Room, since: Since, missed: list[Sequenced] | None) -> Joined:
    """The answer to who says a position; `missed` None is one that cannot be resumed."""
    answer = joined(room, missed)
    if missed is not None:
        answer.recovered = True
        # The client may be ahead of this shard by what is on its way here, the first even.
        answer.epoch = answer.epoch or since.epoch
        if since.seq > answer.seq:
            answer.seq, answer.ts = since.seq, since.ts or UNSET
    return answer


def missed_since(room: Room, since: Since, state: RoomState) -> list[Sequenced] | None:
    """The places after `since`, of which `state` was read, and that of `since` itself; None when
    they are not all there, or nothing is there to vouch for it.

    What was read may be ahead of this shard, or behind it by now. And a position that not even
    Redis has reached was reached before it was set back.
    """
    epoch, after = since.epoch, since.seq
    here = room.position
    missed = [place for place in state.places if after < place.seq <= here.seq]
    last = missed[-1].seq if missed else after
    missed += [place for place in room.recent if place.seq > last]
    epochs = {epoch, here.epoch, state.epoch} - {UNSPOKEN}
    whole = (
        len(epochs) <= 1
        and (epoch == UNSPOKEN or state.epoch != UNSPOKEN)
        and after <= state.seq
        and len(missed) == max(0, here.seq - after)
        and (not since.ts or bool(vouch(chain(state.places, room.recent), after, since.ts)))
    )
    # What was read may have been taken back since.
    return redacted(missed) if whole else None


def is_stale(room: Room, since: Since, state: RoomState) -> bool:
    """Whether the room has gone on since the read by more than it remembers: read again."""
    first = room.recent[0].seq if room.recent else room.position.seq + 1
    return state.epoch == room.position.epoch and first > max(state.seq, since.seq) + 1


def is_behind(room: Room, since: Since, state: RoomState) -> bool:
    """Whether this shard has not read yet what a client has, and Redis has, too."""
    here = room.position
    return (
        state.epoch == since.epoch
        and here.epoch in (since.epoch, UNSPOKEN)
        and here.seq < since.seq <= state.seq
    )
