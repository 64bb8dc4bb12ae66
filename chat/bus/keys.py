"""Names in Redis, and what lies under them.

    {prefix}:{p}:fanout          stream   what shards read: r room, p "epoch-seq", m entry
    {prefix}:{p}:room:ROOM       hash     epoch, seq, base: the seq the epoch began at, 0 if absent;
                                          removed: seq, ts, seq, ts… of messages taken back;
                                          full_at: when its rate is used up again, ms of Redis;
                                          likes: "kind:total …"; liked: when shards were last told
                                          of them, ms, and whether they changed since, "ms:0|1"
    {prefix}:{p}:history:ROOM    stream   m entry, f its ID in fanout, under the ID seq-0
    {prefix}:{p}:dup:N:ROOM:...  string   "epoch seq ts digest" of a message already published
    {prefix}:{p}:spoken:N:ROOM:UID string when this user last spoke in slow mode, ms, and what it
                                          said lately where nothing may be repeated: "digest:ms …"
    {prefix}:{p}:online:ROOM     hash     shard -> "count ms"
    {prefix}:{p}:crowd:ROOM      hash     peak: most viewers at once; peak_at: when, ms
    {prefix}:{p}:users:ROOM      string   HyperLogLog of the uids that were there
    {prefix}:{p}:top             zset     room by online count
    {prefix}:{p}:seen            zset     room by when its count was last reported, ms
    {prefix}:{p}:events          stream   e occupied or vacated, r room; where somebody asked for it
    {prefix}:{p}:group:G         hash     workers of a group: owner, until (ms), by; lost:STREAM
    {{prefix}:broadcast}:group:G hash     the same of the streams there
    {{prefix}:broadcast}:workers:G
                                 zset     worker by until when it is believed to live, ms
    {{prefix}:broadcast}:connections
                                 stream   m who came and went, JSON; where somebody asked for it
    {prefix}:{p}:health          string   written to see that it can be
    {prefix}:{p}:life            string   what a Redis that comes back empty has not
    {prefix}:{p}:liked:SHARD     string   the number of the last likes a shard has had counted
    {prefix}:{p}:device:UID      string   the only connection a user may have, and since when
    {prefix}:{p}:quota:KIND:WHO  string   when a user's or address's quota is used up, ms
    {prefix}:guests              string   the secret of guests' keys, where none is configured
    {prefix}:broadcast           stream   notices to everyone and to users; m entry
    {prefix}:{p}:rules:ROOM      hash     v its version, base its first; the rules by name; for good
    {{prefix}:broadcast}:rules   hash     the same of everywhere
    {prefix}:{p}:words:ROOM:D    string   a long list of words of a room, by its digest
    {{prefix}:broadcast}:words:D string   the same of everywhere
    {{prefix}:broadcast}:audit   stream   m what moderators did, JSON
    {{prefix}:broadcast}:reports stream   m messages that viewers reported, JSON
    {{prefix}:broadcast}:reporters:ROOM:EPOCH-SEQ
                                 hash     uids whose report of that message is in it
    {{prefix}:broadcast}:shards  zset     shard by when it last said that it lives, ms
    {{prefix}:broadcast}:nodes   hash     node -> "ms:JSON": when it told of itself, and what
    {{prefix}:broadcast}:found:ID
                                 hash     shard -> JSON: what it has of whom an inquiry is about
    {prefix}:wake:SHARD          stream   makes one shard's blocked read return

Rules. All keys of a partition carry its hash tag, `{p}` with braces, so that a script may touch
them together in a Cluster; those of everywhere are in the slot of the broadcast stream, whose whole
name is their tag. Room names cannot contain braces. `p` depends on the room's name and
the number of partitions only, so all nodes must agree on that number.
"""

from dataclasses import dataclass
from zlib import crc32


class Keys:
    """Key names under one prefix."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self.partitions = partitions
        self._prefix = prefix
        self.broadcast = f"{prefix}:broadcast"
        self.guests = f"{prefix}:guests"
        self.audit = f"{{{self.broadcast}}}:audit"
        self.reports = self._beside_broadcast("reports")
        self.connections = self._beside_broadcast("connections")
        self.shards = self._beside_broadcast("shards")
        self.nodes = self._beside_broadcast("nodes")

    def partition(self, room: str) -> int:
        """Which partition a room's messages travel in; likewise where a user's keys are."""
        return crc32(room.encode()) % self.partitions

    def fanout(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:fanout"

    def published_in(self, room: str) -> tuple[str, str, str]:  # hot: once per message typed
        """What a message touches: its partition's fanout, its room, the room's history."""
        begin = f"{self._prefix}:{{{self.partition(room)}}}"
        return f"{begin}:fanout", f"{begin}:room:{room}", f"{begin}:history:{room}"

    def top(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:top"

    def seen(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:seen"

    def health(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:health"

    def life(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:life"

    def liked(self, partition: int, shard: str) -> str:
        return f"{self._prefix}:{{{partition}}}:liked:{shard}"

    def events(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:events"

    def group(self, partition: int | None, group: str) -> str:
        """Of a partition; None: of what is in the slot of the broadcast stream."""
        if partition is None:
            return self._beside_broadcast(f"group:{group}")
        return f"{self._prefix}:{{{partition}}}:group:{group}"

    def members(self, group: str) -> str:
        return self._beside_broadcast(f"workers:{group}")

    def room(self, room: str) -> str:
        return self._of(room, "room")

    def history(self, room: str) -> str:
        return self._of(room, "history")

    def online(self, room: str) -> str:
        return self._of(room, "online")

    def crowd(self, room: str) -> str:
        return self._of(room, "crowd")

    def users(self, room: str) -> str:
        return self._of(room, "users")

    def dup(self, room: str, uid: str, message_id: str) -> str:
        # The lengths make it unambiguous: all three may contain colons.
        return f"{self._of(room, f'dup:{len(room)}')}:{len(uid)}:{uid}:{message_id}"

    def rules(self, room: str | None) -> str:
        """Those of a room; None: of everywhere."""
        return f"{{{self.broadcast}}}:rules" if room is None else self._of(room, "rules")

    def words(self, room: str | None, digest: str) -> str:
        """A list of words, likewise."""
        name = f"{{{self.broadcast}}}:words" if room is None else self._of(room, "words")
        return f"{name}:{digest}"

    def device(self, uid: str) -> str:
        return self._of(uid, "device")

    def spoken(self, room: str, uid: str) -> str:
        return f"{self._of(room, f'spoken:{len(room)}')}:{uid}"

    def quota(self, kind: str, who: str) -> str:
        return f"{self._prefix}:{{{self.partition(who)}}}:quota:{kind}:{who}"

    def wake(self, shard: str) -> str:
        return f"{self._prefix}:wake:{shard}"

    def reporters(self, room: str, place: str) -> str:
        return self._beside_broadcast(f"reporters:{room}:{place}")

    def found(self, inquiry: str) -> str:
        return self._beside_broadcast(f"found:{inquiry}")

    def _beside_broadcast(self, what: str) -> str:
        return f"{{{self.broadcast}}}:{what}"

    def _of(self, name: str, what: str) -> str:
        return f"{self._prefix}:{{{self.partition(name)}}}:{what}:{name}"


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept: messages of a room, entries of a partition's stream, a silent room."""

    history: int
    fanout_entries: int
    ttl_s: int
