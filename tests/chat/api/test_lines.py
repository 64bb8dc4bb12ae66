"""However a stream of lines is cut into pieces, and wherever it is cut off: what came whole is
published, once, in order, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from chat.api.bodies import BadBody
from chat.api.incoming import Cut, Drain, Draining, Incoming
from chat.api.lines import Lines
from chat.api.models import PublishedOut
from chat.api.publishing import BATCH, Publishing
from chat.bus.store import Store
from chat.config.sections import Limits
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import lines, new_room
from tests.chat.api.scripted import CUT, Script, part, request
from tests.chat.desk import texts
from tests.chat.rig import BOUND_S, a_store, new_prefix, until

MOST = 64


class Desk:
    """Publishes streams in a room of its own."""

    def __init__(self, url: str) -> None:
        self.store: Store = a_store(url, new_prefix(), history=10_000)
        self.room = new_room()
        self.drain = Drain()
        self.publishing = Publishing(self.store, 5.0)

    async def close(self) -> None:
        await self.publishing.close()
        await self.store.close()

    async def publish(self, *messages: Message) -> PublishedOut:
        return await self.publish_script(Script(messages))

    async def publish_script(self, script: Script) -> PublishedOut:
        stream = Lines(self.publishing, self.room, Limits(), MOST)
        return await stream.publish(Incoming(request(script), 3600.0, self.drain))

    async def come_to(self, count: int) -> None:
        """Wait until so many are published, however many more come."""
        async with asyncio.timeout(BOUND_S):
            found = 0
            while found < count:
                found = len(await self.texts())
                await asyncio.sleep(0.002)

    async def texts(self) -> list[str]:
        head = await self.store.peek_room(self.room)
        return [] if head is None else texts(await self.store.history(self.room, head[0], 0, 9999))


@pytest.fixture
async def desk(valkey: EmbeddedEngine) -> AsyncIterator[Desk]:
    desk = Desk(valkey.url)
    yield desk
    await desk.close()


def numbered(first: int, count: int) -> bytes:
    return lines(*({"text": f"{i}"} for i in range(first, first + count)))


class TestAnyCut:
    @settings(max_examples=60)
    @given(
        st.lists(st.sampled_from([b'{"text":"x%d"}\n', b"\n", b"bad\n", b"y" * 70 + b"\n"])),
        st.lists(st.integers(0, 600), max_size=6),
        st.integers(0, 600),
        st.booleans(),
    )
    def test_what_came_whole_is_published(
        self,
        valkey: EmbeddedEngine,
        made: list[bytes],
        cuts: list[int],
        end: int,
        ends: bool,
    ) -> None:
        data = b"".join(line % i if b"%" in line else line for i, line in enumerate(made))[
            : None if ends else end
        ]
        edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
        pieces = [part(data[a:b]) for a, b in pairwise(edges)]
        *whole, rest = data.split(b"\n")
        dealt_with = len(whole) + (len(rest) > MOST)
        whole += [rest] if ends else []
        expected = [line[9:-2].decode() for line in whole if line.startswith(b"{")]

        async def scenario() -> None:
            desk = Desk(valkey.url)
            try:
                published = await desk.publish(*pieces, part(b"", more=False) if ends else CUT)
                assert ends
                assert published.accepted == len(expected)
            except Cut as cut:
                assert not ends
                assert (cut.accepted, cut.lines) == (len(expected), dealt_with)
            except BadBody:
                assert ends
                assert not expected
            assert await desk.texts() == expected
            await desk.close()

        asyncio.run(scenario())


class TestPauses:
    async def test_lines_are_published_while_the_stream_waits(self, desk: Desk) -> None:
        script = Script()
        streaming = asyncio.create_task(desk.publish_script(script))
        for count in range(1, 9):
            script.left.put_nowait(part(numbered(count, 1)))
            await desk.come_to(count)
        streaming.cancel()

    async def test_a_stream_that_never_pauses_is_published_too(self, desk: Desk) -> None:
        class Dripping(Script):
            """A line every few milliseconds, less than a line may wait."""

            drops = 0

            async def __call__(self) -> Message:
                await asyncio.sleep(0.003)
                self.drops += 1
                return part(numbered(self.drops, 1))

        streaming = asyncio.create_task(desk.publish_script(Dripping()))
        await desk.come_to(5)
        streaming.cancel()


class TestDrain:
    async def test_it_says_how_far_the_stream_got(self, desk: Desk) -> None:
        script = Script([part(numbered(0, BATCH + 7) + b"\nbad\n" + b'{"text":"half')])
        streaming = asyncio.create_task(desk.publish_script(script))
        await until(lambda: script.waiting)
        desk.drain.begin()
        with pytest.raises(Draining) as caught:
            await streaming
        assert (caught.value.accepted, caught.value.lines) == (BATCH + 7, BATCH + 9)
        assert await desk.texts() == [f"{i}" for i in range(BATCH + 7)]


class TestNothing:
    async def test_lines_of_which_none_is_a_message_are_refused(self, desk: Desk) -> None:
        with pytest.raises(BadBody, match="none of the 200 lines") as caught:
            await desk.publish(part(b"bad\n" * 200, more=False))
        assert [problem.line for problem in caught.value.problems] == list(range(1, 101))

    @pytest.mark.parametrize("data", [b"", b"\n", b"\r\n \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
    async def test_so_is_a_stream_without_any(self, desk: Desk, data: bytes) -> None:
        with pytest.raises(BadBody) as caught:
            await desk.publish(part(data, more=False))
        [problem] = caught.value.problems
        assert problem.message == "the stream has no messages"

    async def test_duplicates_are_something(self, desk: Desk) -> None:
        again = part(lines({"text": "x", "id": "a"}), more=False)
        assert (await desk.publish(again)).accepted == 1
        published = await desk.publish(again)
        assert (published.accepted, published.duplicates) == (0, 1)
