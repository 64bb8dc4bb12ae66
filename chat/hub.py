"""What a shard is for: viewers join rooms, type, and get what is said. The group's Handler.

Rules. Synchronous: a message is answered at once, or when Redis has answered, through `alive`
checks, never by waiting. Per viewer there is a place in the list of rooms it is in (shared by all
who are only in that room), and an identity if it came with a token; a guest's identity is computed.
Every command gets its answer: an event, or an error with a code.

Danger: answers come later than commands. Whoever waits is kept as (descriptor, generation).
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from msgspec import UNSET

from chat import entries
from chat.codec import CODECS, VARIANTS, BadCommand, Codec, codec_of, frame
from chat.config import Config
from chat.counters import ChatCount
from chat.flow import Flow
from chat.identity import GUEST, Identity, Refused, guest, verify
from chat.publisher import Outcome, Publisher, Unpublished, new_epoch
from chat.reader import Reader
from chat.room import Phase, Room, Snapshot, Waiting
from chat.rooms import Rooms
from chat.rules import clean_text, room_problem, text_problem
from chat.schema import (
    Ack,
    Bye,
    Command,
    Error,
    ErrorCode,
    Join,
    Joined,
    Leave,
    Left,
    Msg,
    Ping,
    Pong,
    Ref,
    Send,
    ServerEvent,
    State,
    Welcome,
)
from chat.store import Outgoing, Store, StoreError
from shard.closecodes import CloseCode
from shard.group import ConnectionGroup
from shard.handler import Opening
from shard.handshake import Request

MAX_EVENTS_PER_FRAME: Final = 256
MAX_STRIKES: Final = 100
"""Commands refused for their rate, one after the other, before the connection is closed."""
EXPIRY_TICKS: Final = 10
AGAIN_S: Final = (1.0, 3.0)
"""When to try again what Redis is away for: not everybody at once."""
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
        self._store = store
        self._shard = shard
        self._counts = counts
        self._clock = clock
        self._wall = wall
        self._chance = chance or random.Random()
        self._rooms_of: list[tuple[Room, ...]] = [()] * rows
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
        self.rooms = Rooms(
            store,
            config.rooms,
            shard,
            VARIANTS,
            counts,
            self._emit,
            self._answer_waiting,
            self._turn_away_waiting,
        )
        self._reader = self.rooms.reader = Reader(
            store,
            shard,
            config.bus.flush_interval_ms / 1000,
            config.bus.read_count,
            self._entries,
            self.rooms.resync,
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
        try:
            identity = self._admit(fd, request)
        except Refused as refused:
            self._counts[ChatCount.REFUSED_TOKEN] += 1
            return refused.code
        self._flow.reset(fd)
        codec = self._codec(fd)
        heartbeat = self._config.heartbeat.ping_s
        welcome = Welcome(self._name(fd), identity.uid, identity.name, identity.role, heartbeat)
        events = [codec.one(welcome)]
        for room in dict.fromkeys(request.query.get("room", ())):
            answer = self._join(fd, Join(room), patient=True)
            if answer is not None:
                events.append(answer)
        return frame(codec, events)

    def on_message(self, fd: int, payload: bytes, binary: bool) -> None:
        codec = self._codec(fd)
        if binary != codec.binary:
            self._group.close(fd, CloseCode.UNSUPPORTED_DATA)
            return
        self._counts[ChatCount.COMMANDS] += 1
        try:
            command = codec.decode(payload)
        except BadCommand as bad:
            self._counts[ChatCount.REFUSED_BAD_REQUEST] += 1
            self._refuse(fd, bad.code, str(bad), bad.ref)
            self._limit(fd, None)
            return
        if self._limit(fd, command):
            answer = self._obey(fd, command)
            if answer is not None:
                self._group.send(fd, frame(codec, [answer]))

    def on_close(self, fd: int, code: int) -> None:
        variant = self._group.table.variant[fd]
        for room in self._rooms_of[fd]:
            room.members[variant].discard(fd)
        self._rooms_of[fd] = ()
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

    def _admit(self, fd: int, request: Request) -> Identity:
        token = request.first("token")
        if token:
            identity = self._identities[fd] = verify(token, self._config.auth.secret)
            return identity
        if self._config.auth.guests == "refuse":
            raise Refused(CloseCode.GUESTS_REFUSED)
        return guest(self._name(fd))

    def _name(self, fd: int) -> str:
        """A connection's name: no other connection of any shard ever has it."""
        return f"{self._shard}-{self._group.table.generation[fd]:x}-{fd:x}"

    def _identity(self, fd: int) -> Identity:
        return self._identities.get(fd) or guest(self._name(fd))

    def _codec(self, fd: int) -> Codec:
        return codec_of(self._group.table.variant[fd])

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
            self._refuse(
                fd, ErrorCode.RATE_LIMITED, f"at most {per_s} commands a second", command.ref, wait
            )
        return False

    def _obey(self, fd: int, command: Command) -> bytes | None:
        """Carry out a command; its encoded answer, or None when that comes later."""
        match command:
            case Send():
                return self._send(fd, command)
            case Join():
                return self._join(fd, command)
            case Leave():
                return self._leave(fd, command)
            case Ping():
                return self._codec(fd).one(Pong(command.ref))

    def _refusal(
        self,
        fd: int,
        code: ErrorCode,
        message: str,
        ref: Ref | Any = UNSET,
        retry_after: float | None = None,
    ) -> bytes:
        after = UNSET if retry_after is None else round(retry_after, 2)
        return self._codec(fd).one(Error(code, message, ref, after))

    def _refuse(
        self,
        fd: int,
        code: ErrorCode,
        message: str,
        ref: Ref | Any,
        retry_after: float | None = None,
    ) -> None:
        refusal = self._refusal(fd, code, message, ref, retry_after)
        self._group.send(fd, frame(self._codec(fd), [refusal]))

    # --- join and leave ------------------------------------------------------------------------

    def _join(self, fd: int, join: Join, patient: bool = False) -> bytes | None:
        name = join.room
        fault = room_problem(name, self._limits.room_chars)
        if fault is not None:
            return self._refusal(fd, ErrorCode.BAD_ROOM, fault, join.ref)
        rooms = self._rooms_of[fd]
        most = self._limits.rooms_per_connection
        if len(rooms) >= most and self.rooms.by_name.get(name) not in rooms:
            return self._refusal(
                fd, ErrorCode.TOO_MANY_ROOMS, f"at most {most} rooms at once", join.ref
            )
        room = self.rooms.enter(name)
        if room not in rooms:
            self._rooms_of[fd] = (*rooms, room) if rooms else room.alone
        self._counts[ChatCount.JOINS] += 1
        since = None if join.since is None else (join.since.epoch, join.since.seq)
        if room.phase is Phase.LIVE:
            if since is None:
                self._enter(fd, room)
                return self._snapshot(fd, room, join.ref)
            missed = room.missed(since)
            if missed is not None or since[0] != room.epoch:
                self._enter(fd, room)
                return self._codec(fd).one(self._joined(room, since, missed, join.ref))
        generation = self._group.table.generation[fd]
        waiting = Waiting(fd, generation, since, join.ref, patient)
        if room.phase is Phase.LIVE:
            self._begin_resume(room, waiting)
        else:
            room.waiting.append(waiting)
        return None

    def _enter(self, fd: int, room: Room) -> None:
        room.empty_since = 0
        room.members[self._group.table.variant[fd]].add(fd)

    def _snapshot(self, fd: int, room: Room, ref: Ref | Any) -> bytes:
        """A `joined` with the newest messages; those without a ref share one encoding."""
        if ref is not UNSET:
            return self._codec(fd).one(self._joined(room, None, None, ref))
        variant = self._group.table.variant[fd]
        kept = room.snapshots[variant]
        online = room.online
        # In a large room a count that is 1 % old does.
        if kept is None or kept.seq != room.seq or abs(kept.online - online) * 100 > online:
            encoded = self._codec(fd).one(self._joined(room, None, None, UNSET))
            kept = room.snapshots[variant] = Snapshot(room.seq, online, encoded)
        return kept.encoded

    def _joined(
        self,
        room: Room,
        since: tuple[str, int] | None,
        missed: list[Msg] | None,
        ref: Ref | Any,
    ) -> Joined:
        """The answer to a join; `missed` None is a position that cannot be resumed."""
        recovered = since is not None and missed is not None
        if since is not None:
            self._counts[ChatCount.RESUMED if recovered else ChatCount.RESUME_FAILED] += 1
        seq = room.seq
        if recovered and since is not None:
            # The client may be ahead of this shard by what is on its way here.
            seq = max(seq, since[1])
        history = room.newest if missed is None else missed
        return Joined(room.name, room.epoch, seq, room.online, recovered, history, State(), ref)

    def _begin_resume(self, room: Room, waiting: Waiting) -> None:
        room.resuming += 1  # it must not be closed meanwhile
        self.rooms.spawn(self._resume(room, waiting))

    async def _resume(self, room: Room, waiting: Waiting) -> None:
        """Answer a join whose `since` the room cannot judge from what it remembers."""
        assert waiting.since is not None
        epoch, after = waiting.since
        try:
            state = await self._store.open_room(room.name, new_epoch(), after=after, of=epoch)
        except StoreError:
            self._turn_away(room, waiting)
            return
        finally:
            room.resuming -= 1
        if not self._group.alive(waiting.fd, waiting.generation):
            return
        if room.phase is not Phase.LIVE:
            room.waiting.append(waiting)
            return
        # What was read may be ahead of this shard, or behind it by now. And a position that not
        # even Redis has reached was reached before it was set back.
        missed = [message for message in state.messages if after < message.seq <= room.seq]
        last = missed[-1].seq if missed else after
        missed += [message for message in room.recent if message.seq > last]
        whole = (
            epoch == room.epoch == state.epoch
            and after <= state.seq
            and len(missed) == max(0, room.seq - after)
        )
        self._answer(room, waiting, missed if whole else None)

    def _answer_waiting(self, room: Room) -> None:
        """The room is live: answer those who came before it was."""
        waiting, room.waiting = room.waiting, []
        for one in waiting:
            if not self._group.alive(one.fd, one.generation):
                continue
            missed = None if one.since is None else room.missed(one.since)
            if one.since is not None and missed is None and one.since[0] == room.epoch:
                self._begin_resume(room, one)
            else:
                self._answer(room, one, missed)

    def _turn_away_waiting(self, room: Room) -> None:
        """The room cannot be had now: refuse those who wait for it, but for the patient."""
        waiting, room.waiting = room.waiting, []
        for one in waiting:
            self._turn_away(room, one)
            if one.patient and self._group.alive(one.fd, one.generation):
                room.waiting.append(one)

    def _turn_away(self, room: Room, waiting: Waiting) -> None:
        """Say that a join has to wait. It is refused, unless it is patient; then it is said once.

        Who is in the room already and asked to be brought up to date stays in it.
        """
        fd = waiting.fd
        if waiting.told or not self._group.alive(fd, waiting.generation):
            return
        if waiting.patient:
            waiting.told = True
            message = f"the room {room.name} cannot be opened now; you are let in when it can"
        else:
            message = f"the room {room.name} cannot be read now; join again"
            if fd not in room.members[self._group.table.variant[fd]]:
                self._forget(fd, room)
        self._counts[ChatCount.REFUSED_UNAVAILABLE] += 1
        after = self._chance.uniform(*AGAIN_S)
        self._refuse(fd, ErrorCode.UNAVAILABLE, message, waiting.ref, after)

    def _forget(self, fd: int, room: Room) -> None:
        left = tuple(other for other in self._rooms_of[fd] if other is not room)
        self._rooms_of[fd] = left[0].alone if len(left) == 1 else left

    def _answer(self, room: Room, waiting: Waiting, missed: list[Msg] | None) -> None:
        fd = waiting.fd
        if room not in self._rooms_of[fd]:
            return  # it left before it was let in
        self._enter(fd, room)
        codec = self._codec(fd)
        joined = self._joined(room, waiting.since, missed, waiting.ref)
        self._group.send(fd, frame(codec, [codec.one(joined)]))

    def _leave(self, fd: int, leave: Leave) -> bytes:
        rooms = self._rooms_of[fd]
        room = self.rooms.by_name.get(leave.room)
        if room is None or room not in rooms:
            return self._refusal(fd, ErrorCode.NOT_JOINED, "not in this room", leave.ref)
        self._forget(fd, room)
        room.members[self._group.table.variant[fd]].discard(fd)
        if room.waiting:
            room.waiting = [waiting for waiting in room.waiting if waiting.fd != fd]
        return self._codec(fd).one(Left(leave.room, leave.ref))

    # --- send ----------------------------------------------------------------------------------

    def _send(self, fd: int, send: Send) -> bytes | None:
        room = self.rooms.by_name.get(send.room)
        if room is None or room not in self._rooms_of[fd]:
            return self._refusal(fd, ErrorCode.NOT_JOINED, "join the room first", send.ref)
        identity = self._identity(fd)
        if identity.role == GUEST and self._config.auth.guests != "type":
            self._counts[ChatCount.REFUSED_READ_ONLY] += 1
            return self._refusal(fd, ErrorCode.READ_ONLY, "guests may only read here", send.ref)
        text = clean_text(send.text)
        fault = text_problem(text, self._limits.text_chars)
        if fault is not None:
            code = ErrorCode.TEXT_TOO_LONG if text else ErrorCode.TEXT_EMPTY
            return self._refusal(fd, code, fault, send.ref)
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
                answers[fd].append(self._codec(fd).one(_verdict(room, ref, outcome)))
        for fd, events in answers.items():
            self._group.send(fd, frame(self._codec(fd), events))

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
        self._fan_out(members, [notice], droppable=False)

    def _guest(self, uid: str) -> int | None:
        """The open connection of guest `uid`, if it is one of this shard's."""
        kind, _, name = uid.partition(":")
        try:
            fd = int(name.rpartition("-")[2], 16)
        except ValueError:
            return None
        if kind != GUEST or fd >= len(self._rooms_of) or fd in self._identities:
            return None
        return fd if self._group.is_open(fd) and self._name(fd) == name else None

    def _emit(self, room: Room, events: Sequence[ServerEvent]) -> None:
        """Events to everyone in a room, in order."""
        for start in range(0, len(events), MAX_EVENTS_PER_FRAME):
            self._fan_out(room.members, events[start : start + MAX_EVENTS_PER_FRAME])

    def _fan_out(
        self,
        members: Sequence[Collection[int]],
        events: Sequence[ServerEvent],
        droppable: bool = True,
    ) -> None:
        """Encode once per codec, compress once per codec, write once per viewer.

        `members` are descriptors by variant.
        """
        for plain, codec in enumerate(CODECS):
            packed = plain + len(CODECS)
            if not members[plain] and not members[packed]:
                continue
            parts = [codec.one(event) for event in events]
            if members[plain]:
                self._group.fan_out(members[plain], frame(codec, parts), droppable)
            if members[packed]:
                self._group.fan_out(members[packed], frame(codec, parts, True), droppable)


def _verdict(room: str, ref: Ref | Any, outcome: Outcome) -> ServerEvent:
    if isinstance(outcome, Unpublished):
        message = "the message was not published; send it again with the same id"
        return Error(ErrorCode.UNAVAILABLE, message, ref, round(outcome.retry_after, 2))
    return Ack(room, outcome.seq, f"{outcome.epoch}-{outcome.seq}", outcome.ts, ref)
