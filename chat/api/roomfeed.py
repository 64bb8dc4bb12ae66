"""A room's lines for who follows it by HTTP: read from its history, once for all of them.

Rules. A stream follows one room or several. A room is read while somebody follows it, twice a
second, from where the last read ended; its viewers every fourth time. Who comes is told the room's
end on its own, and takes from what all are told next what is behind that. So the API's process
follows no stream of the bus, and a room that somebody watches costs the same however many do.
"""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from chat.api import asked
from chat.api.doors import Doors
from chat.api.live_paths import MOST_FOLLOWED, LinesOut
from chat.api.models import RemovedOut, RoomDetailOut
from chat.api.streams import Stream, Streaming, Streams, Topic, frame
from chat.bus.connect import StoreError
from chat.bus.likes import room_likes
from chat.bus.places import Page
from chat.config.sections import Config
from chat.tasks import Tasks
from chat.wire.schema import Clear, Delete, Msg, Removed, State

LOOK_S: Final = 0.5
CROWD_LOOKS: Final = 4
END: Final = 100
"""Lines that who comes is told."""
MOST: Final = 500
"""Lines of one look."""
BEHIND_ALL: Final = 2**53


class RoomFeed:
    """One room's. It is looked at once somebody has begun."""

    running = False

    def __init__(self, doors: Doors, room: str) -> None:
        self.topic = Topic()
        self._doors = doors
        self.room = room
        self._epoch: str | None = None
        self._seq = 0
        self._looks = 0

    async def look(self) -> None:
        """Tell what has come. Raises StoreError."""
        page = await self._doors.store.page(self.room, self._seq, MOST)
        anew = page.epoch != self._epoch
        if anew:
            page = await self.end()
        self._epoch = page.epoch
        self._seq = page.end or self._seq
        if anew or page.places:
            self.topic.tell(frame("lines", self._lines(page, anew)))
        if self._looks % CROWD_LOOKS == 0:
            self.topic.tell(frame("room", await self._crowd(page)))
        self._looks += 1

    async def end(self) -> Page:
        """The room's end as it is now."""
        page = await self._doors.store.page_before(self.room, BEHIND_ALL, END)
        page.end = page.seq  # it was read to there, though backwards
        return page

    async def begin(self, stream: Stream) -> None:
        """Tell one who comes where the room is. Raises StoreError."""
        page = await self.end()
        while page.epoch == self._epoch and page.seq < self._seq:  # all were told more meanwhile
            page = await self.end()
        if self._epoch is None:
            self._epoch, self._seq = page.epoch, page.seq
        stream.put(frame("lines", self._lines(page, True)))

    def _lines(self, page: Page, anew: bool) -> LinesOut:
        return LinesOut(self.room, page.epoch, page.seq, anew, lines(page))

    async def _crowd(self, page: Page) -> RoomDetailOut:
        store = self._doors.store
        crowd = await self._doors.crowds.of(self.room)
        likes = await room_likes(store.servers, store.keys, self.room)
        told = crowd.online, crowd.peak, crowd.peak_at or None, crowd.unique
        return RoomDetailOut(self.room, *told, page.epoch, page.seq, likes)


def lines(page: Page) -> list[Msg | Delete | Clear | State | RemovedOut]:
    """What of a page is told: not what was shown to its sender only, nor what was left out."""
    told: list[Msg | Delete | Clear | State | RemovedOut] = []
    for place in page.places:
        if isinstance(place, Removed):
            told.append(RemovedOut(place.seq))
        elif isinstance(place, Msg | Delete | Clear | State):
            told.append(place)
    return told


class RoomFeeds:
    """Those of all rooms that somebody follows."""

    def __init__(self, config: Config, doors: Doors, streams: Streams) -> None:
        self._config = config
        self._doors = doors
        self._streams = streams
        self._feeds: dict[str, RoomFeed] = {}
        self._tasks = Tasks("rooms that are followed")

    async def follow(self, request: Request) -> Response:
        """The handler."""
        rooms = asked.rooms(request, self._config, MOST_FOLLOWED)
        stream = self._streams.enter()
        feeds: list[RoomFeed] = []

        def leave() -> None:
            self._streams.leave(stream)
            for feed in feeds:
                self._leave(feed, stream)

        try:
            for room in rooms:
                feeds.append(self._feeds.setdefault(room, RoomFeed(self._doors, room)))
                await self._begin(feeds[-1], stream)
        except BaseException:
            leave()
            raise
        return Streaming(stream, leave)

    async def _begin(self, feed: RoomFeed, stream: Stream) -> None:
        feed.topic.join(stream)
        await feed.begin(stream)
        if not feed.running:
            feed.running = True
            self._tasks.spawn(self._run(feed))

    def _leave(self, feed: RoomFeed, stream: Stream) -> None:
        feed.topic.leave(stream)
        if not feed.topic:
            self._feeds.pop(feed.room, None)

    async def _run(self, feed: RoomFeed) -> None:
        try:
            while feed.topic:
                with suppress(StoreError):  # asked again; by `nodes` it is seen that Redis is away
                    await feed.look()
                await asyncio.sleep(LOOK_S)
        finally:
            feed.topic.end("draining")

    async def stop(self) -> None:
        """Nobody follows any more."""
        await self._tasks.stop()
