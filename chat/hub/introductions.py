"""Those who have not said who they are: clients of a dialect that does so by its first message.

Rules. Until then a client is told nothing and in no room; any other first message ends it, and so
does silence. What it is answered when it is not let in, its dialect says.
"""

from typing import Final

from msgspec import structs

from chat.hub.admission import Admission
from chat.hub.arrivals import Arrivals
from chat.hub.replies import Replies
from chat.policy.identity import Refused
from chat.wire.foreign import Asked, Connect
from chat.wire.variants import Variants
from shard.closecodes import CloseCode
from shard.connections import Connections

NO_ROOM: Final = "there can be no room of that name"


class Introductions:
    """Those of one shard's connections.

    within_s  how long one may take
    waiting   since which tick, by connection
    """

    def __init__(
        self,
        connections: Connections,
        variants: Variants,
        admission: Admission,
        arrivals: Arrivals,
        replies: Replies,
        within_s: int,
    ) -> None:
        self.waiting: dict[int, int] = {}
        self._connections = connections
        self._variants = variants
        self._admission = admission
        self._arrivals = arrivals
        self._replies = replies
        self._within_s = within_s

    def wait(self, fd: int) -> None:
        """A connection was opened."""
        self.waiting[fd] = self._connections.tick
        self._arrivals.newcomers.add(fd)

    def close(self, fd: int) -> None:
        """A connection is over."""
        self.waiting.pop(fd, None)

    def tick(self, tick: int) -> None:
        """A second has passed."""
        for fd, since in list(self.waiting.items()):
            if tick - since > self._within_s:
                self._connections.close(fd, CloseCode.UNINTRODUCED)

    def introduce(self, fd: int, command: Asked) -> None:
        """The first command of a connection."""
        if not isinstance(command, Connect):
            reason = CloseCode.UNINTRODUCED.reason
            self._connections.close(fd, CloseCode.PROTOCOL_ERROR, reason)
            return
        if command.speaks is not None:
            number = self._connections.variant(fd)
            self._connections.become(fd, self._variants.speaking(number, command.speaks))
        if command.room and not self._arrivals.is_room(command.room):
            self._turn_away(fd, Refused(CloseCode.POLICY_VIOLATION, NO_ROOM), command)
            return
        try:
            welcome = self._admission.admit(fd, command.token, command.guest, command.name)
        except Refused as refused:
            self._turn_away(fd, refused, command)
            return
        expires = self._admission.expires(fd)
        welcome = structs.replace(welcome, ref=command.ref, expires=expires)
        del self.waiting[fd]
        self._arrivals.newcomers.discard(fd)
        if self._arrivals.asks:
            self._arrivals.admit(fd, welcome, ())
        else:
            self._admission.let_in(fd)
            self._replies.send(fd, [welcome])

    def _turn_away(self, fd: int, refused: Refused, connect: Connect) -> None:
        variant = self._replies.variant(fd)
        payload = variant.dialect.refusal(refused.code, str(refused), connect.ref)
        if payload:
            self._connections.send(fd, variant.wrap(payload))
        if connect.retries and refused.code is CloseCode.TOKEN_EXPIRED:
            return  # it goes on waiting, for another one; or its client closes it
        self._connections.close(fd, refused.code, str(refused))
