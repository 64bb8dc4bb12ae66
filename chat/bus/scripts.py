"""The scripts in `lua/`, told to servers that do not know them.

Rules. What a script means is its caller's. A script is called by its hash; a server that does not
know it (new, or restarted) has done nothing, and is sent the source, once.
"""

from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from chat.bus.connect import StoreError, store_error
from chat.bus.servers import Command, Request, Server, Servers

Keys = Sequence[Any]
Args = Callable[[Server], Sequence[Any]]
"""The arguments for a server."""
Call = tuple[Keys, Args]


class Script:
    """`lua/NAME.lua`, behind the pieces it shares with others."""

    def __init__(self, servers: Servers, name: str, *shared: str) -> None:
        self._servers = servers
        lua = files("chat.bus") / "lua"
        self._source = "".join((lua / f"{one}.lua").read_text("utf-8") for one in (*shared, name))
        self._hash = sha1(self._source.encode(), usedforsecurity=False).hexdigest()

    async def run(self, keys: Keys, args: Sequence[Any]) -> Any:
        """The reply to one call. Raises StoreError."""
        [reply] = await self.run_each([(keys, lambda server: args)])
        if isinstance(reply, Exception):
            raise reply if isinstance(reply, StoreError) else store_error(reply)
        return reply

    async def run_each(self, calls: Sequence[Call], *, publishing: bool = False) -> list[Any]:
        """All calls, each to who serves its keys: replies, or what went wrong in their places.

        `publishing`: the arguments need the server's clock.
        """

        def request(call: Call, source: bool = False) -> Request:
            return call[0][0], self._command(*call, source)

        asked = [request(call) for call in calls]
        replies = await self._servers.ask_each(asked, publishing=publishing)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            asked = [request(calls[i], source=True) for i in unknown]
            again = await self._servers.ask_each(asked, publishing=publishing)
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        return replies

    def _command(self, keys: Keys, args: Args, source: bool) -> Command:
        if source:
            return lambda pipe, on: pipe.eval(self._source, len(keys), *keys, *args(on))
        return lambda pipe, on: pipe.evalsha(self._hash, len(keys), *keys, *args(on))
