"""Requests whose body comes as a test says, without a socket."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import Message

Headers = dict[str, str]

CUT: Message = {"type": "http.disconnect"}


def part(body: bytes, more: bool = True) -> Message:
    """A piece of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


class Script:
    """An ASGI `receive` that gives messages, and waits for more behind the last."""

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self.left: asyncio.Queue[Message] = asyncio.Queue()
        self.waiting = False
        for message in messages:
            self.left.put_nowait(message)

    async def __call__(self) -> Message:
        self.waiting = self.left.empty()
        return await self.left.get()


def request(script: Script, headers: Headers | None = None) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, script)
