"""What viewers ask for: commands in, answers out. The connections' Handler.

Rules. Synchronous: a command is answered at once, or when Redis has answered, through `alive`
checks, never by waiting. Every command gets its answer: an event, or an error with a code. Who a
connection is, is Users'; its rooms are Members'; what it may say is the Gate's.

Danger: answers come later than commands. Whoever waits is kept as a Handle.
"""

import random
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from msgspec import UNSET, UnsetType

from chat.bus.entries import Said, pack
from chat.bus.publisher import Publisher
from chat.bus.store import Outgoing
from chat.config.sections import Config
from chat.counters import ChatCount
from chat.hub.acks import Sender
from chat.hub.replies import Replies, again
from chat.hub.users import Users
from chat.policy.gate import Attempt, CommandRate, Gate, Refusal
from chat.policy.identity import Refused
from chat.rooms.members import Members
from chat.rooms.paging import Paging
from chat.rooms.resume import Resume
from chat.rooms.rooms import Rooms
from chat.wire.batch import FRAME_BYTES
from chat.wire.dialects.dialect import BadCommand, Dialect
from chat.wire.schema import (
    Auth,
    Authed,
    Bye,
    Command,
    Error,
    ErrorCode,
    History,
    Join,
    Leave,
    Left,
    Ping,
    Pong,
    Ref,
    Send,
    ServerEvent,
    Welcome,
)
from chat.wire.variants import Variants
from shard.closecodes import CloseCode
from shard.connections import Connections
from shard.handler import Opening
from shard.handshake import Request, answer

MAX_STRIKES: Final = 100
"""Commands refused for their rate, one after the other, before the connection is closed."""
EXPIRY_TICKS: Final = 10
BYE_FRAMES: Final = 128
"""Different `reconnect_in` of one drain; clients behind one share it."""


class Hub:
    """The commands of one shard's viewers.

    rate  whether a connection may have one more command
    gate  what may be said
    wall  seconds since 1970
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        variants: Variants,
        users: Users,
        rooms: Rooms,
        members: Members,
        resume: Resume,
        paging: Paging,
        replies: Replies,
        rate: CommandRate,
        gate: Gate,
        publisher: Publisher[Sender],
        counts: "memoryview[int]",
        wall: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self._connections = connections
        self._heartbeat = config.heartbeat
        self._drain_s = config.server.drain_s
        self._most_rooms = config.limits.rooms_per_connection
        self._variants = variants
        self._users = users
        self._rooms = rooms
        self._members = members
        self._resume = resume
        self._paging = paging
        self._replies = replies
        self._rate = rate
        self._gate = gate
        self._publisher = publisher
        self._counts = counts
        self._wall = wall
        self._chance = chance
        self._strikes: dict[int, int] = {}
        self._unintroduced: dict[int, int] = {}
        self._tick = 0

    # --- the connections' handler --------------------------------------------------------------

    def on_open(self, fd: int, request: Request) -> Opening:
        self._rate.reset(fd)
        dialect = self._replies.dialect(fd)
        if dialect.introduces:
            self._unintroduced[fd] = self._tick
            return dialect.greeting()
        try:
            welcome = self._admit(fd, request.token, request.first("guest"))
        except Refused as refused:
            if dialect.watches:
                return answer(HTTPStatus.UNAUTHORIZED, str(refused))
            return refused.code, str(refused)
        joins = dialect.opening(request)
        if dialect.watches and not joins:
            return answer(HTTPStatus.BAD_REQUEST, "name a room to watch: ?room=lobby")
        if dialect.places and len(joins) > 1:
            variant = self._connections.variant(fd)
            self._connections.become(fd, self._variants.unshared(variant))
        written = [dialect.event(welcome) or b""]
        for join in joins[: self._most_rooms + 1]:  # what is beyond would all be refused alike
            self._rate.spend(fd)
            at_once = sum(map(len, written)) < FRAME_BYTES
            found = self._resume.join(fd, join, patient=True, at_once=at_once)
            if dialect.watches and isinstance(found, Error):
                later = found.retry_after is not UNSET
                status = HTTPStatus.SERVICE_UNAVAILABLE if later else HTTPStatus.BAD_REQUEST
                return answer(status, f"{found.code}: {found.message}")
            if isinstance(found, Error):
                written.append(dialect.event(found) or b"")
            elif found is not None:
                written.append(self._replies.joined(dialect, found, join.ref) or b"")
        frame = self._replies.frame(fd, [one for one in written if one])
        return dialect.greeting() + frame

    def on_message(self, fd: int, payload: bytes, binary: bool) -> None:
        variant = self._replies.variant(fd)
        dialect = variant.dialect
        if binary != dialect.binary:
            self._connections.close(fd, CloseCode.UNSUPPORTED_DATA)
            return
        self._counts[ChatCount.COMMANDS] += 1
        try:
            commands = dialect.decode(payload)
        except BadCommand as bad:
            self._counts[ChatCount.REFUSED_BAD_REQUEST] += 1
            self._replies.send(fd, [Error(bad.code, str(bad), bad.ref)])
            self._within_rate(fd, None)
            return
        for command in commands:
            if self._unintroduced and fd in self._unintroduced:
                self._introduce(fd, command)
            elif self._within_rate(fd, command):
                written = self._obey(fd, dialect, command)
                if written is not None:  # without a position: who is told that, gives no commands
                    self._connections.send(fd, variant.frame([written]))

    def on_unblocked(self, fd: int) -> None:
        self._resume.unblocked(fd)
        self._paging.unblocked(fd)

    def on_caught_up(self, fd: int) -> None:
        """It missed something, which may have been a gap or a new epoch. A watcher is sent away, to
        come back with its position; the others get each room's newest place again, see by its
        number or its epoch what they miss, and resume, also in a silent room."""
        if self._replies.dialect(fd).watches:
            self._connections.close(fd, CloseCode.SLOW_READER)
            return
        rooms = [room for room in self._members.of(fd) if self._members.has(fd, room)]
        if rooms:
            self._replies.send(fd, [again(room) for room in rooms])

    def on_close(self, fd: int, code: int) -> None:
        self._resume.close(fd)
        self._paging.close(fd)
        self._members.close(fd)
        self._users.close(fd)
        if self._strikes:
            self._strikes.pop(fd, None)
        if self._unintroduced:
            self._unintroduced.pop(fd, None)

    def on_tick(self, tick: int) -> None:
        self._tick = tick
        self._rooms.tick(tick)
        self._resume.tick(tick)
        self._paging.tick(tick)
        for fd, since in list(self._unintroduced.items()):
            if tick - since > self._heartbeat.handshake_s:
                self._connections.close(fd, CloseCode.BAD_TOKEN, "nobody was introduced")
        if tick % EXPIRY_TICKS == 0:
            for fd in self._users.expired():
                self._connections.close(fd, CloseCode.TOKEN_EXPIRED)

    def drain(self) -> None:
        """Tell everyone to come back, each at its own moment in the window, and close."""
        moments = [round(self._chance.uniform(0, self._drain_s), 2) for _ in range(BYE_FRAMES)]
        byes = [
            [one.wrap(one.dialect.farewell(Bye("restart", moment))) for moment in moments]
            for one in self._variants
        ]
        for fd in self._connections.open_connections():
            variant = self._connections.variant(fd)
            self._connections.send(fd, self._chance.choice(byes[variant]))
            self._connections.close(fd, CloseCode.RESTART)

    # --- who -----------------------------------------------------------------------------------

    def _admit(self, fd: int, token: str | None, key: str | None) -> Welcome:
        """Let somebody in. Raises Refused. A guest whose key is not ours is a new one."""
        handle = self._connections.handle(fd)
        try:
            who = self._users.admit(handle, token, key)
        except Refused:
            self._counts[ChatCount.REFUSED_TOKEN] += 1
            raise
        name = self._users.name(handle)
        theirs = self._users.key(who)
        if key and not token:
            self._count_guest(returned=theirs == key)
        ping_s = self._heartbeat.ping_s
        return Welcome(name, who.uid, who.name, who.role, ping_s, guest=theirs or UNSET)

    def _count_guest(self, returned: bool) -> None:
        self._counts[ChatCount.GUESTS_RETURNED if returned else ChatCount.REFUSED_GUEST_KEY] += 1

    def _introduce(self, fd: int, command: Command) -> None:
        """The first command of one whose request did not say who it is."""
        if not isinstance(command, Auth):
            self._connections.close(fd, CloseCode.BAD_TOKEN, "the first message says who it is")
            return
        try:
            welcome = self._admit(fd, _given(command.token), _given(command.guest))
        except Refused as refused:
            self._connections.close(fd, refused.code, str(refused))
            return
        del self._unintroduced[fd]
        self._replies.send(fd, [welcome])

    # --- commands ------------------------------------------------------------------------------

    def _within_rate(self, fd: int, command: Command | None) -> bool:
        """Whether the connection may have one more command; answers it when not."""
        refusal = self._rate.passes(fd)
        if refusal is None:
            if self._strikes:
                self._strikes.pop(fd, None)
            return True
        self._counts[ChatCount.REFUSED_RATE_LIMITED] += 1
        strikes = self._strikes[fd] = self._strikes.get(fd, 0) + 1
        if strikes > MAX_STRIKES:
            self._connections.close(fd, CloseCode.FLOODING)
        elif command is not None:
            self._replies.send(fd, [_error(refusal, command.ref)])
        return False

    def _obey(self, fd: int, dialect: Dialect, command: Command) -> bytes | None:
        """Carry out a command; its written answer, or None when that comes later."""
        match command:
            case Send():
                found: ServerEvent | None = self._send(fd, command)
            case Join():
                return self._join(fd, dialect, command)
            case Leave():
                found = self._leave(fd, command)
            case Auth():
                found = self._authenticate(fd, command)
            case History():
                found = self._paging.ask(fd, command)
            case Ping():
                found = Pong(command.ref)
        return None if found is None else dialect.event(found)

    def _join(self, fd: int, dialect: Dialect, join: Join) -> bytes | None:
        found = self._resume.join(fd, join)
        if isinstance(found, Error):
            return dialect.event(found)
        if found is not None:
            self._replies.answer(fd, found, join.ref)
        return None

    def _leave(self, fd: int, leave: Leave) -> ServerEvent:
        room = self._members.named(fd, leave.room)
        if room is None:
            return Error(ErrorCode.NOT_JOINED, "not in this room", leave.ref)
        self._resume.leave(fd, room)
        return Left(leave.room, leave.ref)

    def _authenticate(self, fd: int, auth: Auth) -> ServerEvent:
        if auth.token is UNSET:
            return self._readmit(fd, auth)
        try:
            who = self._users.admit(self._connections.handle(fd), auth.token)
        except Refused as refused:
            self._counts[ChatCount.REFUSED_TOKEN] += 1
            return Error(ErrorCode.FORBIDDEN, str(refused), auth.ref)
        return Authed(who.uid, who.name, who.role, who.expires, auth.ref)

    def _readmit(self, fd: int, auth: Auth) -> ServerEvent:
        """A guest comes back by a command."""
        who = self._users.readmit(fd, str(auth.guest))
        self._count_guest(returned=who is not None)
        if who is None:
            return Error(ErrorCode.FORBIDDEN, "this is no guest's key of ours", auth.ref)
        return Authed(who.uid, who.name, who.role, who.expires, auth.ref)

    # --- sending -------------------------------------------------------------------------------

    def _send(self, fd: int, send: Send) -> Error | None:
        who = self._users.of(fd)
        attempt = Attempt(send.room, send.text, who, fd)
        refusal = self._gate.passes(attempt)
        if refusal is not None:
            if refusal.code is ErrorCode.READ_ONLY:
                self._counts[ChatCount.REFUSED_READ_ONLY] += 1
            return _error(refusal, send.ref)
        now_ms = int(self._wall() * 1000)
        said = Said(who.uid, who.name, attempt.text, send.color, send.mode, send.size, now_ms)
        message_id = None if send.id is UNSET else str(send.id)
        self._publisher.submit(
            Outgoing(send.room, who.uid, pack(said), message_id),
            Sender(self._connections.handle(fd), send.room, send.ref),
        )
        return None


def _given(field: str | UnsetType) -> str | None:
    return None if field is UNSET else field


def _error(refusal: Refusal, ref: Ref | UnsetType) -> Error:
    after = UNSET if refusal.retry_after is None else refusal.retry_after
    return Error(refusal.code, refusal.message, ref, after)
