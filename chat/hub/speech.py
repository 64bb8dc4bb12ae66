"""What viewers type: through the gate, and on its way to the publisher.

Rules. Nothing is waited for. A message that may not be said is answered at once; for one that may,
whoever it is given to answers. What is shown of its sender is what is known of it here.
"""

from collections.abc import Callable, Collection
from typing import Final

from msgspec import UNSET

from chat.bus.entries import Said, pack
from chat.bus.store import Outgoing
from chat.counters import ChatCount
from chat.hub.acks import Sender, error
from chat.hub.sending import Sending
from chat.hub.users import Users
from chat.policy.gate import Attempt, Gate, Refusal
from chat.policy.limits import room_limits
from chat.policy.roles import STAFF, role_in
from chat.policy.rules import Rulebook
from chat.wire.commands import Send
from chat.wire.schema import CHAT_PRIORITY, KIND_PRIORITY, STAFF_PRIORITY, Error, ErrorCode
from shard.connections import Connections

REFUSED: Final = {
    ErrorCode.BAD_REQUEST: ChatCount.REFUSED_BAD_REQUEST,
    ErrorCode.NOT_JOINED: ChatCount.REFUSED_NOT_JOINED,
    ErrorCode.TEXT_EMPTY: ChatCount.REFUSED_TEXT_EMPTY,
    ErrorCode.TEXT_TOO_LONG: ChatCount.REFUSED_TEXT_TOO_LONG,
    ErrorCode.READ_ONLY: ChatCount.REFUSED_READ_ONLY,
    ErrorCode.BANNED: ChatCount.REFUSED_BANNED,
    ErrorCode.MUTED: ChatCount.REFUSED_MUTED,
    ErrorCode.SILENCED: ChatCount.REFUSED_SILENCED,
    ErrorCode.FORBIDDEN: ChatCount.REFUSED_ROLE,
    ErrorCode.WORD_REFUSED: ChatCount.REFUSED_WORD,
    ErrorCode.UNAVAILABLE: ChatCount.REFUSED_UNAVAILABLE,
}
"""What refusals of the gate are counted as."""
MESSAGES_IN: Final = ChatCount.MESSAGES_IN


class Speech:
    """That of one shard's viewers.

    book  the rules that are known here
    gate  what may be said
    wall  seconds since 1970

    kind_roles      roles that may send what is no chat
    messages_per_s  of a room that sets no limit
    """

    def __init__(
        self,
        connections: Connections,
        users: Users,
        book: Rulebook,
        gate: Gate,
        sending: Sending,
        counts: "memoryview[int]",
        wall: Callable[[], float],
        kind_roles: Collection[str] = (),
        messages_per_s: int = 0,
    ) -> None:
        self._connections = connections
        self._users = users
        self._book = book
        self._gate = gate
        self._sending = sending
        self._counts = counts
        self._wall = wall
        self.set(kind_roles, messages_per_s)

    def set(self, kind_roles: Collection[str], messages_per_s: int) -> None:
        """What holds from now on."""
        self._kind_roles = kind_roles
        self._messages_per_s = messages_per_s

    def say(self, fd: int, send: Send) -> Error | None:
        """Take a message; why not, or None when the answer comes later."""
        self._counts[MESSAGES_IN] += 1
        who = self._users.of(fd)
        rules = self._book.of(send.room)
        role = role_in(who, send.room, rules.owners)
        attempt = Attempt(send.room, send.text, who, fd, role)
        refusal = self._gate.passes(attempt) or self._no_kind(send, role)
        if refusal is not None:
            self._counts[REFUSED[refusal.code]] += 1
            return error(refusal, send.ref)
        now_ms, priority = int(self._wall() * 1000), self._priority(send, role)
        said = Said(
            who.uid,
            attempt.who.name,
            attempt.text,
            send.color,
            send.mode,
            send.size,
            now_ms,
            None if send.kind is UNSET else send.kind,
            who.avatar,
            who.level,
            who.badges,
            attempt.shadowed,
            priority,
        )
        message_id = None if send.id is UNSET else str(send.id)
        limits = room_limits(rules.settings, role, priority, self._messages_per_s)
        outgoing = Outgoing(send.room, who.uid, pack(said), message_id, limits=limits)
        sender = Sender(self._connections.handle(fd), send.room, send.ref)
        if (publish := self._sending.direct) is not None:
            publish(outgoing, sender)
        else:
            self._sending.submit(attempt, said, outgoing, sender)
        return None

    def _no_kind(self, send: Send, role: str) -> Refusal | None:
        if send.kind is UNSET or role in self._kind_roles:
            return None
        return Refusal(ErrorCode.FORBIDDEN, f"{role}s do not send messages of a kind")

    def _priority(self, send: Send, role: str) -> int:
        """What staff say is not left out, however much is said."""
        if send.kind is not UNSET:
            return KIND_PRIORITY
        return STAFF_PRIORITY if role in STAFF else CHAT_PRIORITY
