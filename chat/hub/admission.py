"""Who is let in, as whom, and for how long: tokens, keys and names of guests, on a connection's way
in and by `auth` while it is open.

Rules. A guest may become a user, or another guest. Who came with a token stays who it is: another
token of the same user goes on where the one before ends, one of somebody else is refused, for what
a connection has joined and may say hangs on who it was let in as.
"""

from collections.abc import Callable, Sequence

from msgspec import UNSET, UnsetType

from chat.counters import ChatCount
from chat.hub.devices import Devices
from chat.hub.enforcement import Enforcement
from chat.hub.expiries import Expiries
from chat.hub.presence import Presence
from chat.hub.replies import Replies
from chat.hub.users import Users
from chat.policy.claims import LEEWAY_S
from chat.policy.identity import GUEST_NAME, Identity, Refused
from chat.policy.text import clean_name
from chat.policy.words import Matcher, shown
from chat.wire.commands import Auth
from chat.wire.schema import GUEST, Authed, Error, ErrorCode, Expiring, Welcome
from shard.closecodes import CloseCode
from shard.connections import Connections


class Admission:
    """For one shard's connections.

    ping_s  what a welcome says of the heartbeat: a silent client is pinged within so long, which
            takes as long as the answer to the ping before may
    wall    seconds since 1970
    words   the lists of everywhere, for names that guests choose; None: they are not known yet
    devices of users who may have only one; None: as many as they like
    presence  is told who comes and goes; None: nobody is
    """

    def __init__(
        self,
        connections: Connections,
        users: Users,
        enforcement: Enforcement,
        replies: Replies,
        ping_s: int,
        counts: "memoryview[int]",
        wall: Callable[[], float],
        words: Callable[[], Sequence[Matcher] | None] = lambda: None,
        devices: Devices | None = None,
        presence: Presence | None = None,
    ) -> None:
        self._connections = connections
        self._users = users
        self._enforcement = enforcement
        self._replies = replies
        self._ping_s = ping_s
        self._counts = counts
        self._wall = wall
        self._words = words
        self._devices = devices
        self._presence = presence
        self._expiries = Expiries()

    def admit(self, fd: int, token: str | None, key: str | None, name: str | None) -> Welcome:
        """Let somebody in. Raises Refused. A guest whose key is not ours is a new one, and what may
        not be shown is no name."""
        handle = self._connections.handle(fd)
        if name and not token:
            name = self._shown(name)
        try:
            who = self._users.admit(handle, token, key, name)
        except Refused:
            self._counts[ChatCount.REFUSED_TOKEN] += 1
            raise
        self._enforcement.admit(fd, who.uid)
        if who.expires:
            self._expiries.set(fd, who.expires)
        theirs = self._users.key(who)
        if key and not token:
            self._count_guest(returned=who.uid == f"{GUEST}:{key.partition('.')[0]}")
        conn = self._users.name(handle)
        return Welcome(conn, who.uid, who.name, who.role, self._ping_s, guest=theirs or UNSET)

    def expires(self, fd: int) -> int:
        """When a connection's token ends, in seconds since 1970; 0 for never."""
        expires = self._users.of(fd).expires
        return expires - LEEWAY_S if expires else 0

    def let_in(self, fd: int) -> None:
        """Nobody who was asked has anything against it: others of the user's may have to go, and
        who wants to know that somebody came is told."""
        if self._devices is not None:
            self.claim(fd)
        if self._presence is not None:
            handle = self._connections.handle(fd)
            self._presence.came(fd, self._users.name(handle), self._users.of(fd))

    def claim(self, fd: int) -> None:
        """A connection is a user's, of whom there may be only one."""
        if self._devices is not None and (who := self._users.of(fd)).expires:
            self._devices.claim(fd, who.uid)

    def authenticate(self, fd: int, auth: Auth, claims: bool = True) -> Authed | Error | None:
        """Who an open connection is from now on, or why it stays who it is; None when it is closed,
        because that is who may not be here. It `claims` its user at once, or when it is let in."""
        before = self._users.of(fd).uid
        name = given(auth.name)
        if name and auth.token is UNSET:
            name = self._shown(name)
            if name is None:
                self._counts[ChatCount.REFUSED_WORD] += 1
                message = "a word of this name may not be shown here"
                return Error(ErrorCode.WORD_REFUSED, message, auth.ref)
        try:
            who = self._become(fd, auth, name)
        except Refused as refused:
            return Error(ErrorCode.FORBIDDEN, str(refused), auth.ref)
        self._expiries.set(fd, who.expires)
        if who.uid != before:
            try:
                self._enforcement.admit(fd, who.uid)
            except Refused as refused:
                self._connections.close(fd, refused.code, str(refused))
                return None
            self._enforcement.became(fd, who.uid)
            if claims:
                self.claim(fd)
        return Authed(who.uid, who.name, who.role, self.expires(fd), auth.ref)

    def _shown(self, name: str) -> str | None:
        """The name a guest would like, as it may be shown; None where it may not be."""
        lists, cleaned = self._words(), clean_name(name, GUEST_NAME)
        return shown(lists, cleaned) if lists and cleaned else name

    def _become(self, fd: int, auth: Auth, name: str | None) -> Identity:
        """Raises Refused."""
        if auth.token is not UNSET:
            try:
                return self._users.authenticate(fd, auth.token)
            except Refused:
                self._counts[ChatCount.REFUSED_TOKEN] += 1
                raise
        if auth.guest is UNSET:
            try:
                return self._users.rename(fd, name or "")
            except Refused:
                self._counts[ChatCount.REFUSED_NAME] += 1
                raise
        who = self._users.readmit(fd, auth.guest, name)
        self._count_guest(returned=who is not None)
        if who is None:
            raise Refused(CloseCode.BAD_TOKEN, "this is no guest's key of ours")
        return who

    def _count_guest(self, returned: bool) -> None:
        self._counts[ChatCount.GUESTS_RETURNED if returned else ChatCount.REFUSED_GUEST_KEY] += 1

    def close(self, fd: int) -> None:
        """The connection is over."""
        if self._presence is not None:
            self._presence.left(fd)
        self._users.close(fd)
        self._expiries.forget(fd)
        if self._devices is not None:
            self._devices.close(fd)

    def tick(self, tick: int) -> None:
        """A second has passed: tell whose token ends soon, close whose token has ended."""
        for fd, left_s in self._expiries.due(self._wall()):
            if left_s:
                self._replies.send(fd, [Expiring(max(1, round(left_s)))])
            else:
                self._connections.close(fd, CloseCode.TOKEN_EXPIRED)
        if self._devices is not None:
            self._devices.tick(tick)
        if self._presence is not None:
            self._presence.tick()


def given(field: str | UnsetType) -> str | None:
    """A field of a command, None for one that is left out."""
    return None if field is UNSET else field
