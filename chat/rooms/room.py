"""A room on one shard: who of this shard is in it, its newest messages, how far they have come.

Rules. No I/O, no clock, no sockets: members are descriptors, time is not needed. What a position
means is `position`'s.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from chat.policy.rules import UNKNOWN, RoomRules
from chat.rooms.position import UNSPOKEN, Position, Sync, vouch, written
from chat.rooms.shed import Display
from chat.wire.commands import Since
from chat.wire.redaction import unlapsed, without
from chat.wire.schema import Clear, Delete, Gap, Msg, Sequenced

UNSAID: Final = "~"
"""Begins what is said in place of an epoch; none begins with it."""
LIVE: Final = Sync.LIVE  # looked up once, as it is asked for with every join


class Waiter(Protocol):
    """Somebody who asked to join and has no answer yet."""

    @property
    def fd(self) -> int:
        """The connection that waits."""

    @property
    def gone(self) -> bool:
        """Whether the connection is closed."""

    def let_in(self, room: "Room") -> None:
        """The room is live."""

    def turn_away(self, room: "Room") -> bool:
        """The room cannot be had now; whether this one goes on waiting."""


@dataclass(slots=True)
class Snapshot:
    """A written `joined` event that many joins share, and what it was made of; so many more `joins`
    may be told it without another look at who is there."""

    seq: int
    online: int
    written: bytes | None
    joins: int = 0


class Room:
    """One room.

    members      descriptors by variant
    recent       its newest places, oldest first; `keep` of them are shown to those who join
    redacted_at  the seq at which messages were last taken back
    waiting      who asked to join before the room was live
    snapshots    the room as it is, written for those who join, by dialect
    resuming     joins for which the history is being read
    rules        what may be said and by whom, as this shard knows it
    display      chooses what is shown, where not everything is
    held         places not given out yet because nothing of them is shown
    ahead        who came in meanwhile, and has the places up to that seq
    elsewhere    viewers on other shards, as last reported
    reported     viewers here, as Redis knows them
    announced    the count that members know; `announced_at`: the tick they were told
    likes        how often it was liked, by kind; `liked_at`: the stream's ID as of which
    empty_since  the tick since which nobody has been here, or 0
    sent_at      the tick at which all members were last sent something
    alone        what a connection in this room only is listed under: shared, so it costs nothing
    """

    __slots__ = (
        *("__weakref__", "ahead", "alone", "announced", "announced_at", "display", "elsewhere"),
        *("empty_since", "held", "keep", "liked_at", "likes", "members", "name", "partition"),
        *("position", "recent", "redacted_at", "reported", "resuming", "rules", "sent_at"),
        *("snapshots", "waiting", "_life_of"),
    )

    def __init__(
        self,
        name: str,
        partition: int,
        variants: int,
        keep: int,
        life_of: Callable[[int], str] = lambda partition: "",
    ) -> None:
        self.name = name
        self._life_of = life_of
        self.partition = partition
        self.keep = keep
        self.position = Position()
        self.members: tuple[set[int], ...] = tuple(set() for _ in range(variants))
        # One at least: it is what Redis' idea of the position is compared with.
        self.recent: deque[Sequenced] = deque(maxlen=max(1, keep))
        self.redacted_at = 0
        self.waiting: list[Waiter] = []
        self.snapshots: dict[object, Snapshot] = {}
        self.resuming = 0
        self.rules: RoomRules = UNKNOWN
        self.display: Display | None = None
        self.held: list[Sequenced | Gap] = []
        self.ahead: dict[int, int] = {}
        self.elsewhere = 0
        self.reported = 0
        self.announced = 0
        self.announced_at = 0
        self.likes: dict[str, int] = {}
        self.liked_at = (0, 0)
        self.empty_since = 0
        self.sent_at = 0
        self.alone: tuple[Room, ...] = (self,)

    @property
    def live(self) -> bool:
        """Whether its messages are given out."""
        return self.position.sync is LIVE

    @property
    def life(self) -> str:
        """The epoch that an unspoken room has to clients which are told of one only when they join:
        its own for as long as nothing but the room's messages is lost. "" when it is not known."""
        life = self._life_of(self.partition)
        return f"{UNSAID}{life}" if life else UNSPOKEN

    @property
    def closed(self) -> bool:
        """Whether its shard has let go of it."""
        return not self.alone

    @property
    def local(self) -> int:
        """Members on this shard."""
        return sum(map(len, self.members))

    @property
    def online(self) -> int:
        """Members on all shards, the others' as last reported."""
        return self.elsewhere + sum(map(len, self.members))

    @property
    def idle(self) -> bool:
        """Whether nobody is here and nothing is under way."""
        return not (self.local or self.waiting or self.resuming or not self.live)

    @property
    def wanted(self) -> bool:
        """Whether anybody is here or waits to be; who waited and is gone is forgotten."""
        self.waiting = [waiter for waiter in self.waiting if not waiter.gone]
        return bool(self.waiting or self.local)

    @property
    def newest(self) -> list[Sequenced]:
        """What those who join are shown."""
        return list(self.recent) if self.keep else []

    @property
    def ts(self) -> int:
        """When what stands at its position was published; 0 where that is not known."""
        last = self.recent[-1] if self.recent else None
        return last.ts if last is not None and last.seq == self.position.seq else 0

    @property
    def place(self) -> str:
        """Its position, as an event stream's id has it."""
        return written(self.position.epoch, self.position.seq, self.ts)

    def place_of(self, fd: int) -> str:
        """That of a member, who has nothing of what is held but what it came in with."""
        if not self.held:
            return self.place
        seq = max(self.held[0].seq - 1, self.ahead.get(fd, 0))
        ts = next((place.ts for place in reversed(self.recent) if place.seq == seq), 0)
        return written(self.position.epoch, seq, ts)

    def remember_only(self, places: Sequence[Sequenced]) -> None:
        """These are the room's newest places."""
        self.recent.clear()
        self.recent.extend(places)
        self.snapshots.clear()

    def forget(self, told: Delete | Clear) -> None:
        """Messages are taken back: nobody who comes later is shown them."""
        kept = without(told, self.recent)
        self.recent.clear()
        self.recent.extend(kept)
        self.snapshots.clear()
        self.redacted_at = told.seq

    def lapse(self, now_ms: int) -> bool:
        """Forget messages that are not shown any more; whether there are some that will be so."""
        kept = unlapsed(list(self.recent), now_ms)
        if kept != list(self.recent):
            self.remember_only(kept)
        return any(isinstance(place, Msg) and place.until for place in kept)

    def missed(self, since: Since) -> list[Sequenced] | None:
        """The places after `since`, or None when they are not all among the recent ones, or nothing
        there can vouch for it.

        None, too, for a position ahead of this one: this shard may be late, or Redis set back.
        """
        if self.is_over(since) or self.epoch_of(since) not in (UNSPOKEN, self.position.epoch):
            return None
        if since.ts and not vouch(self.recent, since.seq, since.ts):
            return None
        found = [place for place in self.recent if place.seq > since.seq]
        return found if len(found) == self.position.seq - since.seq else None

    def is_over(self, since: Since) -> bool:
        """Whether a position is of an epoch that is not this room's any more, or of none at all, or
        its number was given to another place.

        A shard that is late may not know the room's first epoch yet.
        """
        here, epoch = self.position.epoch, self.epoch_of(since)
        if epoch.startswith(UNSAID):
            return True
        if epoch != here:
            return UNSPOKEN not in (epoch, here)
        return bool(since.ts) and vouch(self.recent, since.seq, since.ts) is False

    def epoch_of(self, since: Since) -> str:
        """The epoch that a position is of; UNSPOKEN for the room's first, whichever that is. A
        number of none at all is of an epoch that is over, as one of another life is."""
        if since.epoch == UNSPOKEN:
            return UNSAID if since.seq else UNSPOKEN
        said = since.epoch.startswith(UNSAID)
        return UNSPOKEN if said and since.epoch == self.life else since.epoch

    def let_in_waiting(self) -> None:
        """The room is live: whoever waited for that is told."""
        waiting, self.waiting = self.waiting, []
        for waiter in waiting:
            waiter.let_in(self)

    def turn_away_waiting(self) -> None:
        """The room cannot be had now: whoever waits is told; some go on waiting."""
        waiting, self.waiting = self.waiting, []
        self.waiting += [waiter for waiter in waiting if waiter.turn_away(self)]
