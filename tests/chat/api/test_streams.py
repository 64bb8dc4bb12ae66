"""Live streams: a frame for all of them, bounds on how many and on what waits, and their ends."""

import asyncio

import pytest

from chat.api.incoming import Drain
from chat.api.live_paths import GoodbyeOut
from chat.api.streams import MOST_WAITING, Stream, Streaming, Streams, TooManyStreams, Topic, frame
from tests.chat.api.rig import Api
from tests.chat.rig import BOUND_S


async def rest(stream: Stream) -> list[bytes]:
    """All frames of a stream that has ended."""
    async with asyncio.timeout(BOUND_S):
        return [one async for one in stream.frames()]


class TestFrame:
    def test_it_is_an_event_that_a_browser_reads(self) -> None:
        assert frame("end", GoodbyeOut("a\nb")) == b'event: end\ndata: {"reason":"a\\nb"}\n\n'


class TestStream:
    async def test_frames_come_in_order_until_the_end(self) -> None:
        stream = Stream()
        for one in (b"1", b"2"):
            stream.put(one)
        stream.end("draining")
        stream.put(b"3")
        stream.end("slow")
        assert await rest(stream) == [b"1", b"2", frame("end", GoodbyeOut("draining"))]

    async def test_one_that_waits_is_woken(self) -> None:
        stream = Stream()
        found = asyncio.create_task(rest(stream))
        await asyncio.sleep(0)
        stream.put(b"1")
        await asyncio.sleep(0)
        stream.end("slow")
        assert len(await found) == 2

    async def test_who_is_too_slow_is_told_so_instead(self) -> None:
        stream = Stream()
        for _ in range(MOST_WAITING):
            stream.put(b"x")
        stream.put(b"y")
        assert await rest(stream) == [frame("end", GoodbyeOut("slow"))]


class TestStreams:
    async def test_there_are_so_many_and_one_more_is_told_why_not(self) -> None:
        streams = Streams(2, Drain())
        first, _ = streams.enter(), streams.enter()
        with pytest.raises(TooManyStreams, match="2 live streams") as refused:
            streams.enter()
        assert (refused.value.status, refused.value.code) == (503, "too_many_streams")
        assert refused.value.retry_after
        streams.leave(first)
        streams.leave(first)
        streams.enter()
        assert len(streams) == 2

    async def test_all_end_when_the_process_is_about_to(self) -> None:
        drain = Drain()
        streams = Streams(9, drain)
        opened = [streams.enter() for _ in range(3)]
        drain.begin()
        for stream in opened:
            assert await rest(stream) == [frame("end", GoodbyeOut("draining"))]

    async def test_none_is_one_that_is_refused(self) -> None:
        with pytest.raises(TooManyStreams):
            Streams(0, Drain()).enter()


class TestTopic:
    async def test_all_of_it_have_the_very_same_frame(self) -> None:
        topic, streams, told = Topic(), [Stream() for _ in range(3)], bytes(bytearray(b"frame"))
        assert not topic
        for stream in streams:
            topic.join(stream)
        assert topic
        topic.tell(told)
        topic.leave(streams[2])
        topic.tell(b"more")
        topic.end("draining")
        for stream in streams[:2]:
            found = await rest(stream)
            assert found[0] is told
            assert found[1:] == [b"more", frame("end", GoodbyeOut("draining"))]
        streams[2].end("slow")
        assert (await rest(streams[2]))[0] is told


class TestStreaming:
    async def test_who_left_is_out_of_it_also_before_a_word_was_said(self) -> None:
        left: list[str] = []
        streaming = Streaming(Stream(), lambda: left.append("left"))

        async def receive() -> dict[str, object]:
            return {"type": "http.disconnect"}

        async def send(message: object) -> None:
            assert message

        async with asyncio.timeout(BOUND_S):
            scope = {"type": "http", "method": "GET", "asgi": {"spec_version": "2.3"}}
            await streaming(scope, receive, send)
        assert left == ["left"]

    @pytest.mark.parametrize("path", ["/v1/live", "/v1/rooms/r/live"])
    def test_who_asks_for_the_head_only_has_it_and_goes_on(self, api: Api, path: str) -> None:
        with api.connection() as connection:
            for method, asked in (("HEAD", path), ("GET", "/v1/key")):
                connection.request(method, asked)
                answer = connection.getresponse()
                assert answer.status == 200
                answer.read()
        [node] = api.get("/v1/nodes").json["nodes"]
        assert node["streams"] == 0
