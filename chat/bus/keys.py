"""Names in Redis, and what lies under them.

    {prefix}:{p}:fanout          stream   what shards read: r room, p "epoch-seq", m entry
    {prefix}:{p}:room:ROOM       hash     epoch, seq, base: the seq the epoch began at, 0 if absent;
                                          removed: seq, ts, seq, ts… of messages taken back
    {prefix}:{p}:history:ROOM    stream   m entry, f its ID in fanout, under the ID seq-0
    {prefix}:{p}:dup:N:ROOM:...  string   "epoch seq ts digest" of a message already published
    {prefix}:{p}:online:ROOM     hash     shard -> "count ms"
    {prefix}:{p}:top             zset     room by online count
    {prefix}:{p}:seen            zset     room by when its count was last reported, ms
    {prefix}:{p}:health          string   written to see that it can be
    {prefix}:guests              string   the secret of guests' keys, where none is configured
    {prefix}:broadcast           stream   notices to everyone and to users
    {prefix}:wake:SHARD          stream   makes one shard's blocked read return

Rules. All keys of a partition carry its hash tag, `{p}` with braces, so that a script may touch
them together in a Cluster. Room names cannot contain braces. `p` depends on the room's name and
the number of partitions only, so all nodes must agree on that number.
"""

from zlib import crc32


class Keys:
    """Key names under one prefix."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self.partitions = partitions
        self._prefix = prefix
        self.broadcast = f"{prefix}:broadcast"
        self.guests = f"{prefix}:guests"

    def partition(self, room: str) -> int:
        """Which partition a room's messages travel in."""
        return crc32(room.encode()) % self.partitions

    def fanout(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:fanout"

    def top(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:top"

    def seen(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:seen"

    def health(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:health"

    def room(self, room: str) -> str:
        return self._of(room, "room")

    def history(self, room: str) -> str:
        return self._of(room, "history")

    def online(self, room: str) -> str:
        return self._of(room, "online")

    def dup(self, room: str, uid: str, message_id: str) -> str:
        # The lengths make it unambiguous: all three may contain colons.
        return f"{self._of(room, f'dup:{len(room)}')}:{len(uid)}:{uid}:{message_id}"

    def wake(self, shard: str) -> str:
        return f"{self._prefix}:wake:{shard}"

    def _of(self, room: str, what: str) -> str:
        return f"{self._prefix}:{{{self.partition(room)}}}:{what}:{room}"
