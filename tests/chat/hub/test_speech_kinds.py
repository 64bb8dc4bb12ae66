"""What viewers may send that is no chat, and what staff say in a crowded room."""

from collections.abc import AsyncIterator

import pytest

from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Event, Shard, until

ROOM = "live:42"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    auth = {"secret": SECRET, "kind_roles": ("admin", "streamer")}
    rooms = {"shown_per_s": 1, "messages_per_s": 2}
    async with Shard(valkey.url, prefix, auth=auth, rooms=rooms) as shard:
        yield shard


class TestKinds:
    @pytest.mark.parametrize("role", ["admin", "streamer"])
    async def test_roles_that_are_named_send_them(self, shard: Shard, role: str) -> None:
        async with shard.viewer(token("a", role=role)) as sender, shard.viewer() as other:
            for viewer in (sender, other):
                await viewer.join(ROOM)
            for _ in range(5):  # always shown, and never too many
                await sender.say(ROOM, "thanks", kind="gift")
            await until(lambda: len(other.texts) == 5)
            assert [one["kind"] for one in other.of("msg")] == ["gift"] * 5
            assert other.of("shed") == []

    @pytest.mark.parametrize("role", ["user", "moderator", "streamers"])
    async def test_others_may_not(self, shard: Shard, role: str) -> None:
        async with shard.viewer(token("a", role=role)) as sender:
            await sender.join(ROOM)
            error = await sender.ask("send", room=ROOM, text="thanks", kind="superchat")
            assert (error["code"], "retry_after" in error) == ("forbidden", False)
            assert shard.count(ChatCount.REFUSED_ROLE) == 1
            assert (await sender.ask("send", room=ROOM, text="x", kind="x"))[
                "code"
            ] == "bad_request"
            assert (await sender.ask("send", room=ROOM, text="x", kind=None))["t"] == "ack"


class TestCrowds:
    async def test_a_room_without_a_limit_has_the_servers(self, shard: Shard) -> None:
        async with shard.viewer(token("a")) as sender:
            await sender.join(ROOM)
            errors: list[Event] = []
            while not errors:
                answers = [await sender.ask("send", room=ROOM, text="hi") for _ in range(5)]
                errors = [answer for answer in answers if answer["t"] == "error"]
            assert errors[0]["code"] == "room_busy"
            assert 0 < errors[0]["retry_after"] <= 0.5

    async def test_what_staff_say_is_shown(self, shard: Shard) -> None:
        async with shard.viewer(token("m", role="moderator")) as staff, shard.viewer() as other:
            for viewer in (staff, other):
                await viewer.join(ROOM)
            for i in range(6):
                await staff.say(ROOM, f"{i}")
            await until(lambda: len(other.texts) == 6)
            assert other.of("shed") == []
