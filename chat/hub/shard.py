"""A shard: everything that serves its viewers, made and put together, started and ended.

Rules. Only composition: who is given whom, and in which order they begin and end. What is shared
by all is made first; who asks others ends before those do.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

from chat.bus.audit import Audit
from chat.bus.connect import StoreError
from chat.bus.devices import Leases
from chat.bus.entries import Changed, Control, Disconnected, Inquired, Replaced
from chat.bus.inquiry import Inquiry
from chat.bus.kept import Version
from chat.bus.likes import LikeCounts
from chat.bus.nodes import Nodes
from chat.bus.publisher import Publisher
from chat.bus.quotas import MOST_KEYS
from chat.bus.reader import Reader
from chat.bus.rules import Rules
from chat.bus.store import Store, retain
from chat.bus.tracing import Flushes, Take, Tracer
from chat.bus.wordlists import WordLists
from chat.config.sections import Config
from chat.counters import PUBLISH_US, REQUEST_US, ChatCount
from chat.hub.acks import Acks, whose
from chat.hub.admission import Admission
from chat.hub.devices import Devices
from chat.hub.enforcement import Enforcement
from chat.hub.hub import Hub
from chat.hub.inquiries import Inquiries
from chat.hub.joinnotices import JoinNotices
from chat.hub.liking import Liking
from chat.hub.moderators import Moderators, role_of
from chat.hub.notices import Notices
from chat.hub.presence import Presence
from chat.hub.replies import NO_ROOM, Replies
from chat.hub.reporting import Reporting
from chat.hub.sending import Sending, Stage
from chat.hub.speech import Speech
from chat.hub.standing import Standings
from chat.hub.users import Users
from chat.policy.gate import CommandRate, Gate, membership, rights, rules, text
from chat.policy.guestkeys import GuestKeys
from chat.policy.moderation import Moderation
from chat.policy.outsiders import Outsiders
from chat.policy.quotas import Quotas
from chat.policy.rules import Rulebook
from chat.policy.wordbook import Wordbook
from chat.policy.words import words
from chat.rooms.members import Members
from chat.rooms.paging import Paging
from chat.rooms.resume import Resume
from chat.rooms.rooms import Rooms
from chat.rooms.rulefeed import RuleFeed
from chat.rooms.visitors import Visitors
from chat.tasks import Tasks
from chat.wire.variants import Variants
from pool.histogram import Histogram
from shard.connections import Connections

FIRST_S: Final = 1.0
"""How long a start waits for the secret of guests' keys; without it guests are new ones."""
OTHERS_S: Final = 1.0
"""How long an end waits to hear of other nodes."""


class Shard:
    """All that serves one shard's viewers, put together.

    name   unlike any other shard's, living or dead
    place  the same for all lives of this shard, and unlike any other's
    clock  seconds, monotonic; wall seconds since 1970
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        store: Store,
        name: str,
        counts: "memoryview[int]",
        rows: int,
        place: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        chance: random.Random | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        chance = chance or random.Random()
        limits, bus = config.limits, config.bus
        variants = Variants(config.server, wall)
        self._config = config
        self._tasks = Tasks("shard")
        self._agreed = asyncio.Event()
        self._counts = counts
        self._store = store
        self._reader = Reader(
            *(store, name, bus.flush_interval_ms / 1000, bus.read_count),
            lambda: connections.left_beside(NO_ROOM),
            counts,
        )
        self._guest_keys = GuestKeys(config.auth.secret, config.auth.secret_before)
        self._users = users = Users(connections, config.auth, name, self._guest_keys)
        visitors = Visitors(users.mark, users.uid_of, counts)
        members = Members(connections, rows, visitors.came)
        book = Rulebook()
        self._rules = RuleFeed(Rules(store), book, counts)
        standings = Standings(users, book, wall)
        replies = Replies(connections, variants, members, users.find, standings.of)
        self.rooms = Rooms(
            *(store, self._reader, config.rooms, place, len(variants), counts, replies.to_room),
            *(limits, self._rules, visitors, clock, wall),
        )
        self._tracer = tracer
        self._reader.written = self.rooms.written
        self._deliver: Take = self.rooms.deliver
        if tracer is not None:
            flushes = Flushes(tracer, self.rooms.by_name, name)
            self._deliver = flushes.around(self.rooms.deliver)
            self._reader.written = flushes.before(self.rooms.written)
        self._resume = Resume(
            *(connections, self.rooms, members, store, limits, counts, chance),
            tell=replies.tell,
        )
        acks = Acks(connections, replies, self.rooms.acked, counts)
        self._paging = Paging(
            *(connections, members, self._resume, store, limits, counts, chance),
            tell=lambda fd, answer: replies.send(fd, [answer], asked=True),
        )
        self._resume.on_settled(self._paging.look_at)
        self._publisher = Publisher(
            store,
            acks.published,
            bus.timeout_ms / 1000,
            clock,
            lambda: int(wall() * 1000),
            self._published,
            whose,
        )
        self._publish_times = Histogram(PUBLISH_US, counts)
        self._request_times = Histogram(REQUEST_US, counts)
        store.servers.on_round_trip = self._asked
        self._enforcement = Enforcement(
            *(connections, users, self.rooms, members, self._resume, replies, book, counts, wall)
        )
        self._words = Wordbook(book, WordLists(store), chance)
        self._rules.listeners += [self._enforcement.changed, self._words.changed]
        self._rules.reloaded.append(self._enforcement.reloaded)
        inquiry = Inquiry(store, bus.flush_interval_ms / 1000)
        self._inquiries = Inquiries(connections, users, members, inquiry, name)
        moderation = Moderation(
            *(store, limits, Audit(store, bus.audit_entries), wall, role_of(users, inquiry))
        )
        self._moderators = Moderators(connections, users, replies, book, moderation, counts)
        self._reporting = Reporting(
            *(connections, users, members, replies, store, counts, clock, wall)
        )
        self._outsiders = Outsiders(config, counts, clock)
        self._quotas = Quotas(store, limits, connections, clock, counts)
        stages: list[tuple[Stage, int]] = [(self._quotas, MOST_KEYS), *self._outsiders.stages]
        self._sending = Sending(
            *(self._publisher, acks.refused, stages, counts, clock), idle=not self._quotas.asks
        )
        self._devices: Devices | None = None
        if config.auth.devices != "allow":
            self._devices = Devices(
                *(connections, users, Leases(store), store.notify, config.auth.devices, counts)
            )
        self._presence: Presence | None = None
        if config.webhooks.wants("connected", "disconnected"):
            self._presence = Presence(
                store, config.webhooks.events, users, bus.stream_entries, counts, wall
            )
        ping_s = max(config.heartbeat.ping_s, config.heartbeat.timeout_s)
        admission = Admission(
            *(connections, users, self._enforcement, replies, ping_s, counts),
            *(wall, self._words.everywhere, self._devices, self._presence),
        )
        gate = Gate(
            *(membership(members.named), rights(config.auth), rules(book, wall), text(limits)),
            words(self._words.lists, counts),
        )
        like_counts = LikeCounts(store.servers, store.keys, store.retention, name)
        self._liking = Liking(
            *(users, members, book, config.auth, like_counts, config.rooms.like_kinds, counts, wall)
        )
        self._joins = JoinNotices(users, members, standings.muted, store, counts)
        members.arrived = self._joins.arrived
        self._speech = speech = Speech(
            *(connections, users, book, gate, self._sending, counts, wall),
            *(config.auth.kind_roles, config.rooms.messages_per_s),
        )
        self._rate = CommandRate(rows, limits, clock)
        self.handler = Hub(
            *(connections, config, variants, users, admission, self.rooms, members, self._resume),
            *(self._paging, replies, self._rate, book),
            *(self._enforcement, self._moderators, self._reporting, speech),
            self._liking,
            self._joins,
            *(self._outsiders.hooks, counts, wall, chance),
        )
        newcomers = self.handler.arrivals.newcomers
        self._notices = Notices(connections, users, replies, counts, self._obey, newcomers)

    def _published(self, seconds: float) -> None:
        """A flush of messages was tried."""
        self._publish_times.observe(int(seconds * 1e6))
        self._counts[ChatCount.PUBLISH_OPEN] = self._publisher.closed_lanes

    def _asked(self, seconds: float, failed: bool) -> None:
        """Redis was asked something."""
        self._request_times.observe(int(seconds * 1e6))
        self._counts[ChatCount.BUS_REQUESTS_FAILED] += failed

    def _obey(self, control: Control, version: Version) -> None:
        """What the broadcast stream has for shards."""
        match control:
            case Changed():
                self._rules.apply(None, version, control)
            case Disconnected():
                self._enforcement.disconnect(control)
            case Inquired():
                self._inquiries.hear(control)
            case Replaced() if self._devices is not None:
                self._devices.replaced(control)

    def apply(self) -> None:
        """Live keys of the configuration have changed."""
        rooms, auth = self._config.rooms, self._config.auth
        retain(self._store, self._config)
        self._users.apply()
        if not self._guest_keys.known:
            self._tasks.spawn(self._agree())
        self.rooms.apply()
        self._outsiders.apply()
        self._liking.set(rooms.like_kinds, self._store.retention)
        self._speech.set(auth.kind_roles, rooms.messages_per_s)
        self._rate.apply()
        self._quotas.apply()
        if self._quotas.asks:
            self._sending.wake()

    async def start(self) -> None:
        self._rules.start()
        await self._reader.start(self._deliver, self._notices.deliver, self._resync)
        self._inquiries.start()
        if self._counts[ChatCount.STARTS] > 1:
            self.rooms.inherit()
        self._tasks.spawn(self._agree())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready(), FIRST_S)

    async def _ready(self) -> None:
        """Guests have keys, and it is known who is banned."""
        await self._agreed.wait()
        await self._rules.started.wait()

    async def _agree(self) -> None:
        """Try until guests have keys."""
        while not self._guest_keys.known:
            with suppress(StoreError):
                await self._guest_keys.agree(self._store)
                break
            await asyncio.sleep(FIRST_S)
        self._agreed.set()

    async def _resync(self, streams: Collection[str]) -> None:
        """Redis was away, and may have come back empty."""
        try:
            await self._guest_keys.agree(self._store)
        except StoreError:
            if not self._store.servers.apart:  # else the master that has it may be another one
                raise
        if self._store.keys.broadcast in streams:
            await self._rules.resync([None])
        await self.rooms.resync(streams)
        await self._words.resync()

    async def drain(self) -> None:
        await self.handler.drain(await self._has_others())
        self.rooms.drain()

    async def _has_others(self) -> bool:
        """Whether there are other nodes, as far as Redis says so in time."""
        if self._config.bus.url == "embedded":
            return False
        with suppress(StoreError, TimeoutError):
            return await asyncio.wait_for(Nodes(self._store).has_others(), OTHERS_S)
        return False

    async def stop(self) -> None:
        await self._tasks.stop()
        await self._moderators.stop()
        await self._words.stop()
        await self.handler.arrivals.stop()
        await self._sending.close()
        await self._outsiders.close()
        await self._enforcement.stop()
        await self._publisher.close()
        await self._liking.stop()
        await self._joins.stop()
        await self._reader.stop()
        await self._notices.stop()
        await self._reporting.stop()
        await self._inquiries.stop()
        if self._devices is not None:
            await self._devices.stop()
        if self._presence is not None:
            await self._presence.stop()
        await self._resume.stop()
        await self._paging.stop()
        await self.rooms.stop()
        await self._store.close()
        if self._tracer is not None:
            self._tracer.close()
