"""What goes on by HTTP, asked for or followed: nodes, rooms, what moderators do.

    scoreboard -> Figures -> Nodes (all of them) -> frames -> streams

Rules. Once every TELL_S this node looks at its scoreboard and tells all others of itself; where
somebody follows, it then makes a frame of each kind, which all who may see it are sent. Nothing is
made for one of them, and nothing but the look where nobody follows. While Redis is away there are
this node's own figures, and the answer says so.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from chat import __version__
from chat.api import asked
from chat.api.answers import answer
from chat.api.doors import Doors
from chat.api.figures import Figures
from chat.api.incoming import Drain
from chat.api.live_paths import (
    AuditedOut,
    HelloOut,
    KeyOut,
    NodeOut,
    NodesOut,
    RoomNowOut,
    RoomsNowOut,
)
from chat.api.metrics import Metrics
from chat.api.observing import audit_entries
from chat.api.parts import Parts
from chat.api.roomfeed import RoomFeeds
from chat.api.streams import Stream, Streaming, Streams, Topic, frame
from chat.bus.connect import StoreError
from chat.bus.nodes import TELL_S, own_name
from chat.config.sections import Config, Scope
from chat.tasks import Tasks
from chat.wire.schema import UNREADABLE

log = logging.getLogger(__name__)

MOST_ROOMS: Final = 50
MOST_AUDITED: Final = 100
"""Entries of one tick; the rest come by the next."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(NodeOut).decode


class Watching:
    """The handlers, and what they follow."""

    def __init__(
        self, config: Config, doors: Doors, metrics: Metrics, drain: Drain, ws_port: int
    ) -> None:
        self._doors = doors
        self._node = f"{socket.gethostname()}:{ws_port}"
        self._name = own_name(ws_port)
        self._figures = Figures(metrics.board)
        self._streams = Streams(config.api.live_streams, drain)
        self._topics: dict[Scope, Topic] = {
            scope: Topic() for scope in ("metrics", "read", "moderate")
        }
        self._feeds = RoomFeeds(config, doors, self._streams)
        self._audited: str | None = None
        self._tasks = Tasks("live figures")

    def routes(self) -> list[BaseRoute]:
        """What is served."""
        return [
            Parts("/v1/key", GET=self.key),
            Parts("/v1/nodes", GET=self.nodes),
            Parts("/v1/live", GET=self.live),
            Parts("/v1/rooms/{room}/live", GET=self._feeds.follow),
        ]

    def start(self) -> None:
        """Tell of this node from now on."""
        self._tasks.spawn(self._run())
        self._tasks.spawn(self._begin())

    async def stop(self) -> None:
        """It is gone."""
        await self._feeds.stop()
        await self._tasks.stop()
        with suppress(StoreError):
            await self._doors.nodes.gone(self._name)

    # --- the handlers --------------------------------------------------------------------------

    async def key(self, request: Request) -> Response:
        caller = asked.caller(request)
        return answer(KeyOut(caller.name, sorted(caller.scopes)))

    async def nodes(self, request: Request) -> Response:
        return answer(_nodes({self._name: _encode(self._own())} | await self._doors.nodes.all()))

    async def live(self, request: Request) -> Response:
        caller = asked.caller(request)
        if "moderate" in caller.scopes and not self._topics["moderate"]:
            await self._begin_audit()
        stream = self._streams.enter()
        scopes: list[str] = [*sorted(caller.scopes)]
        stream.put(frame("hello", HelloOut(caller.name, scopes, self._node, __version__, TELL_S)))
        for scope, topic in self._topics.items():
            if scope in caller.scopes:
                topic.join(stream)
        return Streaming(stream, lambda: self._leave(stream))

    async def _begin_audit(self) -> None:
        """What is done from now on is told; while Redis is away, from when it is back."""
        self._audited = None
        with suppress(StoreError):
            self._audited = await self._doors.audit.last()

    def _leave(self, stream: Stream) -> None:
        for topic in self._topics.values():
            topic.leave(stream)
        self._streams.leave(stream)

    # --- every tick ----------------------------------------------------------------------------

    async def _begin(self) -> None:
        with suppress(StoreError):  # then it is known when that has been silent
            await self._doors.nodes.begun(self._name, self._node)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._figures.look(clock())
            own = _encode(self._own())
            await self._tell_nodes(own)
            with suppress(StoreError):  # that is told by `nodes`
                if self._topics["read"]:
                    await self._tell_rooms()
                if self._topics["moderate"]:
                    await self._tell_audit()
            await asyncio.sleep(TELL_S)

    def _own(self) -> NodeOut:
        shards, rates = self._figures.shards(), self._figures.rates()
        streams = self._streams
        return NodeOut(self._node, __version__, len(streams), streams.most, shards, rates)

    async def _tell_nodes(self, own: bytes) -> None:
        try:
            told = _nodes(await self._doors.nodes.tell(self._name, own))
        except StoreError:
            told = _nodes({self._name: own}, bus=False)
        if self._topics["metrics"]:
            self._topics["metrics"].tell(frame("nodes", told))

    async def _tell_rooms(self) -> None:
        crowds = await self._doors.crowds.top(MOST_ROOMS)
        heads = await self._doors.store.peek_heads([crowd.room for crowd in crowds])
        rooms = [
            RoomNowOut(one.room, one.online, one.peak, one.peak_at or None, one.unique, seq)
            for one, head in zip(crowds, heads, strict=True)
            for _, seq in [head or ("", 0)]
        ]
        self._topics["read"].tell(frame("rooms", RoomsNowOut(rooms)))

    async def _tell_audit(self) -> None:
        if self._audited is None:
            self._audited = await self._doors.audit.last()
        entries, _ = await self._doors.audit.page(self._audited, MOST_AUDITED)
        if entries:
            self._audited = entries[-1][0]
        waiting = await self._doors.reports.waiting()
        told = AuditedOut(audit_entries(entries), waiting)
        self._topics["moderate"].tell(frame("audit", told))


def _nodes(told: dict[str, bytes], bus: bool = True) -> NodesOut:
    """What can be read of what nodes told."""
    found: list[Any] = []
    for _, one in sorted(told.items()):
        with suppress(*UNREADABLE):
            found.append(_decode(one))
    return NodesOut(found, bus)
