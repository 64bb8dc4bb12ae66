"""One connection: however its bytes are cut, each request is answered once, in order."""

import asyncio
import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.api.protocol import SLICE
from chat.ops.engine import EmbeddedEngine
from shard.handshake import Elsewhere, Terms, respond
from tests.chat.api.rig import NDJSON, Api, chunk, lines, messages_of, until
from tests.chat.api.wire import LAST, Wire, answered, head, heard, is_cut_off, statuses
from tests.chat.rig import BOUND_S

SHORTEST = b"GET / HTTP/1.1\r\n\r\n"
READ_AT_ONCE = 262_144
"""What uvloop reads."""


class TestPipelines:
    def test_unread_answers_stop_the_reading(self, api: Api) -> None:
        asked = head(b"X: pipelined")
        with socket.socket() as client:
            for size in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                client.setsockopt(socket.SOL_SOCKET, size, 8192)
            client.connect(("127.0.0.1", api.port))
            mine = client.getsockname()[1]
            client.setblocking(False)
            sent = 0

            def stuck() -> bool:
                nonlocal sent
                try:
                    while sent < 64 * 1024 * 1024:
                        sent += client.send((asked * 2000)[sent % len(asked) :])
                except BlockingIOError:
                    pass
                return any(held.flow.write_paused for held in api.connections_of(mine))

            until(stuck, "the pause")
            [held] = api.connections_of(mine)
            assert held.flow.read_paused
            assert len(held.pipeline) <= SLICE // len(asked) + 1
            assert len(held._read) <= READ_AT_ONCE
            client.settimeout(BOUND_S)
            found = b""
            while found.count(b"HTTP/1.1 200 ") < sent // len(asked):
                found += client.recv(1 << 20)

    async def test_few_of_the_shortest_wait(self) -> None:
        wire = Wire()
        wire.feed(SHORTEST * 10_000)
        assert len(wire.protocol.pipeline) <= SLICE // len(SHORTEST)
        while wire.answered.count(b"HTTP/1.1 200 ") < 10_000:
            await wire.run()
        await wire.end()

    def test_what_is_wrong_is_said_behind_the_answers_before_it(self, api: Api) -> None:
        answer = answered(api, head() * 3 + b"nonsense\r\n\r\n" + head())
        assert statuses(answer) == [200, 200, 200, 400]

    @settings(deadline=None, max_examples=80)
    @given(
        st.lists(st.sampled_from(["get", "length", "chunks", "trailer"]), min_size=1, max_size=8),
        st.lists(st.integers(0, 20_000), max_size=8),
        st.integers(0, 5000),
    )
    def test_however_they_are_cut_the_answers_are_the_same(
        self, kinds: list[str], cuts: list[int], size: int
    ) -> None:
        data, expected = b"", []
        for kind in kinds:
            made, length = made_request(kind, size)
            data += made
            expected.append(length)

        async def scenario() -> None:
            wire = Wire()
            for a, b in pairwise([0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]):
                wire.feed(data[a:b])
                await wire.run()
            await wire.end()
            assert [(len(body), cut) for body, cut in wire.bodies] == [
                (length, False) for length in expected
            ]
            assert wire.answered.count(b"HTTP/1.1 200 ") == len(kinds)

        asyncio.run(scenario())


def made_request(kind: str, size: int) -> tuple[bytes, int]:
    """A request, and how long its body is."""
    if kind == "get":
        return SHORTEST, 0
    if kind == "length":
        return b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size, size
    begin = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = (chunk(b"x" * size) if size else b"") + chunk(b"y")
    trailer = b"X: y\r\n" if kind == "trailer" else b""
    return begin + body + b"0\r\n" + trailer + b"\r\n", size + 1


class TestTargets:
    @pytest.mark.parametrize("step", [1, 3, 1_000_000])
    async def test_raw_utf_8_is_taken_as_what_it_would_be_encoded(self, step: int) -> None:
        """A header's bytes, and a body's, stay what they are."""
        asked = "POST /v1/弹?q=花 HTTP/1.1\r\nX: 花\r\nContent-Length: 3\r\n\r\n花".encode()
        wire = Wire()
        for _ in range(3):
            for at in range(0, len(asked), step):
                wire.feed(asked[at : at + step])
            await wire.run()
        await wire.end()
        assert len(wire.scopes) == 3
        for scope in wire.scopes:
            assert scope["path"] == "/v1/弹"
            assert scope["raw_path"] == b"/v1/%E5%BC%B9"
            assert scope["query_string"] == b"q=%E8%8A%B1"
            assert dict(scope["headers"])[b"x"].decode() == "花"
        assert wire.bodies == [("花".encode(), False)] * 3

    @pytest.mark.parametrize("target", [b"http://host", b"http://host?x=1"])
    async def test_a_url_that_is_a_host_and_no_more_is_its_root(self, target: bytes) -> None:
        wire = Wire()
        wire.feed(b"GET %b HTTP/1.1\r\nHost: host\r\n\r\n" % target)
        await wire.end()
        [scope] = wire.scopes
        assert (scope["path"], scope["raw_path"]) == ("/", b"/")

    @pytest.mark.parametrize("target", ["/弹", "http://host"])
    def test_a_shard_passes_both_on(self, target: str) -> None:
        reply = respond(f"GET {target} HTTP/1.1\r\nHost: host\r\n\r\n".encode(), Terms())
        assert isinstance(reply, Elsewhere)


class TestHalfClosing:
    def test_who_has_said_all_still_gets_every_answer(self, api: Api, room: str) -> None:
        body = lines({"text": "a"})
        begin = f"POST {messages_of(room)} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}"
        data = f"{begin}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        with socket.create_connection(("127.0.0.1", api.port), BOUND_S) as client:
            client.sendall(data * 3)
            client.shutdown(socket.SHUT_WR)
            assert statuses(heard(client)) == [200, 200, 200]
        assert api.texts(room) == ["a"] * 3

    def test_half_a_body_is_a_cut(self, api: Api, room: str) -> None:
        begin = f"POST {messages_of(room)} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}"
        data = f"{begin}\r\nContent-Length: 999\r\n\r\n".encode() + lines({"text": "a"})
        with socket.create_connection(("127.0.0.1", api.port), BOUND_S) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            assert heard(client) == b""
        until(lambda: api.texts(room) == ["a"], "the line")


class TestBodies:
    async def test_what_came_before_a_cut_is_read_before_the_cut_is_told(self) -> None:
        wire = Wire()
        wire.feed(b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n" + b"x" * 50)
        await wire.end()
        assert wire.bodies == [(b"x" * 50, True)]

    async def test_nobody_reads_ahead_of_who_takes_it(self) -> None:
        wire = Wire()
        wire.feed(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 200_000)
        assert len(wire.protocol.cycle.body) <= 65_536 + SLICE
        wire.feed(b"x" * 800_000)
        await wire.end()
        assert wire.bodies == [(b"x" * 1_000_000, False)]

    def test_lines_before_a_broken_chunk_are_published(self, api: Api, room: str) -> None:
        begin = f"POST {messages_of(room)} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}"
        data = f"{begin}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        data += chunk(lines({"text": "a"}, {"text": "b"})) + b"nonsense\r\n"
        assert answered(api, data).startswith(b"HTTP/1.1 400 ")
        until(lambda: api.texts(room) == ["a", "b"], "the lines")

    def test_an_answer_that_does_not_wait_for_one_says_it_is_the_last(self, keyed: Api) -> None:
        begin = b"POST /v1/broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
        answer = answered(keyed, begin + b"x")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"\r\nconnection: close\r\n" in answer.lower()

    def test_what_follows_such_an_answer_has_a_bound(self, keyed: Api) -> None:
        begin = b"POST /v1/broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n"
        assert is_cut_off(keyed, begin + b"\r\n")

    @pytest.mark.parametrize("half", [b"{", b""])
    def test_half_a_body_is_not_waited_for(self, valkey: EmbeddedEngine, half: bytes) -> None:
        api = Api(valkey.url, api={"body_idle_s": 1})
        begin = b"POST /v1/broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        try:
            answer = answered(api, begin + b"Content-Type: application/json\r\n\r\n" + half)
        finally:
            api.close()
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b'"code":"timeout"' in answer


PIECES = [
    *(b"GET / HTTP/1.1\r\n", b"\r\n", b"X: y\r\n", b"Content-Length: 3\r\n", b"abc", b"\xff"),
    *(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"Connection: close\r\n"),
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
]


class TestBrokenRequests:
    @pytest.mark.parametrize(
        "data",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"hello\r\n\r\n",
            b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nabc",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n"
            b"Connection: close\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n"
            b"Connection: close\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        ],
        ids=lambda data: repr(data[:60]),
    )
    def test_what_is_no_request_is_a_400_and_a_close(self, api: Api, data: bytes) -> None:
        answer = api.raw(data)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b'"code":"bad_request"' in answer

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.sampled_from(PIECES),
            max_size=14,
        )
    )
    def test_whatever_comes_is_answered_or_refused_once(self, pieces: list[bytes]) -> None:
        async def scenario() -> None:
            wire = Wire()
            for piece in pieces:
                wire.feed(piece)
                await wire.run()
            await wire.end()
            assert set(statuses(wire.answered)[:-1]) <= {200}
            assert not wire.protocol.tasks

        asyncio.run(scenario())

    def test_an_upgrade_is_not_taken_up_and_the_next_request_is(self, api: Api) -> None:
        upgrade = head(
            b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x"
        )
        answer = answered(api, upgrade + head(LAST))
        assert answer.count(b"HTTP/1.1 200 ") == 2
