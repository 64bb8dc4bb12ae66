"""What somebody is in a room who joins it: of which role, muted until when.

Rules. What everybody is told, or one has been told already, is nothing. Most viewers are nothing of
it, which two look-ups find out.
"""

from collections.abc import Callable

from msgspec import UNSET, Struct, UnsetType

from chat.hub.users import Users
from chat.policy.roles import role_in
from chat.policy.rules import MUTE, Rulebook


class Standing(Struct, frozen=True):
    """That of one viewer in one room.

    role         where it is another than everywhere
    muted_until  where one is muted: ms since 1970, 0 for good
    """

    role: str | UnsetType = UNSET
    muted_until: int | UnsetType = UNSET


class Standings:
    """Those of a shard's connections. `wall` is seconds since 1970."""

    def __init__(self, users: Users, book: Rulebook, wall: Callable[[], float]) -> None:
        self._users = users
        self._book = book
        self._wall = wall

    def of(self, fd: int, room: str) -> Standing | None:  # hot: once per join
        """That of a connection; None: it is like everybody's."""
        rules, everywhere = self._book.of(room), self._book.everywhere
        mutes = MUTE in rules.sanctions or MUTE in everywhere.sanctions
        if not mutes and not rules.owners and not self._users.is_kept(fd):
            return None
        who = self._users.of(fd)
        there = role_in(who, room, rules.owners)
        role = UNSET if there == who.role else there
        until = self._until(room, who.uid) if mutes else UNSET
        return None if role is UNSET and until is UNSET else Standing(role, until)

    def muted(self, fd: int, room: str) -> bool:
        """Whether a connection is muted in a room."""
        standing = self.of(fd, room)
        return standing is not None and standing.muted_until is not UNSET

    def _until(self, room: str, uid: str) -> int | UnsetType:
        found = self._book.muted_until(room, uid, int(self._wall() * 1000))
        return UNSET if found is None else found
