"""Reports of viewers: what gets into the queue, and what a viewer is told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.entries import Deleted, pack
from chat.bus.pages import BEGINNING
from chat.bus.reports import Report, Reports
from chat.bus.store import Outgoing
from chat.counters import ChatCount
from chat.hub import reporting
from chat.hub.reporting import AT_ONCE
from chat.ops.engine import EmbeddedEngine
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, Viewer, new_prefix, publish

ROOM = "live:42"


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    few = {"history_on_join": 2}
    async with Shard(valkey.url, prefix, auth={"secret": SECRET}, rooms=few) as shard:
        yield shard


async def queue(shard: Shard) -> list[Report]:
    listed, _ = await Reports(shard.store).page(BEGINNING, 500)
    return [one for _, one in listed]


async def report(viewer: Viewer, seq: int, room: str = ROOM, **fields: Any) -> Any:
    return await viewer.ask("report", room=room, seq=seq, **fields)


class TestReporting:
    @pytest.mark.parametrize("binary", [False, True])
    async def test_it_is_done_and_holds_the_message_as_it_was_said(
        self, shard: Shard, binary: bool
    ) -> None:
        async with shard.viewer(token("u1"), binary=binary) as viewer:
            await viewer.join(ROOM)
            said = await viewer.say(ROOM, "粗话")
            answer = await report(viewer, said["seq"], reason=" rude\n")
            assert answer == {"t": "done", "room": ROOM, "action": "report", "ref": answer["ref"]}
            [one] = await queue(shard)
            assert (one.reporter, one.reason, one.ts) == ("u1", "rude", int(shard.wall * 1000))
            assert (one.message.text, one.message.id) == ("粗话", said["id"])
        assert shard.count(ChatCount.REPORTS) == 1

    async def test_an_older_message_is_looked_for_in_the_history(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a", "b", "c", "d", "e")
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            for seq in (1, 5):
                assert (await report(viewer, seq))["t"] == "done"
        assert [one.message.text for one in await queue(shard)] == ["a", "e"]

    async def test_again_is_answered_alike_and_changes_nothing(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a")
        async with shard.viewer(token("u1")) as one, shard.viewer(token("u1")) as same:
            for viewer in (one, one, same):
                await viewer.join(ROOM)
                assert (await report(viewer, 1))["t"] == "done"
        assert len(await queue(shard)) == 1
        assert shard.count(ChatCount.REPORTS_REPEATED) == 2


class TestRefusals:
    async def test_a_room_one_is_not_in(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a")
        async with shard.viewer() as viewer:
            assert (await report(viewer, 1))["code"] == "not_joined"

    async def test_what_is_no_message(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a")
        entry = pack(Deleted(1, 5))
        await shard.store.publish([Outgoing(ROOM, "u", entry)], "e1", 1_000, 0)
        await publish(shard.store, ROOM, "c", "d")
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            for seq in (2, 5, 2**53):
                answer = await report(viewer, seq)
                assert (answer["t"], answer["code"]) == ("error", "bad_request")
                assert "no message" in answer["message"]
        assert await queue(shard) == []

    async def test_a_message_of_an_epoch_that_is_over(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, "a", "b", "c", epoch="e2")
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            for seq in (1, 3):  # in the history, and at hand
                assert (await report(viewer, seq, epoch="e1"))["code"] == "bad_request"
                assert (await report(viewer, seq, epoch="e2"))["t"] == "done"
        assert len(await queue(shard)) == 2

    @pytest.mark.parametrize(
        "fields", [{"seq": 0}, {"seq": "1"}, {"seq": 2**53 + 1}, {"seq": 1, "reason": "x" * 201}]
    )
    async def test_what_is_no_report(self, shard: Shard, fields: dict[str, Any]) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            answer = await viewer.ask("report", room=ROOM, **fields)
            assert answer["code"] == "bad_request"

    async def test_more_than_anybody_judges(self, shard: Shard) -> None:
        await publish(shard.store, ROOM, *"abcdefgh")
        async with shard.viewer() as viewer, shard.viewer() as other:
            await viewer.join(ROOM)
            await other.join(ROOM)
            for seq in range(1, AT_ONCE + 1):
                assert (await report(viewer, seq))["t"] == "done"
            refused = await report(viewer, 8)
            assert refused["code"] == "rate_limited"
            assert refused["retry_after"] == pytest.approx(10, abs=0.3)
            assert (await report(other, 8))["t"] == "done"
            shard.advance(10)
            assert (await report(viewer, 8))["t"] == "done"
        assert shard.count(ChatCount.REFUSED_RATE_LIMITED) == 1

    async def test_more_than_a_shard_has_under_way(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reporting, "MOST_UNDER_WAY", 0)
        await publish(shard.store, ROOM, "a")
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            refused = await report(viewer, 1)
            assert (refused["code"], refused["retry_after"]) == ("rate_limited", 1.0)

    async def test_while_the_bus_is_away(self, own_valkey: EmbeddedEngine) -> None:
        short = {"partitions": 4, "timeout_ms": 300}
        async with Shard(own_valkey.url, new_prefix(), bus=short) as shard:
            await publish(shard.store, ROOM, "a")
            async with shard.viewer() as viewer:
                await viewer.join(ROOM)
                own_valkey.stop()
                refused = await report(viewer, 1)
                assert (refused["code"], refused["retry_after"]) == ("unavailable", 1.0)
        assert shard.count(ChatCount.REFUSED_UNAVAILABLE) == 1
