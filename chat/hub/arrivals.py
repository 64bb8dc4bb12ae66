"""Who waits for a hook's word on connecting or joining, and what they ask for meanwhile.

Rules. A connection waits for one question at a time. Its commands wait with it, in order and up to
a bound; so nobody does anything before being let in, and what follows a join comes after it. A
newcomer is told nothing until its welcome, and replaces no other of its user's before. Who closes
while it waits is forgotten. Who is in a room already is not asked about again, nor is who stays the
same user. Without hooks nobody is ever here.

Danger: answers come later than questions. Whoever waits is kept as a Handle.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import UNSET

from chat.config.sections import Limits
from chat.counters import ChatCount
from chat.hub.acks import error
from chat.hub.admission import Admission
from chat.hub.replies import Replies
from chat.hub.users import Users
from chat.policy.gate import PASS, Refusal, Verdict
from chat.policy.hooks import Hooks
from chat.policy.identity import Identity
from chat.policy.text import room_problem
from chat.rooms.members import Members
from chat.tasks import Tasks
from chat.wire.commands import (
    Auth,
    Join,
)
from chat.wire.dialects.dialect import Dialect
from chat.wire.foreign import Asked
from chat.wire.schema import (
    Authed,
    Bye,
    Error,
    ErrorCode,
    Welcome,
)
from pool.handle import Handle
from shard.closecodes import CloseCode
from shard.connections import Connections

MOST_WAITING: Final = 64
"""Commands of a connection that wait: more than a page sends that joins its rooms."""

Found = TypeVar("Found")
Admitted = tuple[Verdict, dict[str, Refusal]]
"""Whether somebody is let in, and the rooms that are closed to it."""
OpenRooms = Callable[
    [int, Dialect, Welcome, Sequence[Join], Mapping[str, Refusal]], list[bytes] | Error
]
"""Joins a newcomer's rooms but those that are closed: what it is told, or why it is not served."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A connection that was asked about, and the commands it has sent since."""

    handle: Handle
    asking: bool = True
    commands: deque[Asked] = field(default_factory=deque)


class Arrivals:
    """Those of one shard's connections.

    hooks  who is asked; None: nobody
    obey   carries out a command that has waited

    asks       whether anybody is ever asked about
    newcomers  connections that have not been let in yet, or not said who they are
    """

    def __init__(
        self,
        connections: Connections,
        hooks: Hooks | None,
        users: Users,
        admission: Admission,
        members: Members,
        replies: Replies,
        limits: Limits,
        counts: "memoryview[int]",
        obey: Callable[[int, Asked], None],
        open_rooms: OpenRooms,
    ) -> None:
        self.asks = hooks is not None and (hooks.connects or hooks.joins)
        self.newcomers: set[int] = set()
        self._connections = connections
        self._hooks = hooks
        self._users = users
        self._admission = admission
        self._members = members
        self._replies = replies
        self._limits = limits
        self._counts = counts
        self._obey = obey
        self._open_rooms = open_rooms
        self._waiting: dict[int, _Waiting] = {}
        self._tasks = Tasks("arrivals")

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def close(self, fd: int) -> None:
        """A connection is over."""
        self._waiting.pop(fd, None)
        self.newcomers.discard(fd)

    def admit(self, fd: int, welcome: Welcome, joins: Sequence[Join]) -> None:
        """Ask whether a newcomer may come in, and into which of its rooms."""
        assert self._hooks is not None
        self.newcomers.add(fd)
        asking = self._admitted(self._hooks, self._users.of(fd), joins)
        self._ask(fd, asking, partial(self._let_in, fd, welcome, joins))

    def takes(self, fd: int, command: Asked) -> bool:
        """Whether a command waits here, for its own question or for one before it."""
        if fd in self._waiting:
            self._put(fd, command)
            return True
        return self._is_question(fd, command)

    # --- waiting -------------------------------------------------------------------------------

    def _put(self, fd: int, command: Asked) -> None:
        commands = self._waiting[fd].commands
        if len(commands) < MOST_WAITING:
            commands.append(command)
            return
        self._counts[ChatCount.REFUSED_RATE_LIMITED] += 1
        message = f"{MOST_WAITING} commands wait until it is known what you may do"
        self._replies.send(fd, [Error(ErrorCode.RATE_LIMITED, message, command.ref, 1.0)])

    def _ask(
        self, fd: int, question: Coroutine[Any, Any, Found], then: Callable[[Found], None]
    ) -> None:
        if fd not in self._waiting:
            self._waiting[fd] = _Waiting(self._connections.handle(fd))
        waiting = self._waiting[fd]
        waiting.asking = True
        self._tasks.spawn(self._answer(waiting, question, then))

    async def _answer(
        self,
        waiting: _Waiting,
        question: Coroutine[Any, Any, Found],
        then: Callable[[Found], None],
    ) -> None:
        """Wait for the answer, act on it, and go on with what has waited."""
        found = await question
        if not self._is_there(waiting):
            return
        fd = waiting.handle.fd
        self.newcomers.discard(fd)
        waiting.asking = False
        try:
            then(found)
            while waiting.commands and not waiting.asking and self._is_there(waiting):
                command = waiting.commands.popleft()
                if not self._is_question(fd, command):
                    self._obey(fd, command)
        except Exception:
            self._connections.close(fd, CloseCode.INTERNAL_ERROR)
            raise
        if not waiting.asking and self._waiting.get(fd) is waiting:
            del self._waiting[fd]

    def _is_there(self, waiting: _Waiting) -> bool:
        there = self._waiting.get(waiting.handle.fd) is waiting
        return there and self._connections.alive(waiting.handle)

    # --- questions -----------------------------------------------------------------------------

    def _is_question(self, fd: int, command: Asked) -> bool:
        """Whether somebody is to be asked about a command first, and now is."""
        hooks = self._hooks
        assert hooks is not None
        match command:
            case Join() if hooks.joins and self._is_new_room(fd, command.room):
                asking = hooks.join(self._users.of(fd), command.room)
                self._ask(fd, asking, partial(self._join, fd, command))
                return True
            case Auth() if hooks.connects:
                return self._is_somebody_else(fd, command, hooks)
        return False

    def _is_new_room(self, fd: int, name: str) -> bool:
        """Whether a connection is not in it, and there could be such a room."""
        return self._members.named(fd, name) is None and self.is_room(name)

    def is_room(self, name: str) -> bool:
        """Whether there can be such a room."""
        return room_problem(name, self._limits.room_chars) is None

    def _join(self, fd: int, join: Join, verdict: Verdict) -> None:
        if verdict is PASS:
            self._obey(fd, join)
        else:
            self._replies.send(fd, [error(verdict, join.ref)])

    def _is_somebody_else(self, fd: int, auth: Auth, hooks: Hooks) -> bool:
        """An open connection says who it is; it is told so when that was asked about."""
        before = self._users.of(fd).uid
        found = self._admission.authenticate(fd, auth, claims=False)
        who = self._users.of(fd)
        if found is None:
            return True
        if isinstance(found, Error) or who.uid == before:
            self._replies.send(fd, [found])
        else:
            self._ask(fd, hooks.connect(who), partial(self._recognize, fd, found))
        return True

    def _recognize(self, fd: int, authed: Authed, verdict: Verdict) -> None:
        if verdict is PASS:
            self._admission.claim(fd)
            self._replies.send(fd, [authed])
        else:
            self._turn_away(fd, error(verdict, authed.ref))

    async def _admitted(self, hooks: Hooks, who: Identity, joins: Sequence[Join]) -> Admitted:
        verdict = await hooks.connect(who)
        if verdict is not PASS:
            return verdict, {}
        names = [name for name in dict.fromkeys(join.room for join in joins) if self.is_room(name)]
        verdicts = await asyncio.gather(*(hooks.join(who, name) for name in names))
        both = zip(names, verdicts, strict=True)
        return PASS, {name: verdict for name, verdict in both if verdict is not PASS}

    def _let_in(self, fd: int, welcome: Welcome, joins: Sequence[Join], admitted: Admitted) -> None:
        verdict, closed = admitted
        if verdict is not PASS:
            self._turn_away(fd, error(verdict, welcome.ref))
            return
        written = self._open_rooms(fd, self._replies.dialect(fd), welcome, joins, closed)
        if isinstance(written, Error):
            self._turn_away(fd, written)
        else:
            self._admission.let_in(fd)
            self._connections.send(fd, self._replies.frame(fd, written), asked=True)

    def _turn_away(self, fd: int, why: Error) -> None:
        """Close a connection that is not let in, for good or until later."""
        code = CloseCode.POLICY_VIOLATION if why.retry_after is UNSET else CloseCode.RESTART
        variant = self._replies.variant(fd)
        if variant.dialect.introduces and (
            refusal := variant.dialect.refusal(code, why.message, why.ref)
        ):
            self._connections.send(fd, variant.wrap(refusal))
        elif why.code is ErrorCode.FORBIDDEN and why.retry_after is not UNSET:
            self._replies.dismiss(fd, Bye(why.message, why.retry_after))
        else:
            self._replies.send(fd, [why])
        self._connections.close(fd, code, why.message)
