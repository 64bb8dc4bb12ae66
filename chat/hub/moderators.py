"""Moderators' commands: each connection's in order, carried out by Moderation, answered when done.

Rules. Who is plainly no moderator is refused at once; nothing is asked of Redis for that. What is
begun is finished, though its connection closes. So many may wait of each connection.
"""

from collections import deque
from typing import Final, get_args

from msgspec import UNSET

from chat.bus.inquiry import Inquiry
from chat.counters import ChatCount
from chat.hub.replies import Replies
from chat.hub.users import GUEST_UID, Users
from chat.policy.moderation import Moderation, RoleOf
from chat.policy.orders import Actor, NotDone
from chat.policy.roles import MODERATOR, RANKS, rank, role_in
from chat.policy.rules import Rulebook
from chat.tasks import Tasks
from chat.wire.commands import Action, Moderate
from chat.wire.schema import GUEST, Done, Error, ErrorCode
from pool.handle import Handle
from shard.connections import Connections

MOST_WAITING: Final = 32
RETRY_S: Final = 1.0

MODERATED: Final = {action: ChatCount[f"MODERATED_{action.upper()}"] for action in get_args(Action)}
"""The column of each action that was carried out."""

Line = deque[tuple[Moderate, Actor]]


class Moderators:
    """Those of one shard."""

    def __init__(
        self,
        connections: Connections,
        users: Users,
        replies: Replies,
        book: Rulebook,
        moderation: Moderation,
        counts: "memoryview[int]",
    ) -> None:
        self._connections = connections
        self._users = users
        self._replies = replies
        self._book = book
        self._moderation = moderation
        self._counts = counts
        self._lines: dict[Handle, Line] = {}
        self._tasks = Tasks("moderators")

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def act(self, fd: int, order: Moderate) -> Error | None:
        """Take a command; the answer comes later, unless it is this refusal."""
        who, rules = self._users.of(fd), self._book.of(order.room)
        role = role_in(who, order.room, rules.owners)
        if rules.known and rank(role) < RANKS[MODERATOR]:
            return self._refuse(ErrorCode.FORBIDDEN, f"you are {role} here", order)
        handle = self._connections.handle(fd)
        line = self._lines.get(handle)
        if line is None:
            line = self._lines[handle] = deque()
            self._tasks.spawn(self._work(handle, line))
        if len(line) >= MOST_WAITING:
            message = f"{MOST_WAITING} of your commands are being carried out"
            return self._refuse(ErrorCode.RATE_LIMITED, message, order, RETRY_S)
        line.append((order, Actor(who.uid, who.name, role, "socket")))
        return None

    def _refuse(
        self, code: ErrorCode, message: str, order: Moderate, after: float | None = None
    ) -> Error:
        self._counts[ChatCount.REFUSED_MODERATION] += 1
        return Error(code, message, order.ref, UNSET if after is None else after)

    async def _work(self, handle: Handle, line: Line) -> None:
        try:
            while line:
                answer = await self._carry_out(*line[0])
                line.popleft()
                if self._connections.alive(handle):
                    self._replies.send(handle.fd, [answer])
        finally:
            del self._lines[handle]

    async def _carry_out(self, order: Moderate, actor: Actor) -> Done | Error:
        try:
            await self._moderation.act(order, actor)
        except NotDone as failed:
            why = failed.refusal
            return self._refuse(why.code, why.message, order, why.retry_after)
        self._counts[MODERATED[order.action]] += 1
        return Done(order.room, order.action, order.ref)


def role_of(users: Users, inquiry: Inquiry) -> RoleOf:
    """What a user is in a room by its connections, those of all shards; None for who has none.

    Shards that do not answer in time are done without. Raises StoreError.
    """

    async def role(uid: str, room: str) -> str | None:
        if uid.startswith(GUEST_UID):
            return GUEST
        found = [role_in(users.of(fd), room) for fd in users.find(uid)]
        if not any(rank(one) >= RANKS[MODERATOR] for one in found):
            shards = (await inquiry.ask(uid, room=room)).found.values()
            found += [one.role for shard in shards for one in shard.connections]
        return max(found, key=rank, default=None)

    return role
