"""What a shard says to its viewers: to one, or the same to many, each in its own variant.

Rules. Here events become frames; who says what to whom is its callers'. What many get is written
once per dialect, wrapped once per variant (which may compress it), and sent once per viewer. What
is very much, after a pause or under more load than a shard can carry, is several frames.

A hidden message, shadowed or left out, is in nobody's frame but its sender's: their connections are
left out of what all others get, and get frames of their own by the same queue, so that nothing
overtakes. A frame that has holes because of the display budget says at its end how many.

A room's frames are a lane of the outbox; so are all to those who are told their positions in
several rooms, which holds only if nothing overtakes between those; so is what is of no room.

Who reads slowly is spared counts first, batches next, and what nothing makes up for never. But who
is closed for a hole, because its position is that of whatever it was sent last, gets nothing of a
room behind it: it is resumed.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Final

from msgspec import UNSET, UnsetType, structs

from chat.hub.frames import Written, full_frames, written
from chat.hub.standing import Standing
from chat.hub.steps import Flush, Step
from chat.rooms.answers import Answer, event_of
from chat.rooms.members import Members
from chat.rooms.replay import Stretch
from chat.rooms.room import Room, Snapshot
from chat.wire.batch import shorten
from chat.wire.dialects.dialect import Dialect, Missed
from chat.wire.foreign import Told
from chat.wire.schema import (
    Aside,
    Bye,
    Error,
    Gap,
    Joined,
    LeftOut,
    Msgs,
    Ref,
    Sequenced,
    ServerEvent,
    Shed,
)
from chat.wire.variants import Variant, Variants
from shard.backlog import Keep
from shard.connections import Connections

Order = tuple[tuple[Room, ...], tuple[str | None, ...], tuple[int, ...]]
"""A connection's rooms, from where it waits in them, which of their places are vacant."""
PLACES: Final = "frames that say where one is in several rooms"
NO_ROOM: Final = "what is of no room"


class Replies:
    """Events to the connections of one group.

    find         the connections of a uid
    standing     what a connection is in a room that is to be told to it alone
    """

    def __init__(
        self,
        connections: Connections,
        variants: Variants,
        members: Members,
        find: Callable[[str], Collection[int]],
        standing: Callable[[int, str], Standing | None] = lambda fd, room: None,
    ) -> None:
        self._connections = connections
        self._variants = variants
        self._members = members
        self._find = find
        self._standing = standing
        self._variant_of = connections.variant
        self._kinds = tuple(variants)

    def variant(self, fd: int) -> Variant:  # hot: once per command
        """Which kind of connection one is."""
        return self._kinds[self._variant_of(fd)]

    def dialect(self, fd: int) -> Dialect:
        """How a connection speaks."""
        return self.variant(fd).dialect

    # --- to one --------------------------------------------------------------------------------

    def send(self, fd: int, events: Sequence[Told], asked: bool = False) -> None:
        """Events to one connection, in one frame; `asked` as in `Connections.send`.

        It may overtake a fan-out under way, and is then without a position: that would be ahead of
        what the connection has.
        """
        variant = self.variant(fd)
        written = [one for one in map(variant.dialect.event, events) if one is not None]
        if written:
            tells = not self._connections.fanning_out
            frame = self.frame(fd, written) if tells else variant.frame(written)
            self._connections.send(fd, frame, asked=asked)

    def dismiss(self, fd: int, bye: Bye) -> None:
        """Tell one that is about to be closed when to come back, where its dialect has a word."""
        variant = self.variant(fd)
        if payload := variant.dialect.farewell(bye):
            self._connections.send(fd, variant.wrap(payload))

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
        return _places(rooms, self._members.waiting_from(fd), self._members.vacant(fd))

    def joined(self, fd: int, found: Room | Answer, ref: Ref | UnsetType) -> bytes | None:
        """The written answer to a join; but for their refs all who get the same share one, and only
        who is muted, or of another role there, gets its own."""
        standing = self._standing(fd, _name_of(found))
        if standing is None and ref is UNSET and isinstance(found, Room):
            return self._snapshot(self._kinds[self._variant_of(fd)].dialect, found)
        return self._joined(fd, found, ref, standing)

    def _joined(
        self, fd: int, found: Room | Answer, ref: Ref | UnsetType, standing: Standing | None
    ) -> bytes | None:
        dialect = self.dialect(fd)
        if standing is not None:
            since = found.since if isinstance(found, Answer) else None
            return dialect.joined(_for_one(event_of(dialect, found), standing, ref), since)
        written = (
            self._snapshot(dialect, found)
            if isinstance(found, Room)
            else (self._resumed(dialect, found))
        )
        return written if written is None or ref is UNSET else dialect.answering(written, ref)

    def _snapshot(self, dialect: Dialect, room: Room) -> bytes | None:
        """The `joined` of a room as it is."""
        kept, seq = room.snapshots.get(dialect), room.position.seq
        # In a large room a count that is 1 % old does.
        if kept is not None and kept.seq == seq:
            if kept.joins:
                kept.joins -= 1
                return kept.written
            if abs(kept.online - room.online) * 100 <= room.online:
                return kept.written
        written = dialect.joined(event_of(dialect, room), None)
        room.snapshots[dialect] = Snapshot(seq, room.online, written, room.online // 100)
        return written

    def _resumed(self, dialect: Dialect, answer: Answer) -> bytes | None:
        if dialect not in answer.written:
            answer.written[dialect] = dialect.joined(event_of(dialect, answer), answer.since)
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
        several = self.dialect(fd).places and len(self._members.of(fd)) > 1
        if several and self._connections.fanning_out_in(PLACES):
            # What is under way there says that it still waits in this room.
            self._connections.fan_out([fd], frame, Keep.NORMAL, PLACES)
        else:
            self._connections.send(fd, frame, asked=True)
        return len(frame)

    def _answer(self, fd: int, found: Room | Answer, ref: Ref | UnsetType) -> bytes:
        variant = self.variant(fd)
        known = found.frames.get(variant) if isinstance(found, Answer) else None
        standing = self._standing(fd, _name_of(found))
        shared = isinstance(found, Answer) and standing is None
        if shared and known is not None and known[0] == ref and not variant.dialect.places:
            return known[1]
        if isinstance(found, Answer) and found.missed is not None:
            frame = self._in_parts(fd, found, found.missed, ref, standing)
        else:
            written = self._joined(fd, found, ref, standing)
            frame = self.frame(fd, [] if written is None else [written])
        if shared and isinstance(found, Answer):
            found.frames[variant] = ref, frame
        return frame

    def _in_parts(
        self,
        fd: int,
        found: Answer,
        missed: Stretch,
        ref: Ref | UnsetType,
        standing: Standing | None,
    ) -> bytes:
        """The answer to a join as one frame, its history put together from parts that others
        have, too."""
        variant = self.variant(fd)
        dialect = variant.dialect
        event = event_of(dialect, found)
        if standing is not None:
            event = _for_one(event, standing, ref)
        else:
            event = structs.replace(event, ref=ref)
        parts = missed.parts(dialect)
        size = sum([len(part.raw) for part in parts])
        before, behind = dialect.around(event, found.since, len(missed), size)
        position = self._position(fd) if dialect.places else ""
        payload = dialect.payload([before + behind], position)
        at = payload.index(before) + len(before)
        return variant.wrap_parts(payload[:at], parts, payload[at:])

    # --- to many -------------------------------------------------------------------------------

    def to_room(self, room: Room, events: Sequence[Sequenced | Gap | Aside]) -> int:
        """Events to all members of a room, in order; what is hidden to its sender only. How many
        deliveries of what the display budget left out that are."""
        members: Sequence[Collection[int]] = room.members
        own = 0
        if room.ahead and not room.held:
            members, own = self._to_newcomers(room, events)
        flush = Flush(room, events)
        if flush.shows:
            room.sent_at = self._connections.tick
        return own + self._to_some(room, members, flush)

    def _to_newcomers(
        self, room: Room, events: Sequence[Sequenced | Gap | Aside]
    ) -> tuple[Sequence[Collection[int]], int]:
        """To who came in while these were held, what of it they do not have; the members that are
        left, and how many deliveries of what was left out that are."""
        groups: dict[int, list[set[int]]] = {}
        taken: list[set[int]] = [set() for _ in room.members]
        for fd, seq in room.ahead.items():
            if self._members.has(fd, room):
                group = groups.setdefault(seq, [set() for _ in room.members])
                group[self._variant_of(fd)].add(fd)
                taken[self._variant_of(fd)].add(fd)
        own = 0
        for seq, group in groups.items():
            new = [one for one in events if isinstance(one, Aside) or one.seq > seq]
            own += self._to_some(room, group, Flush(room, new))
        return _without(room.members, taken), own

    def _to_some(self, room: Room, members: Sequence[Collection[int]], flush: Flush) -> int:
        """To members, by variant, what is not hidden; likewise."""
        own = 0
        if flush.hidden:
            members, own = self._to_senders(room, members, flush)
        self._to_members(room, members, flush)
        return own

    def _to_senders(
        self, room: Room, members: Sequence[Collection[int]], flush: Flush
    ) -> tuple[Sequence[Collection[int]], int]:
        """What is hidden to whom of the members it came from, with all the rest; likewise."""
        taken: list[set[int]] = [set() for _ in members]
        own = 0
        for uid, hidden in flush.hidden.items():
            fds = [fd for fd in self._find(uid) if fd in members[self._variant_of(fd)]]
            if not fds:
                continue
            theirs: list[list[int]] = [[] for _ in members]
            for fd in fds:
                theirs[self._variant_of(fd)].append(fd)
                taken[self._variant_of(fd)].add(fd)
            self._to_members(room, theirs, flush, uid)
            own += len(fds) * list(map(type, hidden)).count(LeftOut)
        return _without(members, taken), own

    def _to_members(
        self,
        room: Room,
        members_by_variant: Sequence[Collection[int]],
        flush: Flush,
        uid: str = "",
    ) -> None:
        present: dict[Dialect, list[tuple[Variant, Collection[int]]]] = {}
        for variant, members in zip(self._kinds, members_by_variant, strict=True):
            if members:
                present.setdefault(variant.dialect, []).append((variant, members))
        steps = flush.steps(uid) if present else []
        for dialect, kinds in present.items():
            for part in full_frames(written(dialect, steps)):
                self._fan_out(room, dialect, kinds, part)

    def _fan_out(
        self,
        room: Room,
        dialect: Dialect,
        kinds: Sequence[tuple[Variant, Collection[int]]],
        part: Sequence[Written],
    ) -> None:
        written = [one.event for one in part]
        places = [one.place for one in part if one.place]
        place = places[-1] if places else ""
        left_out = sum([one.left_out for one in part])
        if left_out:
            to = next(one.seq for one in reversed(part) if one.seq)
            shed = dialect.event(Shed(room.name, to, left_out))
            written += () if shed is None else (shed,)
        keep = max([one.keep for one in part])
        if dialect.missed is Missed.CLOSE:
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
        all_of = self._members
        alike: dict[Order, list[int]] = defaultdict(list)
        for fd in members:
            alike[all_of.of(fd), all_of.waiting_from(fd), all_of.vacant(fd)].append(fd)
        for (rooms, waiting_from, vacant), fds in alike.items():
            both = zip(rooms, waiting_from, strict=True)
            here = [place if other is room else at for other, at in both]
            frame = variant.frame(written, _places(rooms, here, vacant) if place else "")
            self._connections.fan_out(fds, frame, keep, PLACES)

    def to_connections(self, fds: Collection[int], events: Sequence[ServerEvent]) -> None:
        """Events of no room to many connections; slow readers get them, too."""
        by_variant: dict[int, list[int]] = defaultdict(list)
        for fd in fds:
            by_variant[self._connections.variant(fd)].append(fd)
        for number, members in by_variant.items():
            variant = self._variants[number]
            for part in full_frames(written(variant.dialect, [Step(event) for event in events])):
                frame = variant.frame([one.event for one in part])
                self._connections.fan_out(members, frame, Keep.ALWAYS, NO_ROOM)


def _name_of(found: Room | Answer) -> str:
    return found.name if isinstance(found, Room) else found.event.room


def _for_one(event: Joined, standing: Standing, ref: Ref | UnsetType) -> Joined:
    """The answer to the join of one who is muted there, or of another role."""
    state = {} if event.state is UNSET else event.state
    if standing.muted_until is not UNSET:
        state = {**state, "muted_until": standing.muted_until}
    return structs.replace(event, ref=ref, state=state, role=standing.role)


def _places(rooms: Sequence[Room], places: Sequence[str | None], vacant: Sequence[int]) -> str:
    """A position in each of several rooms; None is where the room is. Those at `vacant` are none.
    "" when there is none at all."""
    both = zip(rooms, places, strict=True)
    found = [room.place if at is None else at for room, at in both]
    for at in vacant:
        found.insert(at, "")
    return ",".join(found) if any(found) else ""


def _without(
    members: Sequence[Collection[int]], taken: Sequence[set[int]]
) -> Sequence[Collection[int]]:
    both = zip(members, taken, strict=True)
    return [set(all_) - some if some else all_ for all_, some in both]


def again(room: Room) -> Msgs:
    """Where a room is, for one who may have missed something: its newest place once more, in a
    batch, which names the epoch; where that place is not known, an empty batch behind it."""
    here = room.position
    if room.recent and room.recent[-1].seq == here.seq:
        newest = shorten([room.recent[-1]], here.seq - 1)
        return Msgs(room.name, here.epoch, here.seq, here.seq, newest)
    return Msgs(room.name, here.epoch, here.seq + 1, here.seq, [])
