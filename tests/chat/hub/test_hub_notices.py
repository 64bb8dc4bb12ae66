"""What comes from above: notices, and the end of a shard."""

from collections.abc import AsyncIterator

import pytest

from chat.bus.entries import pack_notice
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from shard.counters import Count
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, until

ROOM = "live:42"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, auth={"secret": SECRET}) as shard:
        yield shard


class TestNotices:
    async def test_to_all_reach_all_in_any_room_or_none(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer(f"?room={ROOM}", binary=True) as two:
            await one.hear("welcome")
            await two.hear("welcome")
            await shard.store.notify(pack_notice(None, "sys", "hi", 1, 2, "gift"))
            for viewer in (one, two):
                notice = await viewer.hear("notice")
                assert notice == {
                    "t": "notice", "id": notice["id"], "scope": "all", "name": "sys",
                    "text": "hi", "color": 1, "ts": 2, "kind": "gift",
                }  # fmt: skip
        assert shard.count(ChatCount.NOTICES_DELIVERED) == 2

    async def test_to_users_reach_every_connection_of_theirs(self, shard: Shard) -> None:
        async with (
            shard.viewer(token("u1")) as first,
            shard.viewer(token("u1"), binary=True) as second,
            shard.viewer(token("u2")) as other,
            shard.viewer() as guest,
        ):
            for viewer in (first, second, other, guest):
                await viewer.hear("welcome")
            await shard.store.notify(pack_notice(["u1", "u1", "u9"], "sys", "to u1", 1, 2))
            await shard.store.notify(pack_notice(None, "sys", "to all", 1, 2))
            for viewer in (first, second, other, guest):
                await viewer.hear("notice", text="to all")
            for viewer in (first, second):
                assert [n["text"] for n in viewer.of("notice")] == ["to u1", "to all"]
                assert viewer.of("notice")[0]["scope"] == "user"
            for viewer in (other, guest):
                assert [n["text"] for n in viewer.of("notice")] == ["to all"]

    async def test_to_a_guest_reach_that_connection_only(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer() as two, shard.viewer(token("u1")) as user:
            uid = (await one.hear("welcome"))["uid"]
            conn = (await user.hear("welcome"))["conn"]
            name, generation, fd = uid.removeprefix("guest:").split("-")
            strangers = ["guest:", "guest:x", "guest:a-b-c", "guest:x-0-ffffff", "guest:x-0--1"]
            strangers += [f"guest:other-{generation}-{fd}", f"guest:{name}-{generation}1-{fd}"]
            strangers += [f"{uid}0", uid.removeprefix("guest:"), f"guest:{conn}", "guest:-é"]
            await shard.store.notify(pack_notice(strangers, "sys", "to nobody", 1, 2))
            await shard.store.notify(pack_notice([uid], "sys", "to one", 1, 2))
            await shard.store.notify(pack_notice(None, "sys", "to all", 1, 2))
            for viewer in (one, two, user):
                await viewer.hear("notice", text="to all")
            assert [n["text"] for n in one.of("notice")] == ["to one", "to all"]
            assert len(two.of("notice")) == len(user.of("notice")) == 1

    async def test_are_not_dropped_before_slow_readers(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with shard.viewer() as viewer:
            await viewer.hear("welcome")
            dropped: list[bool] = []
            fan_out = shard.group.fan_out

            def noting(fds: list[int], data: bytes, droppable: bool = True) -> None:
                dropped.append(droppable)
                fan_out(fds, data, droppable)

            monkeypatch.setattr(shard.group, "fan_out", noting)
            await shard.store.notify(pack_notice(None, "sys", "hi", 1, 2))
            await viewer.hear("notice")
            assert set(dropped) == {False}

    async def test_what_is_none_is_counted_and_skipped(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.hear("welcome")
            for entry in (b"", b"\xc1", pack_notice(None, "sys", "hi", 1, 2)[:-2]):
                await shard.store.notify(entry)
            await shard.store.notify(pack_notice(None, "sys", "hi", 1, 2))
            await viewer.hear("notice", text="hi")
            assert len(viewer.of("notice")) == 1
        assert shard.count(ChatCount.BAD_ENTRIES) == 3


class TestDraining:
    async def test_everyone_is_told_when_to_come_back(self, shard: Shard) -> None:
        viewers = [shard.viewer(f"?room={ROOM}", binary=i % 2 > 0) for i in range(12)]
        for viewer in viewers:
            await viewer.__aenter__()
            await viewer.hear("joined")
        shard.hub.drain()
        moments = []
        for viewer in viewers:
            assert await viewer.closed() == 4000
            bye = viewer.events[-1]
            assert (bye["t"], bye["reason"]) == ("bye", "restart")
            moments.append(bye["reconnect_in"])
            await viewer.__aexit__()
        assert all(0 <= moment <= shard.config.server.drain_s for moment in moments)
        assert len(set(moments)) > 6
        await until(lambda: shard.counts[Count.CONNECTIONS] == 0)
