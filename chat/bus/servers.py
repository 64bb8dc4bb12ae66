"""Which server serves a key, and asking it; where it turns out to be another, asking that.

    Servers           one server behind one address, which may be another one tomorrow
    SentinelServers   the master that Sentinels name        chat/bus/sentinel.py
    ClusterServers    many masters, each with its slots     chat/bus/cluster.py

Rules. A request is a key, and a command on keys of the same slot. Requests to one server share a
round trip and keep their order. A command is asked again only when a server said that it has not
done it: because it is a replica, because the slot is another's, because half of a Cluster is away.
Everything else may have been done, and is a StoreError for its caller to judge.

Danger: a server that is not the one any more goes on answering, and its connections stay up.
Whoever is told so leaves all of them. One that says nothing wrong is only found by asking what it
is, which `Tail` does while it is idle.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.exceptions import AskError, MovedError, ResponseError

from chat.bus.connect import FAILURES, Pool, StoreError, connect, elsewhere, store_error

LANES: Final = 32
"""Commands under way at once on a server; publishing has as many again, so nothing delays it."""
AGAIN_S: Final = (0.0, 0.05, 0.2)
"""Pauses before a command that was not done is asked again."""

Command = Callable[[Any, "Server"], object]
"""Appends one command to a pipeline of redis-py, for this server."""
Request = tuple[str, Command]
"""A key, and the command on keys of its slot."""


class Server:
    """One address, and connections to it.

    clock_ms  how far its clock, in ms since 1970, is ahead of the loop's; None until it has said
    """

    def __init__(self, url: str, name: str, timeout_s: float, lanes: int = LANES) -> None:
        self.name = name
        self.url = url
        self.client = connect(url, timeout_s, timeout_s)
        self.clock_ms: float | None = None
        self._lanes = asyncio.Semaphore(lanes)
        self._publish_lanes = asyncio.Semaphore(lanes)

    async def ask(
        self, commands: Sequence[Command], *, publishing: bool = False, asking: bool = False
    ) -> list[Any]:
        """Replies, or the errors in their places; one error in all of them when none came.

        publishing  the commands need the server's clock
        asking      its slot is about to be this server's (a Cluster's ASKING)
        """
        try:
            async with self._publish_lanes if publishing else self._lanes:
                if publishing and self.clock_ms is None:
                    seconds, micros = await self.client.time()
                    self.told_time(int(seconds) * 1000 + int(micros) // 1000)
                pipe = self.client.pipeline(transaction=False)
                for command in commands:
                    if asking:
                        pipe.execute_command("ASKING")
                    command(pipe, self)
                replies: list[Any] = await pipe.execute(raise_on_error=False)
                return replies[1::2] if asking else replies
        except FAILURES as error:
            return [error] * len(commands)

    def time_ms(self, at_s: float) -> int:
        """What its clock says at a time of the loop's. It has said what time it is."""
        assert self.clock_ms is not None, "publishing asks for the time first"
        return int(self.clock_ms + at_s * 1000)

    def told_time(self, now_ms: int) -> None:
        """The server has just said what time it is."""
        self.clock_ms = now_ms - asyncio.get_running_loop().time() * 1000

    async def leave(self) -> None:
        """Connect anew from now on: who answers then may be another, with another clock."""
        self.clock_ms = None
        pool = self.client.connection_pool
        assert isinstance(pool, Pool)
        await pool.leave()


RoundTrip = Callable[[float, bool], None]
"""Is told of a round trip: how many seconds it took, and whether it failed."""


def _not_counted(seconds: float, failed: bool) -> None:
    """Nobody wants to know."""


class Servers:
    """One server. The other kinds are made of this by other answers to who serves what.

    on_round_trip  is told of every round trip
    """

    most_block_s = math.inf
    """How long a tail may wait without looking whether somebody else is to be read by now."""
    on_round_trip: RoundTrip = staticmethod(_not_counted)
    apart = False
    """Whether partitions may be different servers', so that one may be away without the others."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._only: Server | None = Server(url, "the server", timeout_s)

    # --- who serves what -----------------------------------------------------------------------

    def of(self, key: str) -> Server | None:
        """Who serves a key, as far as is known; None: `find` has to find out."""
        return self._only

    async def find(self, key: str) -> Server:
        """Who serves a key. Raises StoreError."""
        server = self.of(key)
        if server is None:
            raise StoreError("nobody serves this")
        return server

    def feed(self, stream: str) -> str:
        """Streams of the same feed may be read together; "" is the feed of all."""
        return ""

    async def wrong(self, server: Server, error: BaseException) -> None:
        """A server did not answer, or said that it is not the one."""
        await server.leave()

    async def confirm(self, key: str, server: Server) -> None:
        """Raises StoreError when somebody else serves a key by now."""

    async def close(self) -> None:
        """Close all connections."""
        if self._only is not None:
            await self._only.client.aclose()

    # --- asking --------------------------------------------------------------------------------

    async def ask(self, key: str, command: Command) -> Any:
        """The reply to one command. Raises StoreError."""
        return (await self.ask_all([(key, command)]))[0]

    async def ask_all(self, requests: Sequence[Request]) -> list[Any]:
        """Replies to all of them. Raises the first's StoreError."""
        replies = await self.ask_each(requests)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply if isinstance(reply, StoreError) else store_error(reply)
        return replies

    async def ask_each(self, requests: Sequence[Request], *, publishing: bool = False) -> list[Any]:
        """Replies, or what went wrong in their places."""
        replies: list[Any] = [None] * len(requests)
        todo: Sequence[int] = range(len(requests))
        for pause_s in (*AGAIN_S, None):
            todo = await self._ask_once(requests, todo, replies, publishing)
            if not todo or pause_s is None:
                break
            await asyncio.sleep(pause_s)
        return replies

    async def _ask_once(
        self, requests: Sequence[Request], todo: Sequence[int], replies: list[Any], publishing: bool
    ) -> list[int]:
        """Puts in the replies of those to be asked; which of them were not done."""
        clock = asyncio.get_running_loop().time
        groups: dict[tuple[Server, bool], list[int]] = defaultdict(list)
        not_done: list[int] = []
        for i in todo:
            server, asking = self.of(requests[i][0]) if replies[i] is None else None, False
            try:
                if server is None:
                    server, asking = await self._whom(requests[i][0], replies[i])
                groups[server, asking].append(i)
            except StoreError as error:
                replies[i] = error

        async def ask(server: Server, asking: bool, part: list[int]) -> None:
            commands = [requests[i][1] for i in part]
            began = clock()
            found = await server.ask(commands, publishing=publishing, asking=asking)
            left: Exception | None = None
            for i, reply in zip(part, found, strict=True):
                replies[i] = reply
                if isinstance(reply, Exception):
                    if elsewhere(reply):
                        not_done.append(i)
                        left = reply
                    elif not isinstance(reply, ResponseError):
                        left = reply
            self.on_round_trip(clock() - began, left is not None)
            if left is not None:
                await self.wrong(server, left)

        asked = [ask(server, asking, part) for (server, asking), part in groups.items()]
        if len(asked) == 1:
            await asked[0]
        else:
            await asyncio.gather(*asked)
        return sorted(not_done)

    async def _whom(self, key: str, last: Any) -> tuple[Server, bool]:
        """Who is asked about a key after the answer `last`, and whether only for this once."""
        if isinstance(last, MovedError):
            self.moved(last)
        elif isinstance(last, AskError):
            return self.at(last.host, last.port), True
        return self.of(key) or await self.find(key), False

    def moved(self, error: MovedError) -> None:
        """A slot is another server's. Raises StoreError where there is no other."""
        raise StoreError("this is a Cluster: bus.url has to be redis+cluster://")

    def at(self, host: str, port: int) -> Server:
        """The server at an address of a Cluster."""
        raise StoreError("this is a Cluster: bus.url has to be redis+cluster://")
