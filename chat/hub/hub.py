"""What a shard is for: viewers join rooms, type, and get what is said. The group's Handler.

Rules. Synchronous: a message is answered at once, or when Redis has answered, through `alive`
checks, never by waiting. Per viewer it keeps an identity if it came with a token, and nothing else:
a guest's identity is computed, memberships are the Joins'. Every command gets its answer: an event,
or an error with a code.

Danger: answers come later than commands. Whoever waits is kept as (descriptor, generation).
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import UNSET

from chat.bus import entries
from chat.bus.publisher import Outcome, Publisher, Unpublished
from chat.bus.reader import Reader
from chat.bus.store import Outgoing, Store
from chat.config.sections import Config
from chat.counters import ChatCount
from chat.hub.replies import Replies
from chat.policy.identity import GUEST, Identity, Refused, guest, verify
from chat.policy.rates import Flow
from chat.policy.text import clean_text, text_problem
from chat.rooms.joins import Joins
from chat.rooms.room import Room
from chat.rooms.rooms import Rooms
from chat.wire.codec import CODECS, VARIANTS, BadCommand, frame
from chat.wire.schema import (
    Ack,
    Bye,
    Command,
    Error,
    ErrorCode,
    Join,
    Leave,
    Ping,
    Pong,
    Ref,
    Send,
    ServerEvent,
    Welcome,
)
from shard.closecodes import CloseCode
from shard.group import ConnectionGroup
from shard.handler import Opening
from shard.handshake import Request

MAX_STRIKES: Final = 100
"""Commands refused for their rate, one after the other, before the connection is closed."""
EXPIRY_TICKS: Final = 10
BYE_FRAMES: Final = 128
"""Different `reconnect_in` of one drain; clients behind one share it."""


class Hub:
    """The service of one shard.

    shard  this shard's name, unlike any other's, living or dead
    clock  seconds, monotonic
    """

    def __init__(
        self,
        group: ConnectionGroup,
        config: Config,
        store: Store,
        shard: str,
        counts: "memoryview[int]",
        rows: int,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        self._group = group
        self._config = config
        self._limits = config.limits
        self._ping_s = config.heartbeat.ping_s
        self._store = store
        self._shard = shard
        self._counts = counts
        self._clock = clock
        self._wall = wall
        self._chance = chance or random.Random()
        self._replies = Replies(group)
        self._joins = Joins(group, self._replies, store, config.limits, counts, rows, self._chance)
        self._identities: dict[int, Identity] = {}
        self._strikes: dict[int, int] = {}
        self._flow = Flow(rows, self._limits.commands_per_s, self._limits.commands_burst)
        self._publisher = Publisher(
            store,
            self._published,
            config.bus.timeout_ms / 1000,
            clock,
            lambda: int(wall() * 1000),
        )
        self.rooms = self._joins.rooms = Rooms(
            store,
            config.rooms,
            shard,
            VARIANTS,
            counts,
            self._emit,
            self._joins.answer_waiting,
            self._joins.turn_away_waiting,
        )
        self._reader = self.rooms.reader = Reader(
            store,
            shard,
            config.bus.flush_interval_ms / 1000,
            config.bus.read_count,
            self._entries,
            self.rooms.resync,
            lambda: group.fanning_out,
        )

    async def start(self) -> None:
        await self._reader.start()

    async def stop(self) -> None:
        await self._publisher.close()
        await self._reader.stop()
        await self.rooms.stop()
        await self._store.close()

    def drain(self) -> None:
        """Tell everyone to come back, each at its own moment in the window, and close."""
        window = self._config.server.drain_s
        moments = [self._chance.uniform(0, window) for _ in range(BYE_FRAMES)]
        byes = [
            [frame(codec, [codec.one(Bye("restart", round(moment, 2)))]) for moment in moments]
            for codec in CODECS
        ]
        for fd in self._group.open_connections():
            self._group.send(
                fd, self._chance.choice(byes[self._group.table.variant[fd] % len(CODECS)])
            )
            self._group.close(fd, CloseCode.RESTART)

    # --- the group's handler -------------------------------------------------------------------

    def on_open(self, fd: int, request: Request) -> Opening:
        name = self._name(fd)
        try:
            who = self._admit(fd, name, request)
        except Refused as refused:
            self._counts[ChatCount.REFUSED_TOKEN] += 1
            return refused.code
        self._flow.reset(fd)
        codec = self._replies.codec(fd)
        events = [codec.one(Welcome(name, who.uid, who.name, who.role, self._ping_s))]
        for room in dict.fromkeys(request.query.get("room", ())):
            answer = self._joins.join(fd, Join(room), patient=True)
            if answer is not None:
                events.append(answer)
        return frame(codec, events)

    def on_message(self, fd: int, payload: bytes, binary: bool) -> None:
        codec = self._replies.codec(fd)
        if binary != codec.binary:
            self._group.close(fd, CloseCode.UNSUPPORTED_DATA)
            return
        self._counts[ChatCount.COMMANDS] += 1
        try:
            command = codec.decode(payload)
        except BadCommand as bad:
            self._counts[ChatCount.REFUSED_BAD_REQUEST] += 1
            self._replies.send(fd, [self._replies.error(fd, bad.code, str(bad), bad.ref)])
            self._limit(fd, None)
            return
        if self._limit(fd, command):
            answer = self._obey(fd, command)
            if answer is not None:
                self._replies.send(fd, [answer])

    def on_caught_up(self, fd: int) -> None:
        """Send the newest message of each room again: whoever missed some sees a jump, and resumes.

        Without it a room that falls silent would hide the loss.
        """
        for room in self._joins.rooms_of(fd):
            if room.recent:
                self._replies.send(fd, [self._replies.one(fd, room.recent[-1])])

    def on_close(self, fd: int, code: int) -> None:
        self._joins.close(fd)
        self._identities.pop(fd, None)
        self._strikes.pop(fd, None)

    def on_tick(self, tick: int) -> None:
        self.rooms.tick(tick)
        if tick % EXPIRY_TICKS == 0:
            now = self._wall()
            for fd, identity in list(self._identities.items()):
                if identity.expires and identity.expires <= now:
                    self._group.close(fd, CloseCode.TOKEN_EXPIRED)

    # --- who -----------------------------------------------------------------------------------

    def _admit(self, fd: int, name: str, request: Request) -> Identity:
        token = request.first("token")
        if token:
            identity = self._identities[fd] = verify(token, self._config.auth.secret)
            return identity
        if self._config.auth.guests == "refuse":
            raise Refused(CloseCode.GUESTS_REFUSED)
        return guest(name)

    def _name(self, fd: int) -> str:
        """A connection's name: no other connection of any shard ever has it."""
        return f"{self._shard}-{self._group.table.generation[fd]:x}-{fd:x}"

    def _identity(self, fd: int) -> Identity:
        return self._identities.get(fd) or guest(self._name(fd))

    # --- commands ------------------------------------------------------------------------------

    def _limit(self, fd: int, command: Command | None) -> bool:
        """Whether the connection may have one more command; answers it when not."""
        wait = self._flow.wait(fd, self._clock())
        if not wait:
            if self._strikes:
                self._strikes.pop(fd, None)
            return True
        self._counts[ChatCount.REFUSED_RATE_LIMITED] += 1
        strikes = self._strikes[fd] = self._strikes.get(fd, 0) + 1
        if strikes > MAX_STRIKES:
            self._group.close(fd, CloseCode.FLOODING)
        elif command is not None:
            per_s = self._limits.commands_per_s
            message = f"at most {per_s} commands a second"
            error = self._replies.error(fd, ErrorCode.RATE_LIMITED, message, command.ref, wait)
            self._replies.send(fd, [error])
        return False

    def _obey(self, fd: int, command: Command) -> bytes | None:
        """Carry out a command; its encoded answer, or None when that comes later."""
        match command:
            case Send():
                return self._send(fd, command)
            case Join():
                return self._joins.join(fd, command)
            case Leave():
                return self._joins.leave(fd, command)
            case Ping():
                return self._replies.one(fd, Pong(command.ref))

    # --- send ----------------------------------------------------------------------------------

    def _send(self, fd: int, send: Send) -> bytes | None:
        if self._joins.joined(fd, send.room) is None:
            return self._replies.error(fd, ErrorCode.NOT_JOINED, "join the room first", send.ref)
        identity = self._identity(fd)
        if identity.role == GUEST and self._config.auth.guests != "type":
            self._counts[ChatCount.REFUSED_READ_ONLY] += 1
            return self._replies.error(
                fd, ErrorCode.READ_ONLY, "guests may only read here", send.ref
            )
        text = clean_text(send.text)
        fault = text_problem(text, self._limits.text_chars)
        if fault is not None:
            code = ErrorCode.TEXT_TOO_LONG if text else ErrorCode.TEXT_EMPTY
            return self._replies.error(fd, code, fault, send.ref)
        entry = entries.pack_msg(
            identity.uid,
            identity.name,
            text,
            send.color,
            send.mode,
            send.size,
            int(self._wall() * 1000),
        )
        message_id = None if send.id is UNSET else str(send.id)
        outgoing = Outgoing(send.room, identity.uid, entry, message_id)
        self._publisher.submit(
            outgoing, (fd, self._group.table.generation[fd], send.room, send.ref)
        )
        return None

    def _published(self, results: list[tuple[Any, Outcome]]) -> None:
        """A flush is done: every sender gets its answers in one frame."""
        answers: dict[int, list[bytes]] = defaultdict(list)
        for (fd, generation, room, ref), outcome in results:
            if isinstance(outcome, Unpublished):
                self._counts[ChatCount.REFUSED_UNAVAILABLE] += 1
            elif outcome.duplicate:
                self._counts[ChatCount.DUPLICATES_PUBLISHED] += 1
            else:
                self._counts[ChatCount.PUBLISHED] += 1
            if self._group.alive(fd, generation):
                answers[fd].append(self._replies.one(fd, _verdict(room, ref, outcome)))
        for fd, events in answers.items():
            self._replies.send(fd, events)

    # --- from the streams ----------------------------------------------------------------------

    def _entries(self, stream: str, found: Sequence[Any]) -> None:
        if stream == self._store.keys.broadcast:
            for entry_id, fields in found:
                try:
                    self._notice(entry_id.decode(), fields[1])
                except entries.BadEntry:
                    self._counts[ChatCount.BAD_ENTRIES] += 1
        else:
            self.rooms.deliver(stream, found)

    def _notice(self, notice_id: str, entry: bytes) -> None:
        users, notice = entries.unpack_notice(entry, notice_id)
        if users is None:
            fds = self._group.open_connections()
        else:
            wanted = set(users)
            fds = [fd for fd, who in self._identities.items() if who.uid in wanted]
            fds += [fd for uid in wanted if (fd := self._guest(uid)) is not None]
        self._counts[ChatCount.NOTICES_DELIVERED] += len(fds)
        variant = self._group.table.variant
        members = [[fd for fd in fds if variant[fd] == each] for each in range(VARIANTS)]
        self._replies.fan_out(members, [notice], droppable=False)

    def _guest(self, uid: str) -> int | None:
        """The open connection of guest `uid`, if it is one of this shard's."""
        kind, _, name = uid.partition(":")
        try:
            fd = int(name.rpartition("-")[2], 16)
        except ValueError:
            return None
        if kind != GUEST or fd >= self._group.table.capacity or fd in self._identities:
            return None
        return fd if self._group.is_open(fd) and self._name(fd) == name else None

    def _emit(self, room: Room, events: Sequence[ServerEvent]) -> None:
        """Events to everyone in a room, in order."""
        self._replies.fan_out(room.members, events)


def _verdict(room: str, ref: Ref | Any, outcome: Outcome) -> ServerEvent:
    if isinstance(outcome, Unpublished):
        message = "the message was not published; send it again with the same id"
        return Error(ErrorCode.UNAVAILABLE, message, ref, round(outcome.retry_after, 2))
    return Ack(room, outcome.seq, f"{outcome.epoch}-{outcome.seq}", outcome.ts, ref)
