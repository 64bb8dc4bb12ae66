"""The presend callback, against a real HTTP server."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.breaker import Circuit
from chat.config.sections import Limits, Rooms
from chat.counters import FIELDS, ChatCount
from chat.policy import presend as module
from chat.policy.gate import PASS, Attempt, Refusal, Verdict
from chat.policy.identity import Identity
from chat.policy.presend import Presend, masked
from chat.wire.schema import ErrorCode
from pool.scoreboard import Scoreboard
from tests.chat.rig import until
from tests.chat.service import Service

WHO = Identity("u7", "阿花", "user")
SECRET = "a secret of more than thirty-two bytes"


class Desk:
    """A way to a service, and what it counts."""

    def __init__(self, url: str, **rooms: Any) -> None:
        usual: dict[str, Any] = {"presend_url": url, "presend_timeout_ms": 5000}
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.clock = 0.0
        self.presend = Presend(Rooms(**(usual | rooms)), Limits(), self.counts, lambda: self.clock)

    async def ask(self, *texts: str) -> list[Verdict]:
        return list(await self.presend.check([attempt(text) for text in texts]))

    async def one(self, text: str = "hi") -> tuple[Verdict, Attempt]:
        asked = attempt(text)
        [verdict] = await self.presend.check([asked])
        return verdict, asked

    def count(self, what: ChatCount) -> int:
        return self.counts[what]


def attempt(text: str, message_id: str = "c-1") -> Attempt:
    return Attempt("a", text, WHO, 5, "vip", False, 7, "top", 36, message_id)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as service:
        yield service


@pytest.fixture
async def desk(service: Service) -> AsyncIterator[Desk]:
    desk = Desk(service.url)
    yield desk
    await desk.presend.close()


class TestAsking:
    async def test_a_turn_is_one_request_with_all_of_each_message(
        self, service: Service, desk: Desk
    ) -> None:
        asked = [attempt("一"), attempt("b", "")]
        assert await desk.presend.check(asked) == [PASS, PASS]
        [(headers, body)] = service.requests
        first = {
            "room": "a", "uid": "u7", "name": "阿花", "role": "vip", "text": "一",
            "color": 7, "mode": "top", "size": 36, "id": "c-1",
        }  # fmt: skip
        second = {name: value for name, value in first.items() if name != "id"} | {"text": "b"}
        assert json.loads(body) == [first, second]
        assert headers["content-type"] == "application/json"
        assert "x-danmaku-signature" not in headers

    async def test_it_is_signed(self, service: Service) -> None:
        desk = Desk(service.url, presend_secret=SECRET)
        await desk.ask("hi")
        [(headers, body)] = service.requests
        found = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert headers["x-danmaku-signature"] == f"sha256={found}"
        await desk.presend.close()

    async def test_the_connection_is_kept(self, service: Service, desk: Desk) -> None:
        for _ in range(5):
            assert await desk.ask("hi") == [PASS]
        assert (service.connections, len(service.requests)) == (1, 5)

    async def test_no_line_is_logged_per_request(
        self, desk: Desk, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO):
            await desk.ask("hi")
        assert caplog.records == []


class TestVerdicts:
    @pytest.mark.parametrize("judged", [None, {}, {"allow": True}, {"text": None}, {"mask": []}])
    async def test_it_allows(self, service: Service, desk: Desk, judged: Any) -> None:
        service.answer = lambda messages: [judged]
        verdict, asked = await desk.one()
        assert (verdict, asked) == (PASS, attempt("hi"))

    @pytest.mark.parametrize(
        ("judged", "refusal"),
        [
            ({"refuse": {"message": "no\nno"}}, Refusal(ErrorCode.FORBIDDEN, "no no")),
            (
                {"refuse": {"message": "later", "retry_after": 3}},
                Refusal(ErrorCode.FORBIDDEN, "later", 3),
            ),
            ({"refuse": {}}, Refusal(ErrorCode.FORBIDDEN, "not allowed")),
            ({"allow": False}, Refusal(ErrorCode.FORBIDDEN, "not allowed")),
            ({"refuse": {}, "text": "x"}, Refusal(ErrorCode.FORBIDDEN, "not allowed")),
        ],
    )
    async def test_it_refuses(
        self, service: Service, desk: Desk, judged: Any, refusal: Refusal
    ) -> None:
        service.answer = lambda messages: [judged]
        assert (await desk.one())[0] == refusal
        assert desk.count(ChatCount.REFUSED_BY_PRESEND) == 1

    async def test_each_message_has_its_own(self, service: Service, desk: Desk) -> None:
        service.answer = lambda messages: [
            {"refuse": {}} if message["text"] == "bad" else None for message in messages
        ]
        first, second, third = await desk.ask("a", "bad", "c")
        assert (first, third) == (PASS, PASS)
        assert isinstance(second, Refusal)

    async def test_it_changes_the_text_which_is_cleaned_and_bounded_again(
        self, service: Service, desk: Desk
    ) -> None:
        service.answer = lambda messages: [{"text": " a\nb\u200b "}]
        verdict, asked = await desk.one()
        assert (verdict, asked.text) == (PASS, "a b")
        for text, code in (("x" * 301, "text_too_long"), ("\u200b", "text_empty")):
            service.answer = lambda messages, text=text: [{"text": text}]  # type: ignore[misc]
            verdict, _ = await desk.one()
            assert isinstance(verdict, Refusal)
            assert verdict.code == code

    async def test_it_masks(self, service: Service, desk: Desk) -> None:
        service.answer = lambda messages: [{"mask": ["darn", "darned", "a.b"]}]
        verdict, asked = await desk.one("Darned DARN, axb a.b!")
        assert (verdict, asked.text) == (PASS, "****** ****, axb ***!")

    async def test_it_shadows(self, service: Service, desk: Desk) -> None:
        service.answer = lambda messages: [{"shadow": True}]
        verdict, asked = await desk.one()
        assert (verdict, asked.shadowed) == (PASS, True)

    def test_masking_nothing_changes_nothing(self) -> None:
        assert masked("Hi", []) == masked("Hi", ["ho"]) == "Hi"


NONSENSE = [
    (200, b"", "no list of verdicts"),
    (200, b"null", "no list of verdicts"),
    (200, b"\xff", "no list of verdicts"),
    (200, b"[[[[", "no list of verdicts"),
    (200, b"[5]", "no list of verdicts"),
    (200, b'[{"deny": true}]', "unknown field"),
    (200, b'[{"refuse": {"message": 5}}]', "no list of verdicts"),
    (200, b'[{"refuse": {"retry_after": -1}}]', "no list of verdicts"),
    (200, b'[{"mask": [""]}]', "no list of verdicts"),
    (200, b"[]", "0 verdicts on 1 messages"),
    (200, b"[null, null]", "2 verdicts on 1 messages"),
    (200, b"[" + b" " * 5_000_000 + b"null]", "no end"),
    (500, b"[null]", "it answered 500"),
    (302, b"[null]", "it answered 302"),
    (204, b"", "it answered 204"),
]


class TestFailures:
    @pytest.mark.parametrize(("status", "answer", "said"), NONSENSE)
    @pytest.mark.parametrize("mode", ["open", "closed"])
    async def test_what_is_no_answer_is_a_failure(
        self,
        service: Service,
        status: int,
        answer: bytes,
        said: str,
        mode: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        desk = Desk(service.url, presend_failing=mode)
        service.status, service.answer = status, lambda messages: answer
        verdict, asked = await desk.one()
        assert asked == attempt("hi")
        check_failed(desk, mode, verdict)
        [record] = caplog.records
        assert said in record.getMessage()
        assert "secret" not in record.getMessage()  # which the URL has in its query
        await desk.presend.close()

    @pytest.mark.parametrize("mode", ["open", "closed"])
    async def test_a_slow_answer_is_one(self, service: Service, mode: str) -> None:
        desk = Desk(service.url, presend_failing=mode, presend_timeout_ms=20)
        service.gate.clear()
        verdict, _ = await desk.one()
        check_failed(desk, mode, verdict)
        service.gate.set()
        await desk.presend.close()

    @pytest.mark.parametrize("mode", ["open", "closed"])
    async def test_nobody_there_is_one(self, service: Service, mode: str) -> None:
        await service.stop()
        desk = Desk(service.url, presend_failing=mode)
        verdict, _ = await desk.one()
        check_failed(desk, mode, verdict)
        await desk.presend.close()
        await service.start()

    async def test_a_service_that_dies_half_way_is_one(self, service: Service) -> None:
        desk = Desk(service.url, presend_failing="closed")
        service.gate.clear()
        asking = asyncio.create_task(desk.one())
        await until(lambda: service.requests)
        await service.stop()
        verdict, _ = await asking
        check_failed(desk, "closed", verdict)
        await desk.presend.close()
        await service.start()


def check_failed(desk: Desk, mode: str, verdict: Verdict) -> None:
    assert desk.count(ChatCount.PRESEND_FAILED) == 1
    if mode == "open":
        assert verdict is PASS
        assert desk.count(ChatCount.PASSED_UNCHECKED) == 1
    else:
        assert isinstance(verdict, Refusal)
        assert (verdict.code, bool(verdict.retry_after)) == (ErrorCode.UNAVAILABLE, True)
        assert desk.count(ChatCount.REFUSED_UNCHECKED) == 1


class TestTheBreaker:
    async def opened(self, service: Service, **rooms: Any) -> Desk:
        desk = Desk(service.url, **rooms)
        service.status = 500
        for _ in range(5):
            await desk.ask("hi")
        assert len(service.requests) == 5
        assert desk.count(ChatCount.PRESEND_OPEN) == 1
        return desk

    async def test_it_opens_and_nobody_is_asked(self, service: Service) -> None:
        desk = await self.opened(service, presend_failing="closed")
        [first, second] = await desk.ask("a", "b")
        assert isinstance(first, Refusal)
        assert first == second
        assert first.retry_after == 1.0
        assert len(service.requests) == 5
        assert desk.count(ChatCount.REFUSED_UNCHECKED) == 7
        assert desk.count(ChatCount.PRESEND_FAILED) == 5
        await desk.presend.close()

    async def test_open_it_lets_through_what_fails_open(self, service: Service) -> None:
        desk = await self.opened(service)
        assert await desk.ask("a", "b") == [PASS, PASS]
        assert desk.count(ChatCount.PASSED_UNCHECKED) == 7
        await desk.presend.close()

    async def test_after_a_pause_one_request_tries_and_closes_it(self, service: Service) -> None:
        desk = await self.opened(service, presend_failing="closed")
        desk.clock += 1.0
        service.status = 200
        service.gate.clear()
        trying = asyncio.create_task(desk.ask("first"))
        await until(lambda: len(service.requests) == 6)
        assert isinstance((await desk.ask("meanwhile"))[0], Refusal)
        service.gate.set()
        assert await trying == [PASS]
        assert desk.count(ChatCount.PRESEND_OPEN) == 0
        assert await desk.ask("a") == [PASS]
        assert len(service.requests) == 7
        await desk.presend.close()

    async def test_one_that_is_given_up_half_way_does_not_hold_it_half_open(
        self, service: Service
    ) -> None:
        desk = await self.opened(service)
        desk.clock += 1.0
        service.gate.clear()
        trying = asyncio.create_task(desk.ask("first"))
        await until(lambda: len(service.requests) == 6)
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        assert desk.presend._breaker.state is Circuit.OPEN
        service.gate.set()
        await desk.presend.close()


def test_its_bounds_hold_a_batch_of_the_longest_answers() -> None:
    longest = json.dumps({"text": "幕" * 2000})
    assert module.MAX_MESSAGES * len(longest) < module.MAX_ANSWER
