"""What may be said how often, by viewers of two shards: who waits is told, everywhere alike."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from chat.bus.rules import Rules
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.rules import Settings, pack_settings
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Event, Shard, until

ROOM = "live:42"
AUTH = {"secret": SECRET}


@pytest.fixture
async def shards(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[list[Shard]]:
    async with AsyncExitStack() as opened:
        yield [
            await opened.enter_async_context(Shard(valkey.url, prefix, auth=AUTH)) for _ in range(2)
        ]


def refused(answers: list[Event], code: str, most_s: float) -> bool:
    """Whether all are errors with this code that say how long to wait."""
    return all(
        answer["t"] == "error" and answer["code"] == code and 0 < answer["retry_after"] <= most_s
        for answer in answers
    )


async def set_in(shards: list[Shard], room: str, settings: Settings) -> None:
    """Set that in a room, and let all shards learn of it."""
    await Rules(shards[0].store).change(room, {"settings": pack_settings(settings)})
    books = [shard.service._rules.book for shard in shards]
    await until(lambda: all(book.of(room).settings == settings for book in books), "the settings")


class TestRooms:
    @pytest.mark.parametrize(
        ("settings", "code", "most_s", "count"),
        [
            (Settings(slow_s=3600), "slow_mode", 3600, ChatCount.REFUSED_SLOW_MODE),
            (Settings(no_repeats_s=3600), "repeated", 3600, ChatCount.REFUSED_REPEATED),
            (Settings(messages_per_s=1), "room_busy", 1, ChatCount.REFUSED_ROOM_BUSY),
        ],
    )
    async def test_a_limit_holds_on_all_nodes(
        self, shards: list[Shard], settings: Settings, code: str, most_s: float, count: ChatCount
    ) -> None:
        one, two = shards
        async with one.viewer(token("u7")) as here, two.viewer(token("u7")) as there:
            await here.join(ROOM)
            await there.join(ROOM)
            await set_in(shards, ROOM, settings)
            first = await here.say(ROOM, "hi", id="i")
            errors: list[Event] = []
            while not errors:
                asked = [await who.ask("send", room=ROOM, text="HI") for who in (there, here)]
                errors = [answer for answer in asked if answer["t"] == "error"]
            assert refused(errors, code, most_s)
            # Sending again what was taken is no second message.
            assert (await there.say(ROOM, "hi", id="i"))["seq"] == first["seq"]
            await set_in(shards, ROOM, Settings())
            assert (await there.ask("send", room=ROOM, text="HI"))["t"] == "ack"
        assert sum(shard.count(count) for shard in shards) == len(errors)

    async def test_they_hold_for_those_below_and_in_that_room(self, shards: list[Shard]) -> None:
        [shard, _] = shards
        roles = ("user", "vip", "moderator")
        async with AsyncExitStack() as opened:
            user, vip, moderator = [
                await opened.enter_async_context(shard.viewer(token(role, role=role)))
                for role in roles
            ]
            for viewer in (user, vip, moderator):
                for room in (ROOM, "other"):
                    await viewer.join(room)
            await set_in([shard], ROOM, Settings(slow_s=3600, no_repeats_s=3600))
            for viewer in (user, vip, moderator):
                await viewer.say(ROOM, "a")
                for room in ["other"] if viewer is user else [ROOM, "other"]:
                    for _ in range(2):
                        await viewer.say(room, "a")
            assert refused([await user.ask("send", room=ROOM, text="b")], "slow_mode", 3600)


class TestQuotas:
    async def test_a_user_has_one_on_all_connections_and_nodes(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        limits = {"user_messages_per_s": 1, "user_messages_burst": 3}
        async with (
            Shard(valkey.url, prefix, auth=AUTH, limits=limits) as one,
            Shard(valkey.url, prefix, auth=AUTH, limits=limits) as two,
            one.viewer(token("u7")) as here,
            two.viewer(token("u7")) as there,
            one.viewer(token("u8")) as other,
        ):
            await here.join(ROOM)
            await there.join("elsewhere")
            await other.join(ROOM)
            for text in "ab":
                await here.say(ROOM, text)
            await there.say("elsewhere", "c")
            answers = [await there.ask("send", room="elsewhere", text="d") for _ in range(20)]
            errors = [answer for answer in answers if answer["t"] == "error"]
            assert errors
            assert refused(errors, "rate_limited", 1)
            assert errors[0]["message"] == "at most 1 messages a second of one user"
            await other.say(ROOM, "e")
            assert two.count(ChatCount.REFUSED_RATE_LIMITED) == len(errors)

    async def test_an_address_has_one_whoever_comes(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        limits = {"address_messages_per_s": 1, "address_messages_burst": 5}
        async with Shard(valkey.url, prefix, limits=limits) as shard, AsyncExitStack() as opened:
            answers = []
            for i in range(20):
                guest = await opened.enter_async_context(shard.viewer())
                await guest.join(ROOM)
                answers.append(await guest.ask("send", room=ROOM, text=f"{i}"))
            assert [answer["t"] for answer in answers[:5]] == ["ack"] * 5
            errors = [answer for answer in answers if answer["t"] == "error"]
            assert errors
            assert refused(errors, "rate_limited", 1)

    async def test_messages_keep_their_order(self, valkey: EmbeddedEngine, prefix: str) -> None:
        limits = {"user_messages_per_s": 100, "user_messages_burst": 1000}
        async with Shard(valkey.url, prefix, limits=limits) as shard, shard.viewer() as viewer:
            await viewer.join(ROOM)
            for i in range(30):
                await viewer.do("send", room=ROOM, text=f"{i}")
            await viewer.hear("msg", text="29")
            assert viewer.texts == [f"{i}" for i in range(30)]
