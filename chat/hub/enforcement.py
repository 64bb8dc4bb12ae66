"""What follows from rules for who is here: sent out of a room, closed, told why.

Rules. It acts when rules change, and says who may come in. Whoever is to go is found by uid; only a
ban of an address looks at every connection. A room is left by an event, because its socket may be
in fifty others; only bans everywhere and of addresses close it.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import Final

from msgspec import UNSET, UnsetType

from chat.bus.entries import Disconnected
from chat.counters import ChatCount
from chat.hub.acks import error
from chat.hub.replies import Replies
from chat.hub.users import Users
from chat.policy.gate import Refusal, barred
from chat.policy.identity import Refused
from chat.policy.rules import ADDRESS, BAN, KICK, MUTE, RoomRules, Rulebook, Sanction
from chat.rooms.members import Members
from chat.rooms.resume import Resume
from chat.rooms.room import Room
from chat.rooms.rooms import Rooms
from chat.tasks import Tasks
from chat.wire.schema import Bye, Left, Muted
from pool.handle import Handle
from shard.closecodes import CloseCode
from shard.connections import Connections

WORDS: Final = {BAN: "banned", ADDRESS: "banned", KICK: "kicked"}
"""What somebody is told who has to go."""
SIFTED: Final = 500
"""Connections whose addresses are looked at together: some 5 ms."""


class Enforcement:
    """That of one shard. `wall` is seconds since 1970."""

    def __init__(
        self,
        connections: Connections,
        users: Users,
        rooms: Rooms,
        members: Members,
        resume: Resume,
        replies: Replies,
        book: Rulebook,
        counts: "memoryview[int]",
        wall: Callable[[], float],
    ) -> None:
        self._connections = connections
        self._users = users
        self._rooms = rooms
        self._members = members
        self._resume = resume
        self._replies = replies
        self._book = book
        self._counts = counts
        self._wall = wall
        self._tasks = Tasks("enforcement")

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    # --- who may come in -----------------------------------------------------------------------

    def admit(self, fd: int, uid: str) -> None:
        """Raises Refused for who is banned everywhere, or whose address is."""
        rules = self._book.everywhere
        if not rules.sanctions:
            return
        now_ms = self._now_ms()
        found = rules.get(BAN, uid, now_ms)
        if found is None and ADDRESS in rules.sanctions:
            found = rules.address(self._connections.address(fd), now_ms)
        if found is not None:
            self._counts[ChatCount.REFUSED_BANNED] += 1
            raise Refused(CloseCode.BANNED, why(BAN, found))

    def bars(self, fd: int, room: str) -> Refusal | None:
        """Why a connection may not join a room, as far as its rules are known here."""
        rules = self._book.of(room)
        if not rules.sanctions:
            return None
        found = barred(rules, self._users.of(fd).uid, self._now_ms())
        if found is not None:
            self._counts[ChatCount.REFUSED_BANNED] += 1
        return found

    def became(self, fd: int, uid: str) -> None:
        """A connection is somebody else, who may not be in all of the rooms it is in."""
        for room in self._members.of(fd):
            self.changed(room.name, [f"{kind}:{uid}" for kind in (BAN, KICK)])

    # --- who has to go -------------------------------------------------------------------------

    def changed(self, room: str | None, fields: Collection[str] | None) -> None:
        """Rules have changed, of a room or of everywhere; None: all of them may have."""
        if fields is not None:
            self._tell_mutes(room, fields)
        if room is None:
            self._everywhere(self._book.everywhere, fields)
        elif (found := self._rooms.by_name.get(room)) is not None:
            self._in_room(found, self._book.of(room), fields)

    def _tell_mutes(self, name: str | None, fields: Collection[str]) -> None:
        """Whoever's mute was made or lifted is told what holds in each of its rooms now; by which
        reason, where it is this one."""
        changed = [field.partition(":") for field in fields]
        rules = self._book.get(name)
        for uid in [whose for kind, colon, whose in changed if kind == MUTE and colon]:
            found = rules.get(MUTE, uid, self._now_ms())
            reason = found.reason or UNSET if found is not None else UNSET
            for fd in self._users.find(uid):
                told = [
                    Muted(room.name, self._muted_until(room.name, uid), reason)
                    for room in self._members.of(fd)
                    if name in (None, room.name) and self._members.has(fd, room)
                ]
                if told:
                    self._replies.send(fd, told)

    def _muted_until(self, room: str, uid: str) -> int | UnsetType:
        until = self._book.muted_until(room, uid, self._now_ms())
        return UNSET if until is None else until

    def _in_room(self, room: Room, rules: RoomRules, fields: Collection[str] | None) -> None:
        if not (room.local or room.waiting or room.resuming):
            return
        # Who waits in a queue is in no list of the room's.
        few = None if room.resuming else [waiter.fd for waiter in room.waiting]
        if few is not None and room.local:
            few = [*few, *chain(*room.members)]
        for kind in (KICK, BAN):
            for fd, uid, sanction in list(self._whom(rules, kind, fields, few)):
                if self._members.named(fd, room.name) is room:
                    self._send_out(fd, uid, room, rules, kind, why(kind, sanction))

    def _send_out(
        self, fd: int, uid: str, room: Room, rules: RoomRules, kind: str, reason: str
    ) -> None:
        """By an event, or an answer where one is waited for; who only watches and has nothing left
        to watch is closed."""
        self._counts[ChatCount.SENT_OUT] += 1
        inside = self._members.has(fd, room)
        if self._replies.dialect(fd).places:
            self._members.vacate(fd, room)
        refs = self._resume.leave(fd, room)
        if inside or not refs:
            self._replies.send(fd, [Left(room.name, reason=reason)])
        refusal = barred(rules, uid, self._now_ms())
        if refusal is not None and refs:
            self._replies.send(fd, [error(refusal, ref) for ref in refs])
        if self._replies.dialect(fd).watches and not self._members.of(fd):
            code = CloseCode.BANNED if kind == BAN else CloseCode.KICKED
            self._connections.close(fd, code, reason)

    def _everywhere(self, rules: RoomRules, fields: Collection[str] | None) -> None:
        everyone = self._connections.open_connections() if fields is None else None
        for fd, _, sanction in list(self._whom(rules, BAN, fields, everyone)):
            self._close(fd, sanction)
        if any(True for _ in self._new(rules, ADDRESS, fields)):
            connections = self._connections
            handles = [connections.handle(fd) for fd in connections.open_connections()]
            self._tasks.spawn(self._sift(handles))

    async def _sift(self, handles: Sequence[Handle]) -> None:
        """Look at everybody's address, some at a time; who comes meanwhile is looked at then."""
        for start in range(0, len(handles), SIFTED):
            rules, now_ms = self._book.everywhere, self._now_ms()
            for handle in filter(self._connections.alive, handles[start : start + SIFTED]):
                found = rules.address(self._connections.address(handle.fd), now_ms)
                if found is not None:
                    self._close(handle.fd, found)
            await asyncio.sleep(0)

    def _close(self, fd: int, sanction: Sanction) -> None:
        self._counts[ChatCount.SENT_OUT] += 1
        self._connections.close(fd, CloseCode.BANNED, why(BAN, sanction))

    def _whom(
        self,
        rules: RoomRules,
        kind: str,
        fields: Collection[str] | None,
        here: Collection[int] | None,
    ) -> Iterator[tuple[int, str, Sanction]]:
        """Connections a kind of sanction is about. `here` are all that may be; where these are
        fewer than the sanctions, they are asked about, not the sanctions about them."""
        if fields is None and here is not None and len(here) < len(rules.sanctions.get(kind, ())):
            now_ms = self._now_ms()
            for fd in here:
                uid = self._users.of(fd).uid
                found = rules.get(kind, uid, now_ms)
                if found is not None:
                    yield fd, uid, found
            return
        for uid, sanction in self._new(rules, kind, fields):
            for fd in self._users.find(uid):
                yield fd, uid, sanction

    def _new(
        self, rules: RoomRules, kind: str, fields: Collection[str] | None
    ) -> Iterator[tuple[str, Sanction]]:
        """Those of a kind that hold now, of all or of the fields that changed."""
        now_ms = self._now_ms()
        if fields is None:
            yield from rules.all(kind, now_ms)
            return
        for name in fields:
            of, colon, whose = name.partition(":")
            found = rules.get(kind, whose, now_ms) if colon and of == kind else None
            if found is not None:
                yield whose, found

    def disconnect(self, order: Disconnected) -> None:
        """Close all connections of a user, to come back later."""
        reason = ": ".join(filter(None, (WORDS[KICK], order.reason)))
        for fd in self._users.find(order.uid):
            self._counts[ChatCount.SENT_OUT] += 1
            self._replies.dismiss(fd, Bye(reason, order.reconnect_in))
            self._connections.close(fd, CloseCode.KICKED, reason)


def why(kind: str, sanction: Sanction) -> str:
    """What one is told who has to go: a word, and the moderator's reason behind a colon."""
    return ": ".join(filter(None, (WORDS[kind], sanction.reason)))
