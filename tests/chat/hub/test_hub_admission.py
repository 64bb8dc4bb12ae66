"""Who gets in, what they may do, how fast, and for how long."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from chat.counters import ChatCount
from chat.hub import hub as hub_module
from chat.ops.engine import EmbeddedEngine
from chat.policy.claims import LEEWAY_S
from tests.chat.rig import Shard, Viewer, until

ROOM = "live:42"
SECRET = "a secret of more than thirty-two bytes"


def token(sub: str = "u7", lasts_s: int = 3_600, secret: str = SECRET, **claims: Any) -> str:
    claims = {"sub": sub, "exp": int(time.time()) + lasts_s} | claims
    return f"?token={jwt.encode(claims, secret, 'HS256')}"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, auth={"secret": SECRET, "guests": "read"}) as shard:
        shard.wall = time.time()  # tokens are checked against the real one
        yield shard


class TestTokens:
    async def test_a_bearer_is_who_the_token_says(self, shard: Shard) -> None:
        query = token(name="阿花", role="moderator")
        async with shard.viewer(query) as viewer, shard.viewer() as guest:
            welcome = await viewer.hear("welcome")
            assert (welcome["uid"], welcome["name"], welcome["role"]) == ("u7", "阿花", "moderator")
            await guest.join(ROOM)
            await viewer.join(ROOM)
            await viewer.say(ROOM, "hi")
            message = await guest.hear("msg")
            assert (message["uid"], message["name"]) == ("u7", "阿花")

    async def test_what_it_says_of_its_bearer_goes_with_every_message(self, shard: Shard) -> None:
        shown: dict[str, Any] = {
            "avatar": "https://a.example/7.png",
            "level": 7,
            "badges": ["fan", "徽"],
        }
        async with shard.viewer(token(**shown)) as viewer, shard.viewer() as guest:
            await guest.join(ROOM)
            await viewer.join(ROOM)
            await viewer.say(ROOM, "hi")
            message = await guest.hear("msg")
            assert {name: message[name] for name in shown} == shown
        async with shard.viewer() as late, shard.viewer(token(sub="u8")) as plain:
            assert (await late.join(ROOM))["history"][0].items() >= shown.items()
            await plain.join(ROOM)
            await plain.say(ROOM, "ho")
            assert not shown.keys() & (await late.hear("msg", text="ho")).keys()

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("?token=nonsense", 4500),
            (token(secret="another secret, also of good length"), 4500),
            (token(sub="guest:x"), 4500),
            (token(lasts_s=-LEEWAY_S - 60), 4501),
        ],
    )
    async def test_a_bad_one_is_turned_away(self, shard: Shard, query: str, code: int) -> None:
        async with shard.viewer(query) as viewer:
            assert await viewer.closed() == code
            assert viewer.events == []
        assert shard.count(ChatCount.REFUSED_TOKEN) == 1

    async def test_no_secret_no_tokens(self, valkey: EmbeddedEngine, prefix: str) -> None:
        async with Shard(valkey.url, prefix) as shard, shard.viewer(token()) as viewer:
            assert await viewer.closed() == 4500

    async def test_an_empty_one_is_none(self, shard: Shard) -> None:
        async with shard.viewer("?token=") as viewer:
            assert (await viewer.hear("welcome"))["role"] == "guest"

    async def test_who_comes_next_on_the_same_descriptor_is_not_the_bearer(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        async with Shard(valkey.url, prefix, auth={"secret": SECRET}) as shard:
            async with shard.viewer(token()) as bearer:
                conn = (await bearer.hear("welcome"))["conn"]
            async with shard.successor(conn) as guest:
                [welcome] = guest.of("welcome")
                await guest.join(ROOM)
                await guest.say(ROOM, "who am I?")
                assert (await guest.hear("msg"))["uid"] == welcome["uid"] != "u7"


class TestGuests:
    async def test_may_be_readers_only(self, shard: Shard) -> None:
        async with shard.viewer() as guest, shard.viewer(token()) as user:
            await guest.join(ROOM)
            await user.join(ROOM)
            error = await guest.ask("send", room=ROOM, text="hi")
            assert (error["code"], "retry_after" in error) == ("read_only", False)
            await user.say(ROOM, "hi")
            assert (await guest.hear("msg"))["text"] == "hi"
        assert shard.count(ChatCount.REFUSED_READ_ONLY) == 1

    async def test_a_token_of_the_role_guest_is_one(self, shard: Shard) -> None:
        async with shard.viewer(token(role="guest")) as viewer:
            await viewer.join(ROOM)
            assert (await viewer.ask("send", room=ROOM, text="x"))["code"] == "read_only"

    async def test_may_type(self, valkey: EmbeddedEngine, prefix: str) -> None:
        auth = {"guests": "type"}
        async with Shard(valkey.url, prefix, auth=auth) as shard, shard.viewer() as guest:
            await guest.join(ROOM)
            await guest.say(ROOM, "hi")

    async def test_may_be_refused(self, valkey: EmbeddedEngine, prefix: str) -> None:
        auth = {"guests": "refuse", "secret": SECRET}
        async with Shard(valkey.url, prefix, auth=auth) as shard:
            async with shard.viewer() as guest:
                assert await guest.closed() == 4502
            async with shard.viewer(token()) as user:
                await user.join(ROOM)


class TestRates:
    @pytest.fixture
    async def shard(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
        limits = {"commands_per_s": 10, "commands_burst": 5}
        async with Shard(valkey.url, prefix, limits=limits) as shard:
            yield shard

    async def burst(self, viewer: Viewer, count: int = 5) -> None:
        for i in range(count):
            await viewer.do("ping", ref=i)
        await until(lambda: len(viewer.of("pong")) == count)

    async def test_a_burst_passes_and_one_more_does_not(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await self.burst(viewer)
            error = await viewer.ask("ping")
            assert (error["code"], error["retry_after"]) == ("rate_limited", 0.1)
            assert "10" in error["message"]

    async def test_after_the_time_it_says_there_is_another(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await self.burst(viewer)
            wait = (await viewer.ask("ping"))["retry_after"]
            shard.clock += wait
            assert (await viewer.ask("ping"))["t"] == "pong"
            assert (await viewer.ask("ping"))["code"] == "rate_limited"

    async def test_what_is_refused_is_not_done(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            await self.burst(viewer, 4)
            assert (await viewer.ask("send", room=ROOM, text="no"))["code"] == "rate_limited"
            shard.clock += 10
            await viewer.say(ROOM, "yes")
            await viewer.hear("msg", text="yes")
            assert viewer.texts == ["yes"]

    async def test_rooms_in_the_address_cost_what_joins_cost(self, shard: Shard) -> None:
        async with shard.viewer("?" + "&".join(f"room=r{i}" for i in range(8))) as viewer:
            await until(lambda: len(viewer.of("joined")) == 8)
            error = await viewer.ask("ping")
            assert (error["code"], error["retry_after"]) == ("rate_limited", 0.4)
            shard.clock += 0.4
            await viewer.settle()

    async def test_others_do_not_notice(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer() as two:
            await self.burst(one)
            assert (await one.ask("ping"))["code"] == "rate_limited"
            await self.burst(two)

    async def test_nonsense_counts_too(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            for _ in range(5):
                await viewer.raw("nonsense")
            await until(lambda: len(viewer.of("error")) == 5)
            assert (await viewer.ask("ping"))["code"] == "rate_limited"

    @pytest.mark.parametrize("frame", ['{"t":"ping"}', "nonsense"])
    async def test_far_too_many_end_the_connection(self, shard: Shard, frame: str) -> None:
        async with shard.viewer() as viewer:
            for _ in range(5 + hub_module.MAX_STRIKES):
                await viewer.raw(frame)
            refused = ChatCount.REFUSED_RATE_LIMITED
            await until(lambda: shard.count(refused) == hub_module.MAX_STRIKES)
            assert not viewer.close_code
            await viewer.raw(frame)
            assert await viewer.closed() == 4503

    async def test_one_that_passes_clears_the_record(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            for answered in (90, 180, 270):
                shard.clock += 1
                for _ in range(90):
                    await viewer.do("ping")
                await until(lambda: len(viewer.events) == 1 + answered)  # noqa: B023
            assert len(viewer.of("error")) > hub_module.MAX_STRIKES
            shard.clock += 1
            await viewer.settle()

    async def test_whoever_comes_next_on_the_same_descriptor_starts_afresh(
        self, shard: Shard
    ) -> None:
        async with shard.viewer() as viewer:
            await self.burst(viewer)
            conn = (await viewer.hear("welcome"))["conn"]
        async with shard.successor(conn) as viewer:
            await self.burst(viewer)
            assert viewer.of("welcome")[0]["conn"] != conn


class TestFull:
    """A shard that has as many rooms open as it may."""

    @pytest.fixture
    async def shard(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
        async with Shard(valkey.url, prefix, limits={"rooms": 2}) as shard:
            yield shard

    async def test_one_more_room_is_refused_with_a_time_to_come_back(self, shard: Shard) -> None:
        async with shard.viewer("?room=a&room=b&room=c") as viewer:
            await until(lambda: len(viewer.of("joined")) == 2)
            for error in (viewer.of("error")[0], await viewer.ask("join", room="d")):
                assert error["code"] == "too_many_rooms"
                assert error["retry_after"] > 0
            await viewer.join("a")
        assert shard.count(ChatCount.REFUSED_TOO_MANY_ROOMS) == 2

    async def test_what_is_left_makes_room_for_others(self, shard: Shard) -> None:
        async with shard.viewer("?room=a&room=b") as viewer:
            await until(lambda: len(viewer.of("joined")) == 2)
            await viewer.ask("leave", room="a")
            await shard.let_pass(8)
            await viewer.join("c")

    async def test_a_watcher_is_told_to_come_back(self, shard: Shard) -> None:
        async with shard.viewer("?room=a&room=b") as viewer:
            await until(lambda: len(viewer.of("joined")) == 2)
            head = await head_of(shard, "/sse?room=c")
            assert head.startswith("HTTP/1.1 503 ")
            assert re.search("\r\nRetry-After: [1-9]", head)


class TestOpening:
    """A shard that is asked for more rooms than it opens in a second."""

    async def test_who_has_a_command_to_try_again_is_told_to(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        limits = {"rooms_opened_per_s": 1, "commands_burst": 1_000}
        async with Shard(valkey.url, prefix, limits=limits) as shard:
            query = "?" + "&".join(f"room=r{i}" for i in range(20))
            async with shard.viewer(query) as patient, shard.viewer() as viewer:
                await until(lambda: len(patient.of("joined")) == 10)
                assert shard.service.rooms.wait_s > 5
                error = await viewer.ask("join", room="another")
                assert error["code"] == "rate_limited"
                assert 5 < error["retry_after"] <= 10
                assert "another" not in shard.service.rooms.by_name
                await viewer.join("r0")  # which is open
                assert patient.of("error") == []


async def head_of(shard: Shard, target: str) -> str:
    """What a plain request is answered, without a body."""
    host, port = shard.address.removeprefix("ws://").removesuffix("/ws").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    return head


@pytest.mark.parametrize(
    ("first", "codes"),
    [
        ([], []),
        (["a b"], ["bad_room"]),
        (["a b", "c d", ".", ".."], ["bad_room"] * 3),
    ],
)
async def test_an_address_with_very_many_rooms_is_answered_in_proportion(
    first: list[str], codes: list[str], valkey: EmbeddedEngine, prefix: str
) -> None:
    names = [*first, *map(str, range(100))]
    query = "?" + "&".join(f"room={quote(name)}" for name in names)
    limits = {"rooms_per_connection": 3}
    async with Shard(valkey.url, prefix, limits=limits) as shard, shard.viewer(query) as viewer:
        await until(lambda: len(viewer.of("joined")) + len(viewer.of("error")) == 4)
        assert [error["code"] for error in viewer.of("error")] == [*codes, "too_many_rooms"]
