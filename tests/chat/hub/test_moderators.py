"""The command `moderate`, on real sockets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.counters import ChatCount
from chat.hub import moderators
from chat.ops.engine import EmbeddedEngine
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.hub.test_hub_away import freeze, thaw
from tests.chat.rig import Shard, until

ROOM = "live:42"
MODERATOR = token("m1", role="moderator")


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, auth={"secret": SECRET}) as shard:
        yield shard


async def test_is_done_and_said(shard: Shard) -> None:
    async with shard.viewer(MODERATOR) as mod, shard.viewer(token("u1"), binary=True) as user:
        await user.join(ROOM)
        done = await mod.ask("moderate", room=ROOM, action="mute", uid="u1", seconds=60)
        assert done == {"t": "done", "room": ROOM, "action": "mute", "ref": done["ref"]}
        await until(lambda: shard.hub._book.of(ROOM).sanctions)
        assert (await user.ask("send", room=ROOM, text="x"))["code"] == "muted"
        await mod.ask("moderate", room=ROOM, action="unmute", uid="u1")
        await until(lambda: not shard.hub._book.of(ROOM).sanctions)
        await user.say(ROOM, "x")
    assert shard.count(ChatCount.MODERATED_MUTE) == 1
    assert shard.count(ChatCount.MODERATED_UNMUTE) == 1


@pytest.mark.parametrize("binary", [False, True])
async def test_null_takes_away_and_elsewhere_is_nothing(shard: Shard, binary: bool) -> None:
    async with shard.viewer(MODERATOR, binary=binary) as mod:
        await mod.join(ROOM)
        await mod.say(ROOM, "pin me")
        for fields in (
            {"pinned": 1, "announcement": "hi", "slow_s": 3.0},
            {"pinned": None, "announcement": None, "uid": None, "slow_s": None},
        ):
            done = await mod.ask("moderate", room=ROOM, action="settings", **fields)
            assert done["t"] == "done", done
        first, second = await mod.hear("state"), await mod.hear("state")
        assert first["state"]["pinned"]["text"] == "pin me"
        assert (first["state"]["announcement"], first["state"]["slow_s"]) == ("hi", 3)
        assert (second["state"]["announcement"], second["state"]["pinned"]) == (None, None)
        assert second["state"]["slow_s"] == 3
        assert (await mod.join(ROOM))["state"] == second["state"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"action": "mute"}, "uid"),
        ({"action": "mute", "uid": "u1", "slow_s": 5}, "slow_s"),
        ({"action": "shout"}, "action"),
        ({"action": "mute", "uid": "u1", "seconds": 0}, "seconds"),
        ({"action": "settings", "slow_s": -1}, "slow_s"),
        ({"action": "settings", "pinned": 99}, "pinned"),
        ({}, "action"),
    ],
)
async def test_a_wrong_field_is_named(shard: Shard, fields: dict[str, Any], word: str) -> None:
    async with shard.viewer(MODERATOR) as mod:
        error = await mod.ask("moderate", room=ROOM, **fields)
        assert (error["t"], error["code"]) == ("error", "bad_request")
        assert word in error["message"]


async def test_a_room_that_is_none(shard: Shard) -> None:
    async with shard.viewer(MODERATOR) as mod:
        error = await mod.ask("moderate", room="a b", action="mute", uid="u1")
        assert error["code"] == "bad_room"


class TestWhoMay:
    async def test_not_who_is_no_moderator(self, shard: Shard) -> None:
        for query in ("", token("u1"), token("u1", role="vip")):
            async with shard.viewer(query) as viewer:
                error = await viewer.ask("moderate", room=ROOM, action="mute", uid="u2")
                assert error["code"] == "forbidden"
                await viewer.join(ROOM)
                error = await viewer.ask("moderate", room=ROOM, action="mute", uid="u2")
                assert error["code"] == "forbidden"
        assert shard.count(ChatCount.REFUSED_MODERATION) == 6

    async def test_only_on_lower_ranks_as_far_as_they_are_known(self, shard: Shard) -> None:
        async with (
            shard.viewer(MODERATOR) as mod,
            shard.viewer(token("m2", role="moderator")) as equal,
            shard.viewer(token("u2", role="vip")) as vip,
        ):
            await equal.hear("welcome")
            await vip.hear("welcome")
            for uid, found in (("m2", "error"), ("m1", "error"), ("u2", "done"), ("u3", "done")):
                answer = await mod.ask("moderate", room=ROOM, action="mute", uid=uid)
                assert answer["t"] == found, (uid, answer)

    async def test_ranks_are_known_of_other_shards(
        self, shard: Shard, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        there = Shard(valkey.url, prefix, auth={"secret": SECRET})
        of_the_room = token("m2", rooms={ROOM: "moderator"})
        async with there, shard.viewer(MODERATOR) as mod, there.viewer(of_the_room) as equal:
            await equal.hear("welcome")
            order = {"room": ROOM, "action": "mute", "uid": "m2"}
            answer = await mod.ask("moderate", **order)
            assert (answer["t"], answer.get("code")) == ("error", "forbidden")
            elsewhere = await mod.ask("moderate", **order | {"room": "another"})
            assert elsewhere["t"] == "done"


class TestOrder:
    async def test_one_connections_are_done_one_after_the_other(self, shard: Shard) -> None:
        async with shard.viewer(MODERATOR) as mod:
            await mod.join(ROOM)
            for i in range(12):
                action = "unmute" if i % 2 else "mute"
                await mod.do("moderate", room=ROOM, action=action, uid="u1", ref=i)
            await mod.hear("done", ref=11)
            assert [done["ref"] for done in mod.of("done")] == list(range(12))
            rules = shard.hub._book.of
            await until(lambda: rules(ROOM).version == rules(ROOM).base + 11)
            assert not shard.hub._book.of(ROOM).sanctions

    async def test_what_is_begun_is_finished_though_its_connection_closes(
        self, shard: Shard
    ) -> None:
        async with shard.viewer(MODERATOR) as mod:
            await mod.hear("welcome")
            await mod.do("moderate", room=ROOM, action="ban", uid="u1")
        async with shard.viewer(token("u1")) as viewer:
            await until(lambda: shard.count(ChatCount.MODERATED_BAN) == 1)
            assert (await viewer.ask("join", room=ROOM))["code"] == "banned"


async def test_while_redis_is_away_one_is_told_when_to_ask_again(
    own_valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderators, "MOST_WAITING", 2)
    bus = {"partitions": 4, "flush_interval_ms": 5, "timeout_ms": 300}
    async with (
        Shard(own_valkey.url, "x", bus=bus, auth={"secret": SECRET}) as shard,
        shard.viewer(MODERATOR) as mod,
    ):
        await mod.join(ROOM)
        freeze(own_valkey)
        for i in range(3):
            await mod.do("moderate", room=ROOM, action="mute", uid="u1", ref=i)
        assert (await mod.hear("error", ref=2))["code"] == "rate_limited"
        for i in range(2):
            error = await mod.hear("error", ref=i)
            assert error["code"] == "unavailable"
            assert error["retry_after"] > 0
        await thaw(own_valkey)
        done = await mod.ask("moderate", room=ROOM, action="mute", uid="u1")
        assert done["t"] == "done"
