"""The queue of reports, against a real Valkey."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.reports import MOST_OF_ONE, REPORTERS_S, Report, Reports
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Msg
from tests.chat.rig import a_store

ROOM = "live:42"


def report(uid: str = "u1", seq: int = 7, **fields: Any) -> Report:
    message = Msg(ROOM, seq, f"e1-{seq}", "u9", "n", "rude", 1, "scroll", 25, 1_000)
    return Report(2_000, uid, message, **fields)


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


@pytest.fixture
def reports(store: Store) -> Reports:
    return Reports(store, most=20)


async def whole(reports: Reports, limit: int = 3) -> list[Report]:
    """The queue, page by page."""
    found: list[Report] = []
    after: str | None = "0-0"
    while after is not None:
        listed, after = await reports.page(after, limit)
        found += [one for _, one in listed]
        assert len(listed) <= limit
    return found


class TestAdding:
    async def test_they_come_out_as_they_went_in_and_in_order(self, reports: Reports) -> None:
        given = [report(seq=seq, reason="粗话") for seq in range(1, 8)]
        for one in given:
            assert await reports.add(one) == (True, 0)
        for limit in (1, 3, 7, 50):
            assert await whole(reports, limit) == given

    async def test_a_viewer_reports_a_message_once(self, reports: Reports) -> None:
        assert await reports.add(report()) == (True, 0)
        assert await reports.add(report(reason="again")) == (False, 0)
        assert await reports.add(report(seq=8)) == (True, 0)
        assert await whole(reports) == [report(), report(seq=8)]

    async def test_a_crowd_that_reports_one_message_leaves_room_for_others(
        self, reports: Reports, store: Store, raw: Any
    ) -> None:
        outcomes = [await reports.add(report(f"u{i}")) for i in range(100)]
        assert outcomes == [(True, 0)] * MOST_OF_ONE + [(False, 0)] * (100 - MOST_OF_ONE)
        key = store.keys.reporters(ROOM, "e1-7")
        assert await raw.hlen(key) == MOST_OF_ONE
        assert 0 < await raw.ttl(key) <= REPORTERS_S
        assert len(await whole(reports)) == MOST_OF_ONE

    async def test_the_oldest_go_when_there_are_too_many_and_that_is_said(
        self, reports: Reports
    ) -> None:
        assert [await reports.add(report(seq=seq)) for seq in range(1, 23)] == [(True, 0)] * 20 + [
            (True, 1)
        ] * 2
        assert [one.message.seq for one in await whole(reports)] == list(range(3, 23))


class TestTaking:
    async def test_one_that_is_dealt_with_is_gone_and_was_there_once(
        self, reports: Reports
    ) -> None:
        for seq in (1, 2, 3):
            await reports.add(report(seq=seq))
        listed, _ = await reports.page("0-0", 9)
        assert await reports.find(listed[1][0]) == report(seq=2)
        assert await reports.take(listed[1][0])
        assert await reports.find(listed[1][0]) is None
        assert not await reports.take(listed[1][0])
        assert not await reports.take("5-0")
        assert [one.message.seq for one in await whole(reports)] == [1, 3]


class TestWhatIsNotOurs:
    async def test_is_passed_over_and_may_be_taken_out(
        self, reports: Reports, store: Store, raw: Any
    ) -> None:
        for fields in ({"m": b"\xff"}, {"x": "1"}, {"m": "[]"}):
            await raw.xadd(store.keys.reports, fields)
        await reports.add(report())
        assert await whole(reports, 1) == [report()]
        first = (await raw.xrange(store.keys.reports, count=1))[0][0]
        assert await reports.find(first) is None
        assert await reports.take(first)
        assert await raw.xlen(store.keys.reports) == 3


class TestWaiting:
    async def test_it_is_how_many_nobody_has_dealt_with(self, reports: Reports) -> None:
        assert await reports.waiting() == 0
        for seq in (1, 2):
            await reports.add(report(seq=seq))
        assert await reports.waiting() == 2
        [(first, _), _], _ = await reports.page("0-0", 9)
        await reports.take(first)
        assert await reports.waiting() == 1
