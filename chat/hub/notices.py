"""Notices: what the operator says to everyone, or to users wherever they are, in no room.

Rules. In the order of their stream. To users it is a look-up. To everyone it is a write for each
connection of the shard, so they are given out a frame at a time, in a lane of their own beside the
rooms': a thousand notices to ten thousand viewers hold up a room's next message by a lane's turn,
not by all, and the next frame is made when the last is written. What waits meanwhile is bounded;
what is beyond is not delivered, and counted.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Final

from chat.bus.entries import BadEntry, Control, Noticed, read_broadcast
from chat.bus.kept import Version, version
from chat.counters import ChatCount
from chat.hub.replies import NO_ROOM, Replies
from chat.hub.users import Users
from chat.tasks import Tasks
from chat.wire.schema import Notice
from shard.connections import Connections

FRAME_BYTES: Final = 16_384
"""Of notices in one frame: to ten thousand viewers some 100 ms of writing, nearly all of it the
kernel's, in slices between which others are served."""
NOTICE_BYTES: Final = 120
"""What a notice comes to, about, beside its text."""
PAUSE_S: Final = 0.02
"""Between two frames: a shard's rooms are read as often."""
AT_ONCE: Final = 64
"""Connections of users that are written to without a fan-out, so that what may end them comes
behind."""
MOST: Final = 10_000
"""Notices that wait, as many as their stream keeps."""

Waiting = tuple[list[str] | None, Notice]
"""For whom, None for everyone, and what."""


class Notices:
    """Those for one shard's connections, but for `newcomers`, who are not let in yet.

    obey  is given what is in their stream for shards, as soon as it comes, and its version
    """

    def __init__(
        self,
        connections: Connections,
        users: Users,
        replies: Replies,
        counts: "memoryview[int]",
        obey: Callable[[Control, Version], None] = lambda control, version: None,
        newcomers: Collection[int] = (),
    ) -> None:
        self._connections = connections
        self._users = users
        self._replies = replies
        self._counts = counts
        self._obey = obey
        self._newcomers = newcomers
        self._waiting: deque[Waiting] = deque()
        self._tasks = Tasks("notices")

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def deliver(self, entries: Sequence[Any]) -> None:
        """Entries of the broadcast stream, in order."""
        busy = bool(self._waiting)
        for entry_id, fields in entries:
            try:
                noticed = read_broadcast(fields[1])
            except BadEntry:
                self._counts[ChatCount.BAD_ENTRIES] += 1
                continue
            if not isinstance(noticed, Noticed):
                if not busy:
                    self._give_to_users()  # it may end who was told something before
                self._obey(noticed, _version(fields))
                continue
            if len(self._waiting) == MOST:
                self._counts[ChatCount.NOTICES_DROPPED] += 1
                continue
            self._waiting.append((noticed.users, noticed.event(entry_id.decode())))
        if not busy and self._waiting:
            self._give_frame()
            if self._waiting:
                self._tasks.spawn(self._give())

    async def _give(self) -> None:
        """Give out what waits, at the pace of those who are written to."""
        while self._waiting:
            await asyncio.sleep(PAUSE_S)
            if not self._connections.fanning_out_in(NO_ROOM):
                self._give_frame()

    def _give_to_users(self) -> None:
        """What is next and to users."""
        while self._waiting and self._waiting[0][0] is not None:
            users, notice = self._waiting.popleft()
            self._tell_users(users or (), notice)

    def _tell_users(self, users: Collection[str], notice: Notice) -> None:
        fds = [fd for uid in set(users) for fd in self._users.find(uid)]
        if len(fds) > AT_ONCE or self._connections.fanning_out_in(NO_ROOM):
            self._tell(fds, [notice])
            return
        for fd in [fd for fd in fds if fd not in self._newcomers]:
            self._counts[ChatCount.NOTICES_DELIVERED] += 1
            self._replies.send(fd, [notice])

    def _give_frame(self) -> None:
        """To users until there is one for everyone; to everyone as many as a frame holds."""
        size = 0
        for_all: list[Notice] = []
        while self._waiting and size < FRAME_BYTES:
            users, notice = self._waiting[0]
            if users is not None and for_all:
                break
            self._waiting.popleft()
            size += NOTICE_BYTES + len(notice.text.encode())
            if users is None:
                for_all.append(notice)
            else:
                self._tell_users(users, notice)
        if for_all:
            self._tell(self._connections.open_connections(), for_all)

    def _tell(self, fds: list[int], notices: list[Notice]) -> None:
        if self._newcomers:
            fds = [fd for fd in fds if fd not in self._newcomers]
        self._counts[ChatCount.NOTICES_DELIVERED] += len(fds) * len(notices)
        self._replies.to_connections(fds, notices)


def _version(fields: Sequence[bytes]) -> Version:
    """Of the rules a control tells of; 0 for none."""
    with suppress(ValueError, IndexError):
        return version(fields[3])
    return Version(0, 0)
