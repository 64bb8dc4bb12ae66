"""What viewers ask for: commands in, answers out. The connections' Handler.

Rules. Synchronous: a command is answered at once, or when Redis has answered, through `alive`
checks, never by waiting. Every command gets its answer: an event, or an error with a code. Who a
connection is, is Admission's to say and Users' to know; its rooms are Members'; what it may say is
the Gate's.

Danger: answers come later than commands. Whoever waits is kept as a Handle.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from msgspec import UNSET

from chat.config.sections import Config
from chat.counters import ChatCount
from chat.hub.acks import error
from chat.hub.admission import Admission
from chat.hub.arrivals import Arrivals
from chat.hub.draining import drain
from chat.hub.enforcement import Enforcement
from chat.hub.foreign import Foreign
from chat.hub.introductions import Introductions
from chat.hub.joinnotices import JoinNotices
from chat.hub.liking import Liking
from chat.hub.moderators import Moderators
from chat.hub.replies import Replies, again
from chat.hub.reporting import Reporting
from chat.hub.speech import Speech
from chat.hub.users import Users
from chat.hub.wanted import wanted_by
from chat.policy.gate import CommandRate, Refusal
from chat.policy.hooks import Hooks
from chat.policy.identity import Refused
from chat.policy.rules import Rulebook
from chat.rooms.answers import Answer
from chat.rooms.members import Members
from chat.rooms.paging import Paging
from chat.rooms.resume import Resume
from chat.rooms.room import Room
from chat.rooms.rooms import Rooms
from chat.wire.batch import FRAME_BYTES
from chat.wire.commands import (
    Auth,
    History,
    Join,
    Leave,
    Like,
    Moderate,
    Ping,
    Report,
    Send,
)
from chat.wire.dialects.dialect import BadCommand, Dialect, Missed
from chat.wire.foreign import Asked, Beat, Connect, Invalid, Subscribe, Told, Unsubscribe
from chat.wire.schema import Error, ErrorCode, Left, Pong, ServerEvent, Welcome
from chat.wire.variants import Variants
from shard.closecodes import CloseCode
from shard.connections import Connections
from shard.handler import Opening
from shard.handshake import Request, answer

MAX_STRIKES: Final = 100
"""Commands refused for their rate, one after the other, before the connection is closed."""
WATCHERS: Final = {
    ErrorCode.BANNED: HTTPStatus.FORBIDDEN,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
}
"""How one is answered who can only watch and may not."""
AGAIN: Final = "one says who one is once"
NOTHING: Final[Mapping[str, Refusal]] = {}
COMMANDS: Final = ChatCount.COMMANDS  # looked up once: it takes 50 ns, and commands are many


class Hub:
    """The commands of one shard's viewers.

    rate  whether a connection may have one more command
    book  the rules that are known here
    wall  seconds since 1970
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        variants: Variants,
        users: Users,
        admission: Admission,
        rooms: Rooms,
        members: Members,
        resume: Resume,
        paging: Paging,
        replies: Replies,
        rate: CommandRate,
        book: Rulebook,
        enforcement: Enforcement,
        moderators: Moderators,
        reporting: Reporting,
        speech: Speech,
        liking: Liking,
        join_notices: JoinNotices,
        hooks: Hooks | None,
        counts: "memoryview[int]",
        wall: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self._connections = connections
        self._config = config
        self._variants = variants
        self._users = users
        self._admission = admission
        self._rooms = rooms
        self._members = members
        self._resume = resume
        self._paging = paging
        self._replies = replies
        self._rate = rate
        self._book = book
        self._enforcement = enforcement
        self._moderators = moderators
        self._reporting = reporting
        self._say = speech.say
        self._liking = liking
        self._join_notices = join_notices
        self._counts = counts
        self._wall = wall
        self._chance = chance
        self.arrivals = Arrivals(
            *(connections, hooks, users, admission, members, replies, config.limits, counts),
            obey=self._obey_later,
            open_rooms=self._open_rooms,
        )
        self._asks = self.arrivals.asks
        self.introductions = Introductions(
            *(connections, variants, admission, self.arrivals, replies),
            within_s=config.heartbeat.handshake_s,
        )
        self._unintroduced = self.introductions.waiting
        self.foreign = Foreign(connections, users, members, resume, paging, counts)
        self._strikes: dict[int, int] = {}

    # --- the connections' handler --------------------------------------------------------------

    def on_open(self, fd: int, request: Request) -> Opening:  # hot: once per viewer that connects
        variant = self._replies.variant(fd)
        wanted = wanted_by(request, variant.dialect)
        dialect = wanted.dialect
        if dialect is not variant.dialect:
            number = self._connections.variant(fd)
            self._connections.become(fd, self._variants.speaking(number, dialect))
            variant = self._replies.variant(fd)
        if dialect.introduces:
            self._rate.begin(fd)
            self._rate.begin_beats(fd)
            self.introductions.wait(fd)
            return dialect.greeting()
        try:
            welcome = self._admission.admit(fd, wanted.token, wanted.guest, wanted.name)
        except Refused as refused:
            if dialect.watches:
                banned = refused.code is CloseCode.BANNED
                status = HTTPStatus.FORBIDDEN if banned else HTTPStatus.UNAUTHORIZED
                return answer(status, str(refused))
            return refused.code, str(refused)
        joins = wanted.joins[: self._config.limits.rooms_per_connection + 1]  # see _open_rooms
        self._rate.begin(fd, len(joins))
        if dialect.watches and not joins:
            return answer(HTTPStatus.BAD_REQUEST, "name a room to watch: ?room=lobby")
        if dialect.places and len(joins) > 1:
            number = self._connections.variant(fd)
            self._connections.become(fd, self._variants.unshared(number))
        if self._asks:
            self.arrivals.admit(fd, welcome, joins)
            return dialect.greeting()
        written = self._open_rooms(fd, dialect, welcome, joins, NOTHING)
        if not isinstance(written, list):
            later = written.retry_after is not UNSET
            status = HTTPStatus.SERVICE_UNAVAILABLE if later else HTTPStatus.BAD_REQUEST
            status = WATCHERS.get(written.code, status)
            return answer(status, f"{written.code}: {written.message}", *_when(written))
        self._admission.let_in(fd)
        if dialect.places:
            return dialect.greeting() + self._replies.frame(fd, written)
        return dialect.greeting() + variant.frame(written)

    def _open_rooms(
        self,
        fd: int,
        dialect: Dialect,
        welcome: Welcome,
        joins: Sequence[Join],
        closed: Mapping[str, Refusal],
    ) -> list[bytes] | Error:
        """What a newcomer is told, its rooms joined but for those `closed` to it; or why a watcher
        is not served. One room too many stands for all that are, and is refused."""
        first = dialect.event(welcome)
        written, size = ([first], len(first)) if first else ([], 0)
        most = self._config.limits.rooms_per_connection
        for number, join in enumerate(joins):
            refusal: Refusal | None
            if number == most:
                self._counts[ChatCount.REFUSED_TOO_MANY_ROOMS] += 1
                refusal = Refusal(ErrorCode.TOO_MANY_ROOMS, f"at most {most} rooms at once")
            else:
                refusal = closed.get(join.room) or self._enforcement.bars(fd, join.room)
            if refusal is not None:
                found: Room | Answer | Error | None = error(refusal, join.ref)
            else:
                found = self._resume.join(fd, join, patient=True, at_once=size < FRAME_BYTES)
            if found is None:
                continue
            if type(found) is Room or not isinstance(found, Error):
                one = self._replies.joined(fd, found, join.ref)
            elif not dialect.watches:
                one = dialect.event(found)
            else:
                return found
            if one:
                written.append(one)
                size += len(one)
        return written

    def on_message(self, fd: int, payload: bytes, binary: bool) -> None:
        variant = self._replies.variant(fd)
        dialect = variant.dialect
        if binary != dialect.binary:
            self._connections.close(fd, CloseCode.UNSUPPORTED_DATA)
            return
        self._counts[COMMANDS] += 1
        try:
            commands = dialect.decode(payload)
        except BadCommand as bad:
            self._counts[ChatCount.REFUSED_BAD_REQUEST] += 1
            if bad.closes is not None:
                self._connections.close(fd, bad.closes, str(bad))
                return
            self._replies.send(fd, [Error(bad.code, str(bad), bad.ref)])
            self._within_rate(fd, None)
            return
        for at, command in enumerate(commands):
            if at and not self._connections.is_open(fd):
                return  # by what was asked for before
            if self._unintroduced and fd in self._unintroduced:
                self.introductions.introduce(fd, command)
            elif self._within_rate(fd, command):
                if self._asks and self.arrivals.takes(fd, command):
                    continue
                written = self._obey(fd, dialect, command)
                if written is not None:  # without a position: who is told that, gives no commands
                    self._connections.send(fd, variant.frame([written]))

    def on_unblocked(self, fd: int) -> None:
        self._resume.unblocked(fd)
        self._paging.unblocked(fd)

    def on_caught_up(self, fd: int) -> None:
        """It missed something, which may have been a gap or a new epoch: see `Missed`. Who is shown
        each room's newest place again sees by its number or its epoch what is missing, also in a
        silent room."""
        match self._replies.dialect(fd).missed:
            case Missed.CLOSE:
                self._connections.close(fd, CloseCode.SLOW_READER)
            case Missed.SHOW:
                rooms = [room for room in self._members.of(fd) if self._members.has(fd, room)]
                if rooms:
                    self._replies.send(fd, [again(room) for room in rooms])

    def on_close(self, fd: int, code: int) -> None:
        self._resume.close(fd)
        self._paging.close(fd)
        self._members.close(fd)
        self._admission.close(fd)
        if self.arrivals.newcomers or self._asks:
            self.arrivals.close(fd)
        if self._strikes:
            self._strikes.pop(fd, None)
        if self._unintroduced:
            self.introductions.close(fd)
        self.foreign.close(fd)

    def on_tick(self, tick: int) -> None:
        self._book.sweep(int(self._wall() * 1000))
        self._rooms.tick(tick)
        self._resume.tick(tick)
        self._paging.tick(tick)
        self._liking.tick()
        self._join_notices.tick()
        self.introductions.tick(tick)
        self._admission.tick(tick)

    def lately_sent(self, fd: int, since: int) -> bool:
        if self._replies.dialect(fd).pings:
            return False
        return self._members.lately_sent(fd, since)

    async def drain(self, others: bool) -> None:
        """Let everyone go in steps within the window; `others` is whether other nodes take them."""
        drain_s = self._config.server.drain_s
        await drain(self._connections, self._variants, drain_s, others, self._chance)

    # --- commands ------------------------------------------------------------------------------

    def _within_rate(self, fd: int, command: Asked | None) -> bool:
        """Whether the connection may have one more command; answers it when not."""
        if type(command) is Beat and self._rate.beats(fd):
            return True
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
            self._replies.send(fd, [error(refusal, command.ref)])
        return False

    def _obey(self, fd: int, dialect: Dialect, command: Asked) -> bytes | None:
        """Carry out a command; its written answer, or None when that comes later."""
        match command:
            case Send():
                found: Told | None = self._say(fd, command)
            case Ping():
                found = Pong(command.ref)
            case Subscribe() if (why := self.foreign.bars(fd, command)) is not None:
                found = why
            case Join():
                return self._join(fd, dialect, command)
            case Leave() if not isinstance(command, Unsubscribe):
                found = self._leave(fd, command)
            case Auth():
                found = self._admission.authenticate(fd, command)
            case Like():
                found = self._liking.like(fd, command)
            case Report():
                found = self._reporting.report(fd, command)
            case History():
                found = self._paging.ask(fd, command)
            case Moderate():
                found = self._moderators.act(fd, command)
            case Connect():
                self._connections.close(fd, CloseCode.PROTOCOL_ERROR, AGAIN)
                return None
            case Invalid():
                self._counts[ChatCount.REFUSED_BAD_REQUEST] += 1
                found = Error(command.code, command.message, command.ref)
            case _:
                found = self.foreign.obey(fd, command)
        return None if found is None else dialect.event(found)

    def _obey_later(self, fd: int, command: Asked) -> None:
        """Carry out a command that had to wait."""
        variant = self._replies.variant(fd)
        written = self._obey(fd, variant.dialect, command)
        if written is not None:
            self._connections.send(fd, variant.frame([written]))

    def _join(self, fd: int, dialect: Dialect, join: Join) -> bytes | None:
        # Who only watches and says where in its first message has no other way to try again.
        patient = dialect.watches and join.ref is UNSET
        settles = type(join) is not Join and self.foreign.prepare(fd, join)
        refusal = self._enforcement.bars(fd, join.room)
        found: Room | Answer | Error | None
        if refusal is not None:
            found = error(refusal, join.ref)
        else:
            found = self._resume.join(fd, join, patient, settles=settles)
        if isinstance(found, Error):
            if dialect.watches and found.code not in WATCHERS:
                later = found.retry_after is not UNSET
                code = CloseCode.RESTART if later else CloseCode.POLICY_VIOLATION
                self._connections.close(fd, code, found.message)
                return None
            return dialect.event(found)
        if found is not None:
            self._replies.answer(fd, found, join.ref)
        return None

    def _leave(self, fd: int, leave: Leave) -> ServerEvent:
        room = self._members.named(fd, leave.room)
        if room is None:
            self._counts[ChatCount.REFUSED_NOT_JOINED] += 1
            return Error(ErrorCode.NOT_JOINED, "not in this room", leave.ref)
        self._resume.leave(fd, room)
        return Left(leave.room, leave.ref)


def _when(error: Error) -> tuple[str, ...]:
    """The header that says when to come back, where time helps."""
    after = error.retry_after
    return () if after is UNSET else (f"Retry-After: {math.ceil(after)}",)
