"""Who the connections of a shard are: admitted, named, found again by uid.

Rules. An identity is kept for who came with a token, with the key of a guest that was here before,
or with a name it chose. Nothing is kept for a new guest: its uid is computed from its handle and
read back to it, so that looking up either is no search.
"""

from typing import Final

from chat.config.sections import Auth
from chat.policy.guestkeys import GuestKeys
from chat.policy.identity import Identity, Refused, guest
from chat.policy.tokens import Tokens
from chat.wire.schema import GUEST
from pool.handle import Handle
from shard.closecodes import CloseCode
from shard.connections import Connections

GUEST_UID: Final = f"{GUEST}:"
UID_BEGINS: Final = len(GUEST_UID)
"""Where in a guest's uid stands the number it is computed from."""
FD_BITS: Final = 20
"""As many as `shard.listen.MOST_ROWS` takes; a generation takes 32 more."""
HANDLE_BITS: Final = FD_BITS + 32
SPREAD: Final = 0x9E3779B97F4A7
"""Odd, so that multiplying by it can be undone: neighbours get names that do not look alike."""
GATHER: Final = pow(SPREAD, -1, 1 << HANDLE_BITS)
HANDLES: Final = (1 << HANDLE_BITS) - 1


class Users:
    """The identities of one shard's connections.

    shard  this shard's name, unlike any other's, living or dead
    keys   of guests; by default those of `auth.secret`
    """

    def __init__(
        self,
        connections: Connections,
        auth: Auth,
        shard: str,
        keys: GuestKeys | None = None,
    ) -> None:
        self._connections = connections
        self._auth = auth
        self._tokens = Tokens(auth)
        self._keys = keys or GuestKeys(auth.secret, auth.secret_before)
        self._shard = shard
        self._identities: dict[int, Identity] = {}
        self._by_uid: dict[str, tuple[int, ...]] = {}

    def apply(self) -> None:
        """What the configuration says of who people are has changed; who is connected stays."""
        self._tokens.apply()
        self._keys.set(self._auth.secret, self._auth.secret_before)

    def name(self, handle: Handle) -> str:
        """A connection's name: no other connection of any shard ever has it."""
        return f"{self._shard}-{handle.generation:x}-{handle.fd:x}"

    def ours(self, name: str) -> bool:
        """Whether a connection of that name is, or was, this shard's."""
        return name.rpartition("-")[0].rpartition("-")[0] == self._shard

    def named(self, name: str) -> Handle | None:
        """The open connection of that name, if it is here."""
        if not self.ours(name):
            return None
        generation, fd = name.split("-")[-2:]
        try:
            handle = Handle(int(fd, 16), int(generation, 16))
        except ValueError:
            return None
        return handle if handle.fd >= 0 and self._connections.has(handle) else None

    def admit(
        self, handle: Handle, token: str | None, key: str | None = None, name: str | None = None
    ) -> Identity:
        """Who a connection is, by its token, as the guest whose `key` it has, or as a new one.

        Guests may choose a `name`; one that cannot be shown is none. Raises Refused.
        """
        if token:
            return self._keep(handle.fd, self._tokens.verify(token))
        if self._auth.guests == "refuse":
            raise Refused(CloseCode.GUESTS_REFUSED)
        who = (key and self.readmit(handle.fd, key, name)) or self._guest(handle)
        if name and self._auth.guest_names and handle.fd not in self._identities:
            return self._keep(handle.fd, guest(who.uid[UID_BEGINS:], name))
        return who

    def authenticate(self, fd: int, token: str) -> Identity:
        """Who an open connection is from now on, by a token. Raises Refused."""
        who = self._tokens.verify(token)
        self._stay(fd, who.uid)
        return self._keep(fd, who)

    def vouch(self, fd: int, token: str, room: str) -> None:
        """Raises Refused where a token does not let this very user into a room."""
        self._tokens.verify_for(token, room, self.of(fd).uid)

    def readmit(self, fd: int, key: str, name: str | None = None) -> Identity | None:
        """The guest whose key it is, which a connection is from now on; None for no key of ours.
        Raises Refused."""
        number = None if self._auth.guests == "refuse" else self._keys.number(key)
        if number is None:
            return None
        self._stay(fd, f"{GUEST_UID}{number}")
        chosen = name if name and self._auth.guest_names else ""
        return self._keep(fd, guest(number, chosen))

    def rename(self, fd: int, name: str) -> Identity:
        """The name a guest has from now on; "" for the default. Raises Refused."""
        who = self.of(fd)
        if not who.uid.startswith(GUEST_UID):
            raise Refused(CloseCode.BAD_TOKEN, "the name of a user is its token's")
        if not self._auth.guest_names:
            raise Refused(CloseCode.BAD_TOKEN, "guests do not choose names here")
        named = guest(who.uid[UID_BEGINS:], name)
        if name and named == guest(who.uid[UID_BEGINS:]):
            raise Refused(CloseCode.BAD_TOKEN, "nothing of this name can be seen")
        return self._keep(fd, named)

    def _stay(self, fd: int, uid: str) -> None:
        """Who came with a token becomes nobody else. Raises Refused."""
        before = self._identities.get(fd)
        if before is not None and before.uid != uid and not before.uid.startswith(GUEST_UID):
            raise Refused(CloseCode.BAD_TOKEN, "another user needs another connection")

    def key(self, who: Identity) -> str | None:
        """What brings a guest back as who it is; None for others, and while there are no keys."""
        if not who.uid.startswith(GUEST_UID):
            return None
        return self._keys.of(who.uid[UID_BEGINS:])

    def _keep(self, fd: int, identity: Identity) -> Identity:
        self._forget(fd)
        self._identities[fd] = identity
        self._by_uid[identity.uid] = (*self._by_uid.get(identity.uid, ()), fd)
        return identity

    def of(self, fd: int) -> Identity:
        """Who an admitted connection is."""
        return self._identities.get(fd) or self._guest(self._connections.handle(fd))

    def mark(self, fd: int) -> int | str:  # hot: once per join
        """What `uid_of` makes the uid of an admitted connection of, also when that is over."""
        who = self._identities.get(fd)
        if who is not None:
            return who.uid
        return self._connections.generation(fd) << FD_BITS | fd

    def uid_of(self, mark: int | str) -> str:
        """The uid of a connection as it was when it was marked."""
        if isinstance(mark, str):
            return mark
        return f"{GUEST_UID}{self._shard}{mark * SPREAD & HANDLES:013x}"

    def is_kept(self, fd: int) -> bool:
        """Whether an admitted connection is anybody but a new guest without a name."""
        return fd in self._identities

    def close(self, fd: int) -> None:
        """The connection is over."""
        if fd in self._identities:
            self._forget(fd)

    def find(self, uid: str) -> tuple[int, ...]:
        """The open connections of a user or a guest."""
        found = self._by_uid.get(uid, ())
        first = self._first(uid)
        return found if first is None else (*found, first)

    def _first(self, uid: str) -> int | None:
        """The connection that a guest's uid was made for, if that is what it still is."""
        shard, number = uid[UID_BEGINS:-13], uid[-13:]
        if not uid.startswith(GUEST_UID) or shard != self._shard:
            return None
        try:
            code = int(number, 16) * GATHER & HANDLES
        except ValueError:
            return None
        handle = Handle(code & ((1 << FD_BITS) - 1), code >> FD_BITS)
        if handle.fd in self._identities or not self._connections.has(handle):
            return None
        return handle.fd

    def _guest(self, handle: Handle) -> Identity:
        code = (handle.generation << FD_BITS | handle.fd) * SPREAD & HANDLES
        return guest(f"{self._shard}{code:013x}")

    def _forget(self, fd: int) -> None:
        identity = self._identities.pop(fd, None)
        if identity is None:
            return
        left = tuple(other for other in self._by_uid[identity.uid] if other != fd)
        if left:
            self._by_uid[identity.uid] = left
        else:
            del self._by_uid[identity.uid]
