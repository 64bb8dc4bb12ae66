"""A body comes whole, or says why it does not; and no wait that is given up loses anything."""

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message

import chat.api.incoming
from chat.api.incoming import (
    DRAIN_IDLE_S,
    DRAIN_S,
    Cut,
    Drain,
    Draining,
    Incoming,
    Interrupted,
    Stalled,
)
from tests.chat.api.scripted import CUT, Script, part, request
from tests.chat.rig import until

FOREVER_S = 3600.0


def body(
    *messages: Message, idle_s: float = FOREVER_S, drain: Drain | None = None, **headers: str
) -> Incoming:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Incoming(request(Script(messages), named), idle_s, drain or Drain())


async def exhaust(incoming: Incoming) -> None:
    """Read on and on, with pauses told."""
    clock = asyncio.get_running_loop().time
    while await incoming.chunk(clock() + 0.002) is not None:
        pass


class TestWhole:
    async def test_its_pieces_are_put_together(self) -> None:
        assert await body(part(b"ab"), part(b""), part(b"c", more=False)).whole(3) == b"abc"

    async def test_one_byte_too_many_is_refused_before_the_rest_comes(self) -> None:
        with pytest.raises(HTTPException) as caught:
            await body(part(b"ab"), part(b"cd")).whole(3)
        assert caught.value.status_code == 413

    async def test_a_length_that_is_too_much_is_not_waited_for(self) -> None:
        with pytest.raises(HTTPException) as caught:
            await body(content_length="4").whole(3)
        assert caught.value.status_code == 413

    @pytest.mark.parametrize("cut", range(5))
    async def test_a_byte_order_mark_before_it_is_passed_over(self, cut: int) -> None:
        data = b"\xef\xbb\xbf{}"
        assert await body(part(data[:cut]), part(data[cut:], more=False)).whole(9) == b"{}"

    async def test_a_second_mark_stands_in_it(self) -> None:
        twice = b"\xef\xbb\xbf" * 2
        assert await body(part(twice, more=False)).whole(9) == b"\xef\xbb\xbf"


class TestChunks:
    async def test_behind_the_end_there_is_nothing(self) -> None:
        incoming = body(part(b"a", more=False))
        assert [await incoming.chunk() for _ in range(3)] == [b"a", None, None]

    async def test_a_pause_is_told_and_loses_nothing(self) -> None:
        script = Script([part(b"a")])
        incoming = Incoming(request(script), FOREVER_S, Drain())
        assert await incoming.chunk() == b"a"
        now = asyncio.get_running_loop().time()
        assert await incoming.chunk(now + 0.01) == b""
        script.left.put_nowait(part(b"b"))
        assert await incoming.chunk(now) == b"b"


class TestEnds:
    async def test_a_lost_connection_is_a_cut(self) -> None:
        incoming = body(part(b"a"), CUT)
        assert await incoming.chunk() == b"a"
        with pytest.raises(Cut):
            await incoming.chunk()

    async def test_what_brings_nothing_for_too_long_has_stalled(self) -> None:
        incoming = body(part(b"a"), idle_s=0.02)
        with pytest.raises(Stalled):
            await incoming.whole(9)

    async def test_empty_pieces_are_nothing_brought(self) -> None:
        class Chatty(Script):
            async def __call__(self) -> Message:
                await asyncio.sleep(0.001)
                return part(b"")

        incoming = Incoming(request(Chatty()), 0.02, Drain())
        with pytest.raises(Stalled):
            await incoming.whole(9)

    async def test_pauses_that_are_told_do_not_make_it_wait_longer(self) -> None:
        incoming = body(idle_s=0.05)
        with pytest.raises(Stalled):
            await exhaust(incoming)

    async def test_a_cancelled_request_is_not_taken_for_a_pause(self) -> None:
        script = Script()
        reading = asyncio.create_task(Incoming(request(script), FOREVER_S, Drain()).chunk())
        await until(lambda: script.waiting)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


class TestDrain:
    async def test_a_body_that_waits_is_told(self) -> None:
        drain, script = Drain(), Script()
        reading = asyncio.create_task(Incoming(request(script), FOREVER_S, drain).whole(9))
        await until(lambda: script.waiting)
        drain.begin()
        with pytest.raises(Draining):
            await reading

    async def test_one_that_has_come_is_taken(self) -> None:
        drain = Drain()
        drain.begin()
        assert await body(part(b"a"), part(b"b", more=False), drain=drain).whole(9) == b"ab"

    async def test_an_endless_one_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chat.api.incoming, "DRAIN_S", 0.05)

        class Endless(Script):
            async def __call__(self) -> Message:
                await asyncio.sleep(0)
                return part(b"a")

        drain = Drain()
        drain.begin()
        incoming = Incoming(request(Endless()), FOREVER_S, drain)
        with pytest.raises(Draining):
            await exhaust(incoming)

    async def test_patience_is_short_and_has_an_end(self) -> None:
        drain = Drain()
        assert drain.patience(100.0, 30.0) == 130.0
        drain.begin()
        began = drain.patience(0.0, 30.0) - DRAIN_IDLE_S
        assert drain.patience(began + 1.0, 30.0) == pytest.approx(began + 1.0 + DRAIN_IDLE_S)
        assert drain.patience(began + 10.0, 30.0) == pytest.approx(began + DRAIN_S)


class TestThen:
    async def test_others_are_told_once_when_it_begins(self) -> None:
        drain, told = Drain(), list[str]()
        drain.then(lambda: told.append("one"))
        drain.then(lambda: told.append("other"))
        assert told == []
        drain.begin()
        assert told == ["one", "other"]


class TestEncodings:
    @pytest.mark.parametrize("named", ["gzip", "GZip", "identity, gzip", "br", "x"])
    async def test_what_is_encoded_is_refused_by_its_name(self, named: str) -> None:
        with pytest.raises(HTTPException) as caught:
            body(content_encoding=named)
        assert caught.value.status_code == 415
        assert named.lower().removeprefix("identity, ") in caught.value.detail
        assert caught.value.headers == {"Accept-Encoding": "identity"}

    @pytest.mark.parametrize("named", ["", "identity", "Identity, identity", " "])
    async def test_what_is_not_is_taken(self, named: str) -> None:
        assert await body(part(b"a", more=False), content_encoding=named).whole(1) == b"a"


def test_every_interruption_says_how_it_is_answered() -> None:
    assert {kind.status: kind.code for kind in Interrupted.__subclasses__()} == {
        499: "unavailable",
        408: "timeout",
        503: "unavailable",
    }
