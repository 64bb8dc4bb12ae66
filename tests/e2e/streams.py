"""An event stream as `curl -N` shows it, with what a test wants to know of it."""

import asyncio
import json
import shutil
import signal
from collections.abc import Callable
from typing import Any, Self

from tests.patience import PATIENCE_S
from tests.whole import Event, whole

CURL = shutil.which("curl")


class Curl:
    """`curl -N URL`; `events` is all that came, `last_id` what it would come back with."""

    def __init__(self, url: str, *options: str) -> None:
        self._command = [str(CURL), "-sN", *options, url]
        self._news = asyncio.Condition()
        self.events: list[Event] = []
        self.comments = 0
        self.retry_ms = 0
        self.last_id = ""
        self.close_code = 0
        self.ended = False

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, limit=1 << 26
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def kill(self) -> None:
        """Cut it without a word."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        fields: dict[str, str] = {}
        async for raw in self._process.stdout:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            async with self._news:
                if raw == b"\n":
                    self._dispatch(fields)
                    fields = {}
                elif raw == b":\n":
                    self.comments += 1
                elif name == "retry":
                    self.retry_ms = int(value)
                else:
                    fields[name] = value
                self._news.notify_all()
        async with self._news:
            self.ended = True
            self._news.notify_all()

    def _dispatch(self, fields: dict[str, str]) -> None:
        if "data" not in fields:
            return
        self.last_id = fields.get("id", self.last_id)
        data: Any = json.loads(fields["data"])
        if fields.get("event") == "close":
            self.close_code = data["code"]
        else:
            self.events += whole(data)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["t"] == kind]

    def texts(self, room: str) -> list[str]:
        """What was said in a room: what was missed or is shown first, then what came live."""
        said: list[Event] = []
        for event in self.events:
            if event.get("room") == room:
                said += event["history"] if event["t"] == "joined" else []
                said += [event] if event["t"] == "msg" else []
        return [message["text"] for message in said]

    async def until(self, condition: Callable[[Self], object]) -> None:
        """Wait until `condition` holds."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._news:
                await self._news.wait_for(lambda: condition(self))
        except TimeoutError:
            raise AssertionError(f"it did not come; last were {self.events[-3:]}") from None
