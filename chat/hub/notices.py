"""Notices: what the operator says to everyone, or to users wherever they are, in no room.

Rules. To a user it is a look-up. To everyone it is one fan-out for all that was read at once, which
the group writes a slice a turn like any other.
"""

from collections.abc import Sequence
from typing import Any

from chat.bus.entries import BadEntry, read_notice
from chat.counters import ChatCount
from chat.hub.replies import Replies
from chat.hub.users import Users
from chat.wire.schema import Notice
from shard.connections import Connections


class Notices:
    """Those for one shard's connections."""

    def __init__(
        self, connections: Connections, users: Users, replies: Replies, counts: "memoryview[int]"
    ) -> None:
        self._connections = connections
        self._users = users
        self._replies = replies
        self._counts = counts

    def deliver(self, entries: Sequence[Any]) -> None:
        """Entries of the broadcast stream, in order."""
        for_all: list[Notice] = []
        for entry_id, fields in entries:
            try:
                noticed = read_notice(fields[1])
            except BadEntry:
                self._counts[ChatCount.BAD_ENTRIES] += 1
                continue
            notice = noticed.event(entry_id.decode())
            if noticed.users is None:
                for_all.append(notice)
                continue
            self._tell_all(for_all)
            for_all = []
            self._tell([fd for uid in set(noticed.users) for fd in self._users.find(uid)], [notice])
        self._tell_all(for_all)

    def _tell_all(self, notices: list[Notice]) -> None:
        if notices:
            self._tell(self._connections.open_connections(), notices)

    def _tell(self, fds: list[int], notices: list[Notice]) -> None:
        self._counts[ChatCount.NOTICES_DELIVERED] += len(fds) * len(notices)
        self._replies.to_connections(fds, notices)
