"""What a shard says to its viewers: to one, or the same to many, each in its own variant.

Rules. Here events become frames; who says what to whom is its callers'. What many get is written
once per dialect, wrapped once per variant (which may compress it), and sent once per viewer. What
is very much, after a pause or under more load than a shard can carry, is several frames.

A shadowed message is in nobody's frame but its sender's: their connections are left out of what all
others get, and get frames of their own by the same queue, so that nothing overtakes.

A room's frames are a lane of the outbox; so are all to those who are told their positions in
several rooms, which holds only if nothing overtakes between those; so is what is of no room.

Who reads slowly is spared counts first, batches next, and what nothing makes up for never. But an
event stream, whose frames say its position, gets none of a room behind a hole: it is resumed.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from msgspec import UNSET, UnsetType, structs

from chat.rooms.answers import Answer, joined
from chat.rooms.members import Members
from chat.rooms.position import written as place_of
from chat.rooms.room import Room, Snapshot
from chat.wire.batch import FRAME_BYTES, batches, shorten
from chat.wire.dialects.dialect import Dialect
from chat.wire.schema import (
    Batched,
    Clear,
    Delete,
    Error,
    Gap,
    Joined,
    Msg,
    Msgs,
    Online,
    Ref,
    Removed,
    Sequenced,
    ServerEvent,
    Shadowed,
    State,
)
from chat.wire.variants import Variant, Variants
from shard.backlog import Keep
from shard.connections import Connections

BATCHED: Final = (Msg, Removed, Shadowed)
KEEP: Final[dict[type, Keep]] = {
    Online: Keep.LOW,
    Gap: Keep.ALWAYS,
    Delete: Keep.ALWAYS,
    Clear: Keep.ALWAYS,
    State: Keep.ALWAYS,
}
"""How much it matters to who reads slowly; all else is NORMAL."""
PLACES: Final = "frames that say where one is in several rooms"
NO_ROOM: Final = "what is of no room"
Written = tuple[bytes, str, Keep]
"""An event in a dialect; the position of its room behind it, "" where it has none; its Keep."""


class Replies:
    """Events to the connections of one group.

    find         the connections of a uid
    muted_until  when a connection's mutes in a room end, in ms since 1970; None: it is not muted
    """

    def __init__(
        self,
        connections: Connections,
        variants: Variants,
        members: Members,
        find: Callable[[str], Collection[int]],
        muted_until: Callable[[int, str], int | None] = lambda fd, room: None,
    ) -> None:
        self._connections = connections
        self._variants = variants
        self._members = members
        self._find = find
        self._muted_until = muted_until
        self._variant_of = connections.variant
        self._kinds = tuple(variants)

    def variant(self, fd: int) -> Variant:  # hot: once per command
        """Which kind of connection one is."""
        return self._kinds[self._variant_of(fd)]

    def dialect(self, fd: int) -> Dialect:
        """How a connection speaks."""
        return self.variant(fd).dialect

    # --- to one --------------------------------------------------------------------------------

    def send(self, fd: int, events: Sequence[ServerEvent], asked: bool = False) -> None:
        """Events to one connection, in one frame; `asked` as in `Connections.send`."""
        event = self.dialect(fd).event
        written = [one for one in map(event, events) if one is not None]
        if written:
            self._connections.send(fd, self.frame(fd, written), asked=asked)

    def frame(self, fd: int, written: Sequence[bytes]) -> bytes:
        """Written events as one frame for a connection."""
        variant = self.variant(fd)
        position = self._position(fd) if variant.dialect.places else ""
        return variant.frame(written, position)

    def _position(self, fd: int) -> str:
        """Where a connection is in its rooms, in its order.

        Of one in several rooms it is not told while a fan-out is under way, which a frame to one
        may overtake: its position would be ahead of what it has. So it would behind a hole.
        """
        if self._connections.has_hole(fd):
            return ""
        rooms = self._members.of(fd)
        if len(rooms) > 1 and self._connections.fanning_out:
            return ""
        return _places(rooms, self._members.waiting_from(fd))

    def joined(self, fd: int, found: Room | Answer, ref: Ref | UnsetType) -> bytes | None:
        """The written answer to a join; but for their refs all who get the same share one, and only
        who is muted gets its own."""
        dialect = self.dialect(fd)
        name = found.name if isinstance(found, Room) else found.event.room
        until = self._muted_until(fd, name)
        if until is not None:
            return dialect.event(_for_muted(found, until, ref))
        written = (
            self._snapshot(dialect, found)
            if isinstance(found, Room)
            else (self._resumed(dialect, found))
        )
        return written if written is None or ref is UNSET else dialect.answering(written, ref)

    def _snapshot(self, dialect: Dialect, room: Room) -> bytes | None:
        """The `joined` of a room as it is."""
        kept = room.snapshots.get(dialect)
        seq, online = room.position.seq, room.online
        # In a large room a count that is 1 % old does.
        if kept is None or kept.seq != seq or abs(kept.online - online) * 100 > online:
            written = dialect.event(joined(room))
            kept = room.snapshots[dialect] = Snapshot(seq, online, written)
        return kept.written

    def _resumed(self, dialect: Dialect, answer: Answer) -> bytes | None:
        if dialect not in answer.written:
            answer.written[dialect] = dialect.event(answer.event)
        return answer.written[dialect]

    def tell(self, fd: int, found: Room | Answer | Error, ref: Ref | UnsetType) -> int:
        """Answer a join that had to wait, or refuse it; the bytes that took."""
        if not isinstance(found, Error):
            return self.answer(fd, found, ref)
        self.send(fd, [found])
        return 0

    def answer(self, fd: int, found: Room | Answer, ref: Ref | UnsetType) -> int:
        """Answer a join; the bytes that took. Nothing else may wait for the connection."""
        frame = self._answer(fd, found, ref)
        self._connections.send(fd, frame, asked=True)
        return len(frame)

    def _answer(self, fd: int, found: Room | Answer, ref: Ref | UnsetType) -> bytes:
        variant = self.variant(fd)
        known = found.frames.get(variant) if isinstance(found, Answer) else None
        shared = isinstance(found, Answer) and self._muted_until(fd, found.event.room) is None
        if shared and known is not None and known[0] == ref and not variant.dialect.places:
            return known[1]
        written = self.joined(fd, found, ref)
        frame = self.frame(fd, [] if written is None else [written])
        if shared and isinstance(found, Answer):
            found.frames[variant] = ref, frame
        return frame

    # --- to many -------------------------------------------------------------------------------

    def to_room(self, room: Room, events: Sequence[Sequenced | Gap | Online]) -> None:
        """Events to all members of a room, in order; what is shadowed to its sender only."""
        everyone: Sequence[Collection[int]] = room.members
        if Shadowed in map(type, events):
            everyone = self._to_senders(room, events)
        self._to_members(room, everyone, events)

    def _to_senders(
        self, room: Room, events: Sequence[Sequenced | Gap | Online]
    ) -> Sequence[Collection[int]]:
        """What is shadowed to whom it came from, with all the rest; the members that are left."""
        left = list(room.members)
        for uid in dict.fromkeys(one.msg.uid for one in events if isinstance(one, Shadowed)):
            own: list[set[int]] = [set() for _ in left]
            for fd in self._find(uid):
                if self._members.has(fd, room):
                    own[self._variant_of(fd)].add(fd)
            pairs = zip(left, own, strict=True)
            left = [others - some if some else others for others, some in pairs]
            self._to_members(room, own, [_shown_to(uid, event) for event in events])
        return left

    def _to_members(
        self,
        room: Room,
        members_by_variant: Sequence[Collection[int]],
        events: Sequence[Sequenced | Gap | Online],
    ) -> None:
        present: dict[Dialect, list[tuple[Variant, Collection[int]]]] = {}
        for variant, members in zip(self._kinds, members_by_variant, strict=True):
            if members:
                present.setdefault(variant.dialect, []).append((variant, members))
        steps = _steps(room, events) if present else []
        for dialect, kinds in present.items():
            for part in full_frames(_written(dialect, steps)):
                self._fan_out(room, dialect, kinds, part)

    def _fan_out(
        self,
        room: Room,
        dialect: Dialect,
        kinds: Sequence[tuple[Variant, Collection[int]]],
        part: Sequence[Written],
    ) -> None:
        written = [one for one, _, _ in part]
        places = [place for _, place, _ in part if place]
        place = places[-1] if places else ""
        keep = max(one for _, _, one in part)
        if dialect.places:
            keep = min(keep, Keep.NORMAL)
        payload = dialect.payload(written, place)
        for variant, members in kinds:
            if variant.shared:
                self._connections.fan_out(members, variant.wrap(payload), keep, room)
            else:
                self._fan_out_by_rooms(room, members, variant, written, place, keep)

    def _fan_out_by_rooms(
        self,
        room: Room,
        members: Collection[int],
        variant: Variant,
        written: Sequence[bytes],
        place: str,
        keep: Keep,
    ) -> None:
        """To members who are told their position in all of their rooms: one frame for those who
        are at the same. It costs some look-ups a viewer, which no other variant does."""
        alike: dict[tuple[tuple[Room, ...], tuple[str | None, ...]], list[int]] = defaultdict(list)
        for fd in members:
            alike[self._members.of(fd), self._members.waiting_from(fd)].append(fd)
        for (rooms, waiting_from), fds in alike.items():
            both = zip(rooms, waiting_from, strict=True)
            here = [place if other is room else at for other, at in both]
            frame = variant.frame(written, _places(rooms, here) if place else "")
            self._connections.fan_out(fds, frame, keep, PLACES)

    def to_connections(self, fds: Collection[int], events: Sequence[ServerEvent]) -> None:
        """Events of no room to many connections; slow readers get them, too."""
        by_variant: dict[int, list[int]] = defaultdict(list)
        for fd in fds:
            by_variant[self._connections.variant(fd)].append(fd)
        for number, members in by_variant.items():
            variant = self._variants[number]
            for part in full_frames(_written(variant.dialect, [(event, "") for event in events])):
                frame = variant.frame([one for one, _, _ in part])
                self._connections.fan_out(members, frame, Keep.ALWAYS, NO_ROOM)


def _for_muted(found: Room | Answer, until: int, ref: Ref | UnsetType) -> Joined:
    """The answer to the join of one who is muted."""
    event = joined(found) if isinstance(found, Room) else found.event
    state = {} if event.state is UNSET else event.state
    return structs.replace(event, ref=ref, state={**state, "muted_until": until})


def _places(rooms: Sequence[Room], places: Sequence[str | None]) -> str:
    """A position in each of several rooms; None is where the room is. "" when there is none."""
    both = zip(rooms, places, strict=True)
    found = [room.place if at is None else at for room, at in both]
    return ",".join(found) if any(found) else ""


def _shown_to(uid: str, event: Sequenced | Gap | Online) -> Sequenced | Gap | Online:
    return event.msg if isinstance(event, Shadowed) and event.msg.uid == uid else event


def _steps(room: Room, events: Sequence[Sequenced | Gap | Online]) -> list[tuple[ServerEvent, str]]:
    """Events as members get them, messages in batches; and the room's position behind each."""
    steps: list[tuple[ServerEvent, str]] = []
    messages: list[Batched] = []
    for event in events:
        if isinstance(event, BATCHED):
            messages.append(event)
            continue
        steps += _batched(room, messages)
        messages = []
        steps.append((event, _place(room, event)))
    return steps + _batched(room, messages)


def _place(room: Room, event: Delete | Clear | State | Gap | Online) -> str:
    """The position behind an event; nobody knows what stood where something is lost."""
    match event:
        case Online():
            return ""
        case Gap():
            return place_of(event.epoch, event.seq, UNSET)
        case _:
            return place_of(room.position.epoch, event.seq, event.ts)


def _batched(room: Room, messages: Sequence[Batched]) -> list[tuple[ServerEvent, str]]:
    epoch = room.position.epoch
    return [
        (batch, place_of(epoch, batch.to, messages[batch.to - messages[0].seq].ts))
        for batch in batches(room.name, epoch, messages)
    ]


def _written(dialect: Dialect, steps: Sequence[tuple[ServerEvent, str]]) -> list[Written]:
    return [
        (written, place, KEEP.get(type(event), Keep.NORMAL))
        for event, place in steps
        if (written := dialect.event(event)) is not None
    ]


def full_frames(written: Sequence[Written]) -> Iterator[Sequence[Written]]:
    """Written events in order, as many at a time as fit one frame; one always does."""
    start = size = 0
    for i, (event, _, _) in enumerate(written):
        if size and size + len(event) > FRAME_BYTES:
            yield written[start:i]
            start, size = i, 0
        size += len(event)
    if size:
        yield written[start:]


def again(room: Room) -> Msgs:
    """Where a room is, for one who may have missed something: its newest place once more, in a
    batch, which names the epoch; where that place is not known, an empty batch behind it."""
    here = room.position
    if room.recent and room.recent[-1].seq == here.seq:
        newest = shorten([room.recent[-1]], here.seq - 1)
        return Msgs(room.name, here.epoch, here.seq, here.seq, newest)
    return Msgs(room.name, here.epoch, here.seq + 1, here.seq, [])
