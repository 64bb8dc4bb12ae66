"""Bodies sent by HTTP until they are taken, against a real server."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import force_setattr

from chat.config.sections import Webhooks
from chat.counters import NODE_FIELDS, NodeCount
from chat.workers import deliveries as module
from chat.workers.deliveries import Deliveries, TooLarge
from pool.scoreboard import Scoreboard
from tests.chat.rig import until
from tests.chat.service import Service

SECRET = "a secret of more than thirty-two bytes"
BODY = b'[{"event":"message"}]'


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as service:
        yield service


class Desk:
    def __init__(self, url: str, **webhooks: Any) -> None:
        self.counts = Scoreboard(NODE_FIELDS, 1).row(0)
        self.clock = 0.0
        config = Webhooks(**({"url": url, "secret": SECRET} | webhooks))
        self.deliveries = Deliveries(config, self.counts, lambda: self.clock, lambda: 0.001)

    async def deliver(self, body: bytes = BODY) -> bool:
        return await self.deliveries.deliver(body, lambda: True)

    @property
    def failed(self) -> int:
        return self.counts[NodeCount.WEBHOOK_REQUESTS_FAILED]


@pytest.fixture
async def desk(service: Service) -> AsyncIterator[Desk]:
    desk = Desk(service.url)
    yield desk
    await desk.deliveries.close()


async def test_it_is_signed_and_has_an_id(service: Service, desk: Desk) -> None:
    for body in (BODY, BODY, b"[]"):
        assert await desk.deliver(body)
    signed = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    headers = [headers for headers, _ in service.requests]
    assert headers[0]["x-danmaku-signature"] == f"sha256={signed}"
    assert headers[0]["content-type"] == "application/json"
    ids = [one["x-danmaku-delivery"] for one in headers]
    assert ids[0] == ids[1] != ids[2]
    assert service.connections == 1


async def test_without_a_secret_nothing_is_signed(service: Service) -> None:
    desk = Desk(service.url, secret="")
    await desk.deliver()
    await desk.deliveries.close()
    assert "x-danmaku-signature" not in service.requests[0][0]


@pytest.mark.parametrize("status", [500, 503, 404, 301, 408, 429])
async def test_whatever_is_no_2xx_is_sent_again(
    service: Service, desk: Desk, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    service.status = status
    sending = asyncio.create_task(desk.deliver())
    await until(lambda: len(service.requests) == 3)
    service.status = 204
    assert await sending
    assert desk.failed >= 2
    assert {body for _, body in service.requests} == {BODY}
    first, last = [one.message for one in caplog.records if one.name == module.__name__]
    assert f"it answered {status}" in first
    assert ("sending again may not mend" in first) == (status == 404)
    assert "takes webhooks again" in last
    assert "secret" not in caplog.text


async def test_a_service_that_is_away_is_waited_for(service: Service, desk: Desk) -> None:
    await service.stop()
    sending = asyncio.create_task(desk.deliver())
    await until(lambda: desk.failed >= 2)
    await service.start()
    assert await sending
    assert [body for _, body in service.requests] == [BODY]


async def test_one_that_is_slow_is_given_up(service: Service) -> None:
    desk = Desk(service.url)
    force_setattr(desk.deliveries._webhooks, "timeout_s", 0.05)
    service.gate.clear()
    sending = asyncio.create_task(desk.deliver())
    await until(lambda: desk.failed >= 2)
    service.gate.set()
    assert await sending
    await desk.deliveries.close()


async def test_one_that_never_takes_it_is_said_once_a_minute(
    service: Service, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    service.status = 500
    sending = asyncio.create_task(desk.deliver())
    await until(lambda: desk.failed >= 5)
    assert len(caplog.records) == 1
    desk.clock = 61.0
    await until(lambda: len(caplog.records) == 2)
    assert "has taken no webhooks for 61 s" in caplog.records[1].message
    service.status = 200
    assert await sending


async def test_what_is_not_wanted_any_more_is_not_sent_again(service: Service, desk: Desk) -> None:
    service.status = 500
    wanted = True
    sending = asyncio.create_task(desk.deliveries.deliver(BODY, lambda: wanted))
    await until(lambda: desk.failed >= 2)
    wanted = False
    assert not await sending


async def test_too_large_is_for_the_caller_to_mend(service: Service, desk: Desk) -> None:
    service.status = 413
    with pytest.raises(TooLarge):
        await desk.deliver()


async def test_an_answer_without_an_end_is_not_read(service: Service, desk: Desk) -> None:
    service.answer = lambda events: b"x" * 5_000_000
    assert await desk.deliver()


async def test_pauses_grow_at_random_and_the_service_may_ask_for_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    asked = iter([0.0] * 8 + [12.0, 99_999.0])

    async def post(body: bytes, headers: dict[str, str]) -> tuple[str, float]:
        return "no", next(asked)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(desk.deliveries, "_post", post)
    monkeypatch.setattr(desk.deliveries, "_chance", lambda: 1.0)
    monkeypatch.setattr("asyncio.sleep", sleep)
    await desk.deliveries.deliver(BODY, lambda: len(slept) < 10)
    assert slept == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    monkeypatch.setattr(desk.deliveries, "_chance", lambda: 0.0)
    asked = iter([12.0, 99_999.0])
    slept.clear()
    await desk.deliveries.deliver(BODY, lambda: len(slept) < 2)
    assert slept == [12.0, 30.0]


def test_a_retry_after_that_is_a_date_is_not_waited_for() -> None:
    assert module._seconds("7") == 7.0
    for other in ("", "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "1e9", "٧", "9" * 400):
        assert module._seconds(other) == 0.0
