"""The rooms a client follows, and the joins that are under way for them.

Rules. What a room's events mean is `follower.py`'s; here is which rooms there are, and that each is
joined when its join is due: when the server said, where it refused one for now, and jitter behind
that, because it tells many the same. Commands go out by the link; whether it is up is told by
`welcomed` and `lost`.

A join is asked once. Where some are open and none is answered in time, nobody is there: the
connection is given up for another. Danger: an answer may be there, unread; see `is_read`.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UNSET
from msgspec.structs import asdict

from chat.client.backoff import Backoff
from chat.client.follower import Follower, JoinRefused, News, RoomEvent, Stage
from chat.client.link import ClientError, Env, Link
from chat.wire.commands import Since
from chat.wire.schema import Error, Joined, Left

MOST_NAME_BYTES: Final = 16_000
"""With it and a position a join is what a server takes at once; what is longer is a close."""


@dataclass(slots=True)
class _Followed:
    follower: Follower
    refusals: Backoff
    joining: asyncio.Task[None] | None = None

    def stop(self) -> None:
        if self.joining is not None:
            self.joining.cancel()


class Rooms:
    """Those of one client, by name.

    refs      numbers for its commands
    answer_s  seconds to wait for an answer to any join
    is_read   whether what the server sends is being read
    """

    def __init__(
        self,
        rooms: Iterable[str],
        link: Link,
        env: Env,
        refs: Iterator[int],
        answer_s: float,
        is_read: Callable[[], bool],
    ) -> None:
        self._link = link
        self._env = env
        self._refs = refs
        self._answer_s = answer_s
        self._is_read = is_read
        self._due = 0.0
        self._watching: asyncio.Task[None] | None = None
        self._up = False
        self._rooms = {room: self._new(room) for room in rooms}

    def _new(self, room: str, since: Since | None = None) -> _Followed:
        if len(msgspec.json.encode(room)) > MOST_NAME_BYTES:
            raise ClientError(f"a room's name is at most {MOST_NAME_BYTES} bytes")
        return _Followed(Follower(room, since), Backoff(self._env.chance))

    def get(self, room: str) -> Follower | None:
        """Where we are in a room; None in one that is not followed."""
        followed = self._rooms.get(room)
        return None if followed is None else followed.follower

    def follow(self, room: str, since: Since | None = None) -> None:
        """One more room, from a position or from now on; one that was refused is asked for again.

        Raises ClientError where a position is given for a room that is followed, and for a name
        that no server lets anybody ask for.
        """
        if since is not None and room in self._rooms:
            raise ClientError(f"{room} is followed already, so it cannot begin anywhere else")
        follower = self._rooms.setdefault(room, self._new(room, since)).follower
        if follower.stage in (Stage.DOWN, Stage.REFUSED, Stage.OUT):
            follower.ask(self._env.now(), self._up)
            self.join_wanted()

    def forget(self, room: str) -> bool:
        """Follow a room no more; whether it was followed."""
        followed = self._rooms.pop(room, None)
        if followed is not None:
            followed.stop()
        return followed is not None

    def welcomed(self) -> None:
        """There is a new connection."""
        self._up = True
        for followed in self._rooms.values():
            followed.follower.welcomed(self._env.now())

    def lost(self) -> None:
        """There is no connection any more."""
        self._up = False
        for followed in self._rooms.values():
            followed.follower.lost()
            followed.stop()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def take(self, event: RoomEvent) -> list[News]:
        """What is new to the viewer in an event of a room."""
        followed = self._rooms.get(event.room)
        if followed is None:
            return []
        if isinstance(event, Joined):
            followed.refusals.reset()
            self._expect()
        return followed.follower.take(event, self._env.now())

    def refused(self, error: Error) -> Error:
        """An error came that may be the answer to a join; it says of which room, then."""
        for room, followed in self._rooms.items():
            if followed.follower.asked(error.ref):
                self._expect()
                now = self._env.now() + followed.refusals.next_s()
                followed.follower.refuse(error, now)
                return JoinRefused(**asdict(error), room=room)
        return error

    def left(self, left: Left) -> None:
        """We were sent out of a room, where there is a reason."""
        follower = self.get(left.room)
        if follower is not None and left.reason is not UNSET:
            follower.sent_out(left)

    def join_wanted(self) -> None:
        """See to it that each room that is to be joined will be."""
        for followed in self._rooms.values():
            idle = followed.joining is None or followed.joining.done()
            if followed.follower.stage is Stage.WANTED and idle:
                followed.joining = asyncio.create_task(self._join(followed.follower))

    async def _join(self, follower: Follower) -> None:
        while follower.stage is Stage.WANTED:
            wait_s = follower.join_at - self._env.now()
            if wait_s > 0:
                await self._env.sleep(wait_s)
            if follower.stage is Stage.WANTED:
                command = follower.join(next(self._refs), self._env.now())
                self._expect()
                if self._watching is None or self._watching.done():
                    self._watching = asyncio.create_task(self._watch())
                await self._link.say(command)

    def _expect(self) -> None:
        """A join was asked, or answered: the next answer has its time from now."""
        self._due = asyncio.get_running_loop().time() + self._answer_s

    async def _watch(self) -> None:
        """Give the connection up where joins are open and none is answered."""
        while any(one.follower.stage is Stage.ASKED for one in self._rooms.values()):
            wait_s = self._due - asyncio.get_running_loop().time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            elif self._is_read():
                await self._link.give_up()
                return
            else:
                self._expect()
