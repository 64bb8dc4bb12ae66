"""The ways to Redis: there while they are open, and not after that."""

from collections.abc import AsyncIterator

import pytest

from chat.api.doors import Doors
from chat.api.metrics import API_FIELDS, Metrics
from chat.bus.connect import StoreError
from chat.bus.pages import BEGINNING
from chat.counters import FIELDS
from chat.ops.engine import EmbeddedEngine
from chat.policy.identity import BACKEND
from chat.policy.orders import Actor, Everywhere
from pool.scoreboard import Scoreboard
from tests.chat.rig import configured, new_prefix


@pytest.fixture
def doors(valkey: EmbeddedEngine) -> Doors:
    config = configured(bus={"prefix": new_prefix(), "partitions": 4})
    metrics = Metrics(Scoreboard(FIELDS, 1), Scoreboard(API_FIELDS, 1))
    return Doors(config, valkey.url, metrics)


@pytest.fixture
async def opened(doors: Doors) -> AsyncIterator[Doors]:
    doors.open()
    yield doors
    await doors.close()


class TestDoors:
    async def test_all_lead_to_the_same_redis(self, opened: Doors) -> None:
        await opened.moderation.act(Everywhere("mute", "u1"), Actor("api", "api", BACKEND, "api"))
        entries, _ = await opened.audit.page(BEGINNING, 9)
        assert len(entries) == 1
        assert (await opened.inquiry.ask("u1")).known == 0
        assert (await opened.reports.page(BEGINNING, 9)) == ([], None)
        await opened.store.ping()

    async def test_nothing_is_there_before(self, doors: Doors) -> None:
        with pytest.raises(AttributeError):
            _ = doors.store

    async def test_a_server_that_is_not_there_shows_when_it_is_asked(self, doors: Doors) -> None:
        doors._url = "unix:///nowhere/s.sock"
        doors.open()
        with pytest.raises(StoreError):
            await doors.reports.page(BEGINNING, 9)
        told = doors._metrics.render().decode().splitlines()
        assert "danmaku_api_bus_errors_total 1.0" in told
        assert "danmaku_api_bus_request_seconds_count 1.0" in told
        await doors.close()
