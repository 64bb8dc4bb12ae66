"""Redis does not answer: what a client is told, and that it works again without being told."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chat.api import server
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import Answer, Api, chunk, lines, new_room, read, until


@contextmanager
def stopped(engine: EmbeddedEngine) -> Iterator[None]:
    """Valkey neither answers nor ends."""
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine.pid, signal.SIGCONT)


def assert_unavailable(answer: Answer, accepted: int = 0) -> None:
    assert (answer.status, answer.error["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.error.get("accepted", 0) == accepted


class TestRedisIsAway:
    def test_publishing_is_refused_and_works_again_afterwards(
        self, stoppable: Api, own_valkey: EmbeddedEngine, room: str
    ) -> None:
        assert stoppable.post(room, {"text": "before"}).status == 200
        with stopped(own_valkey):
            for _ in range(6):  # also with the breaker open
                assert_unavailable(stoppable.post(room, {"text": "lost"}))
        until(lambda: stoppable.post(room, {"text": "after"}).status == 200, "Redis")
        assert stoppable.texts(room) == ["before", "after"]

    def test_a_stream_says_how_much_of_it_was_published(
        self, stoppable: Api, own_valkey: EmbeddedEngine, room: str
    ) -> None:
        with stoppable.streaming(room) as connection:
            connection.send(chunk(lines({"text": "kept"}) * 500))
            until(lambda: len(stoppable.history(room)) == 500, "the first batch")
            with stopped(own_valkey):
                connection.send(chunk(lines({"text": "lost"}) * 600) + b"0\r\n\r\n")
                assert_unavailable(read(connection), accepted=500)
        until(lambda: stoppable.post(room, {"text": "after"}).status == 200, "Redis")
        assert set(stoppable.texts(room)) == {"kept", "after"}

    def test_a_broadcast_is_refused(self, stoppable: Api, own_valkey: EmbeddedEngine) -> None:
        with stopped(own_valkey):
            for target in ({"all": True}, {"users": ["u"]}, {"rooms": [new_room()]}):
                assert_unavailable(stoppable.broadcast(target | {"message": {"text": "x"}}))

    @pytest.mark.parametrize("path", ["/v1/rooms", "/v1/rooms/a", "/v1/rooms/a/messages"])
    def test_reading_is_refused(
        self, stoppable: Api, own_valkey: EmbeddedEngine, path: str
    ) -> None:
        with stopped(own_valkey):
            assert_unavailable(stoppable.get(path))

    def test_it_is_not_healthy_but_still_shows_its_pages(
        self, stoppable: Api, own_valkey: EmbeddedEngine
    ) -> None:
        with stopped(own_valkey):
            assert stoppable.get("/healthz").status == 503
            assert stoppable.call("HEAD", "/healthz").status == 503
            assert stoppable.get("/readyz").status == 200
            assert stoppable.call("HEAD", "/readyz").status == 200
            for path in ("/", "/metrics", "/docs", "/openapi.json"):
                assert stoppable.get(path).status == 200
        until(lambda: stoppable.get("/healthz").status == 200, "health")

    def test_a_bad_request_is_still_told_so(
        self, stoppable: Api, own_valkey: EmbeddedEngine, room: str
    ) -> None:
        with stopped(own_valkey):
            assert stoppable.post(room, {"text": ""}).status == 400


class TestEnding:
    def test_a_request_that_is_not_waited_for_is_told(
        self, own_valkey: EmbeddedEngine, room: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "GRACE_S", 0.1)
        api = Api(own_valkey.url, bus={"timeout_ms": 3000})
        with api.streaming(room) as connection:
            connection.send(chunk(lines({"text": "kept"})))
            until(lambda: api.texts(room) == ["kept"], "the line")
            with stopped(own_valkey):
                connection.send(chunk(lines({"text": "lost"}) * 500))
                api.end()
                answer = read(connection)
            api.close()
        assert_unavailable(answer, accepted=1)
        assert answer.error["lines"] == 1


class TestRedisIsGone:
    def test_a_restarted_one_is_found_again(
        self, stoppable: Api, own_valkey: EmbeddedEngine, room: str
    ) -> None:
        assert own_valkey.pid is not None
        os.kill(own_valkey.pid, signal.SIGKILL)
        until(lambda: own_valkey.poll() is not None, "its end")
        assert_unavailable(stoppable.post(room, {"text": "x"}))
        own_valkey.restart()
        until(lambda: stoppable.post(room, {"text": "y"}).status == 200, "Redis")
