"""The id of a request: whose it is, and where it is found again."""

import logging
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from chat.api.requestid import TAKEN
from chat.ops.engine import EmbeddedEngine
from chat.ops.logs import ids_of
from shard.logids import REQUEST
from tests.chat.api.rig import Api

NAME = "X-Request-Id"


class TestHeader:
    @pytest.mark.parametrize("given", ["a", "4bf92f35-77b3.4da6_9c", "a/b:c+d=e@f", "x" * 128])
    def test_one_that_is_a_word_is_taken(self, api: Api, given: str) -> None:
        assert api.get("/healthz", **{NAME: given}).headers["x-request-id"] == given

    @pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\tb", "\xe9", "[room=x]"])
    def test_for_any_other_one_is_made(self, api: Api, given: str) -> None:
        made = api.get("/healthz", **{NAME: given}).headers["x-request-id"]
        assert made != given
        assert re.fullmatch("[0-9a-f]{16}", made)
        assert TAKEN.fullmatch(made.encode())

    def test_each_request_has_its_own(self, api: Api) -> None:
        ids = {api.get("/healthz").headers["x-request-id"] for _ in range(5)}
        assert len(ids) == 5

    def test_who_is_refused_is_told_it_too(self, keyed: Api) -> None:
        answer = keyed.get("/v1/rooms", **{NAME: "a-refusal"})
        assert (answer.status, answer.headers["x-request-id"]) == (401, "a-refusal")


class TestAudit:
    def test_what_was_done_is_there_with_its_request(self, api: Api) -> None:
        api.call("PUT", "/v1/rooms/request:ids/mutes/u1", b"{}", headers={NAME: "a-mute"})
        entries = api.get("/v1/audit?limit=500").json["entries"]
        assert [one["action"] for one in entries if one.get("request") == "a-mute"] == ["mute"]


class TestLog:
    def test_lines_of_a_request_have_it(self, stoppable: Api, own_valkey: EmbeddedEngine) -> None:
        heard: list[tuple[str, str]] = []

        class Ear(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                heard.append((REQUEST.get(), record.getMessage()))

        ear, log = Ear(), logging.getLogger("chat.api.app")
        log.addHandler(ear)
        assert own_valkey.pid is not None
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            for name in ("first", "second"):
                assert stoppable.get("/healthz", **{NAME: name}).status == 503
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)
            log.removeHandler(ear)
        assert [request for request, line in heard if "not healthy" in line] == ["first", "second"]

    def test_so_has_a_line_about_messages_that_were_not_published(
        self, stoppable: Api, own_valkey: EmbeddedEngine
    ) -> None:
        heard: list[str] = []

        class Ear(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if "not published" in record.getMessage():
                    heard.append(ids_of(record).get("request", ""))

        def post(name: str) -> int:
            return stoppable.post("a", {"text": "a"}, **{NAME: name}).status

        ear, log = Ear(), logging.getLogger("chat.bus.publisher")
        log.addHandler(ear)
        assert own_valkey.pid is not None
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(3) as callers:
                statuses = list(callers.map(post, ["one", "two", "three"]))
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)
            log.removeHandler(ear)
        assert statuses == [503] * 3
        named = [name for line in heard for name in line.split(",")]
        assert sorted(named) == ["one", "three", "two"], "each once, and none on others' lines"
