"""A client of goim's framing as a test sees it: every packet that came, frame by frame.

Rules. It knows the protocol from outside: struct, zlib, brotli and JSON, and nothing of ours.
"""

import asyncio
import json
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Self

import brotli
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.patience import PATIENCE_S


class Packet(NamedTuple):
    version: int
    op: int
    seq: int
    body: bytes


def packet(op: int, body: bytes = b"", version: int = 1, seq: int = 1) -> bytes:
    return struct.pack(">IHHII", 16 + len(body), 16, version, op, seq) + body


def packets(data: bytes) -> list[Packet]:
    """Those in a frame, compressed ones opened."""
    found: list[Packet] = []
    while data:
        length, header, version, op, seq = struct.unpack_from(">IHHII", data)
        assert header == 16
        assert 16 <= length <= len(data)
        body, data = data[16:length], data[length:]
        if version in (2, 3):
            found += packets(zlib.decompress(body) if version == 2 else brotli.decompress(body))
        else:
            found.append(Packet(version, op, seq, body))
    return found


class GoimClient:
    """`frames` is all that came, as it came; `close` what it was closed with."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[bytes] = []
        self.close: tuple[int, str] | None = None
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, **how: Any) -> Self:
        return cls(await connect(url, proxy=None, ping_interval=None, max_size=None, **how))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()
        await self._reading

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for frame in self.socket:
                assert isinstance(frame, bytes)
                async with self._news:
                    self.frames.append(frame)
                    self._news.notify_all()
        async with self._news:
            self.close = self.socket.close_code or 1006, self.socket.close_reason or ""
            self._news.notify_all()

    async def until(self, found: Callable[[], Any], what: str = "") -> Any:
        """Wait for something that came."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            while not (result := found()):
                assert self.close is None or what == "the close", f"closed by {self.close}: {what}"
                await self._news.wait()
        return result

    async def send(self, op: int, body: bytes = b"", seq: int = 1) -> None:
        await self.socket.send(packet(op, body, seq=seq))

    async def enter(self, **fields: Any) -> Self:
        """Say who one is, and be let in."""
        await self.send(7, json.dumps({"uid": 0, "protover": 0, **fields}).encode())
        await self.op(8)
        return self

    @property
    def packets(self) -> list[Packet]:
        return [one for frame in self.frames for one in packets(frame)]

    async def op(self, op: int, nth: int = 0) -> Packet:
        """The packet of an operation, the `nth` of them."""
        found: list[Packet] = await self.until(
            lambda: [one for one in self.packets if one.op == op][nth:], f"op {op}"
        )
        return found[0]

    def words(self, cmd: str = "") -> list[dict[str, Any]]:
        found = [json.loads(one.body) for one in self.packets if one.op == 5]
        return [one for one in found if not cmd or one["cmd"] == cmd]

    async def word(self, cmd: str, nth: int = 0) -> dict[str, Any]:
        word: dict[str, Any] = (await self.until(lambda: self.words(cmd)[nth:], cmd))[0]
        return word

    @property
    def texts(self) -> list[str]:
        return [line["info"][1] for line in self.words("DANMU_MSG")]

    async def text(self, text: str) -> None:
        await self.until(lambda: text in self.texts, text)

    async def closed(self) -> tuple[int, str]:
        close: tuple[int, str] = await self.until(lambda: self.close, "the close")
        return close
