"""The scripts in `lua/`, loaded where they are not known.

Rules. What a script means is its caller's. A script is called by its hash; a server that does not
know it (new, or restarted) is told the source and asked again, once.
"""

from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any

import redis.asyncio as redis
from redis.exceptions import NoScriptError

from chat.bus.connect import StoreError

Call = tuple[list[Any], list[Any]]
"""Keys and arguments."""
Ask = Callable[[Any], Awaitable[Any]]
"""Waits for a coroutine of redis-py, in its turn. Raises StoreError."""


class Script:
    """`lua/NAME.lua` on one client."""

    def __init__(self, client: "redis.Redis", name: str) -> None:
        self._client = client
        self._script = client.register_script(
            (files("chat.bus") / "lua" / f"{name}.lua").read_text("utf-8")
        )

    async def run(self, ask: Ask, keys: list[Any], args: list[Any]) -> Any:
        """The reply to one call. Raises StoreError."""
        return await ask(self._script(keys, args))

    async def run_each(self, ask: Ask, calls: Sequence[Call]) -> list[Any]:
        """All calls in one round trip: replies, or their errors. Raises StoreError."""
        pipe = self._client.pipeline(transaction=False)
        for keys, args in calls:
            pipe.evalsha(self._script.sha, len(keys), *keys, *args)
        replies: list[Any] = await ask(pipe.execute(raise_on_error=False))
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if not unknown:
            return replies
        for keys, args in (calls[i] for i in unknown):
            pipe.evalsha(self._script.sha, len(keys), *keys, *args)
        try:
            await ask(self._client.script_load(self._script.script))
            again: Sequence[Any] = await ask(pipe.execute(raise_on_error=False))
        except StoreError as error:  # the other calls are done, whatever became of these
            again = [error] * len(unknown)
        for i, reply in zip(unknown, again, strict=True):
            replies[i] = reply
        return replies
