"""One connection: what a stranger can make it keep, how long it waits, what it says at the end."""

import socket
from collections.abc import Iterator
from functools import partial

import pytest

from chat.api import protocol
from chat.api.protocol import MAX_HEADERS, SLICE
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.conftest import KEY
from tests.chat.api.rig import Api, chunk, until
from tests.chat.api.wire import ENOUGH, LAST, Wire, answered, head, heard, is_cut_off, statuses
from tests.chat.rig import BOUND_S


class TestHeads:
    def test_a_large_one_is_taken(self, api: Api) -> None:
        cookies = b"Cookie: " + b"x" * (ENOUGH // 2)
        many = (b"X-%d: y" % i for i in range(MAX_HEADERS - 3))
        assert api.raw(head(cookies, *many, LAST)).startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize(
        "data",
        [
            head(b"Cookie: " + b"x" * (ENOUGH + 2 * SLICE), LAST),
            head(*(b"X-%d: %s" % (i, b"x" * 1000) for i in range(100)), LAST),
            head(*(b"X-%d: y" % i for i in range(MAX_HEADERS)), LAST),
            b"GET /" + b"x" * (ENOUGH + 2 * SLICE) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ],
        ids=["one header", "large headers", "many headers", "the path"],
    )
    def test_a_huge_one_is_refused(self, api: Api, data: bytes) -> None:
        answer = answered(api, data)
        assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        assert b'"code":"head_too_large"' in answer

    @pytest.mark.parametrize(
        "begin",
        [b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nX", b"GET /", b"\r\n", head()],
        ids=repr,
    )
    def test_one_without_end_is_cut_off(self, api: Api, begin: bytes) -> None:
        rest = b"\r\n" * 32_768 if begin in (b"\r\n", head()) else b"x" * 65_536
        assert is_cut_off(api, begin, rest)

    async def test_a_body_does_not_count_for_the_head_behind_it(self) -> None:
        wire = Wire()
        wire.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (3 * ENOUGH))
        wire.feed(b" " * (3 * ENOUGH) + b"GET / HT")
        wire.feed(b"TP/1.1\r\nHost: a\r\n\r\n")
        await wire.end()
        assert wire.answered.count(b"HTTP/1.1 200 ") == 2

    async def test_each_is_counted_by_itself(self) -> None:
        wire = Wire()
        for _ in range(3):
            wire.feed(b"GET / HTTP/1.1\r\nX: ")
            wire.feed(b"x" * (ENOUGH // 2))
            wire.feed(b"y\r\n\r\n")
        await wire.end()
        assert wire.answered.count(b"HTTP/1.1 200 ") == 3

    async def test_a_header_that_comes_byte_by_byte_is_counted_by_the_byte(self) -> None:
        wire = Wire()
        wire.feed(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(ENOUGH):
            wire.feed(b"x")
        assert not wire.ended
        wire.feed(b"x")
        assert wire.ended
        assert wire.answered.startswith(b"HTTP/1.1 431 ")
        await wire.end()


class TestTrailers:
    BEGIN = b"POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"

    @pytest.mark.parametrize("trailer", [b"X: ", b"X", b"X: y\r\n", b"X: " + b"y" * 99 + b"\r\n"])
    async def test_one_without_end_is_cut_off(self, trailer: bytes) -> None:
        wire = Wire()
        wire.feed(self.BEGIN % b"/" + b"\r\n" + chunk(b"a") + b"0\r\n")
        await wire.run()
        wire.feed(trailer)
        more = b"x" if trailer in (b"X: ", b"X") else trailer
        fed = 0
        while not wire.ended:
            wire.feed(more * 100)
            fed += len(more) * 100
            assert fed <= ENOUGH + 20_000
        assert wire.answered.startswith(b"HTTP/1.1 431 ")
        await wire.end()
        assert wire.bodies == [(b"a", True)]

    async def test_neither_is_a_chunks_extension(self) -> None:
        wire = Wire()
        wire.feed(self.BEGIN % b"/" + b"\r\n5;")
        for _ in range(ENOUGH // 100 + 11):
            wire.feed(b"x" * 100)
        assert wire.answered.startswith(b"HTTP/1.1 431 ")
        await wire.end()

    def test_its_fields_are_headers_of_no_request(self, keyed: Api) -> None:
        key = b"Authorization: Bearer " + KEY.encode()
        data = self.BEGIN % b"/v1/broadcast" + b"\r\n0\r\n" + key + b"\r\n\r\n"
        data += b"GET /v1/rooms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = answered(keyed, data)
        assert answer.count(b"HTTP/1.1 401 ") == 2


@pytest.fixture
def hasty(valkey: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An API that waits a twentieth of a second for anything."""
    for name in ("HEAD_S", "KEEP_ALIVE_S", "STALL_S", "LINGER_S"):
        monkeypatch.setattr(protocol, name, 0.05)
    api = Api(valkey.url)
    yield api
    api.close()


class TestTime:
    @pytest.mark.parametrize("begin", [b"G", b"GET / HTTP/1.1\r\nHost: loc"])
    def test_a_head_that_does_not_end_is_not_waited_for(self, hasty: Api, begin: bytes) -> None:
        assert answered(hasty, begin).startswith(b"HTTP/1.1 408 Request Timeout\r\n")

    @pytest.mark.parametrize("begin", [b"", b"\r\n\r\n"])
    def test_one_that_does_not_begin_is_told_nothing(self, hasty: Api, begin: bytes) -> None:
        assert answered(hasty, begin) == b""

    def test_a_second_head_has_no_longer(self, hasty: Api) -> None:
        answer = answered(hasty, head() + b"GET / HT")
        assert statuses(answer) == [200, 408]

    def test_line_breaks_between_requests_are_no_sign_of_life(self, hasty: Api) -> None:
        with socket.create_connection(("127.0.0.1", hasty.port), BOUND_S) as client:
            client.sendall(head())
            assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
            mine = client.getsockname()[1]

            def gone() -> bool:
                try:
                    client.send(b"\r\n")
                except (ConnectionResetError, BrokenPipeError):
                    return True
                return hasty.connections_of(mine) == []

            until(gone, "the end")

    @pytest.mark.parametrize("last", [[], [LAST]], ids=["kept", "last"])
    def test_an_answer_nobody_reads_is_not_kept(self, hasty: Api, last: list[bytes]) -> None:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", hasty.port))
            big = b"\r\n".join([b"GET /docs/swagger-ui-bundle.js HTTP/1.1", b"Host: a", *last])
            client.sendall((big + b"\r\n\r\n") * 10)
            mine = client.getsockname()[1]
            until(lambda: hasty.connections_of(mine), "the connection")
            until(lambda: not hasty.connections_of(mine), "the end")
        assert hasty.metric('danmaku_api_cut_total{reason="unread"} 1.0')


class TestPlaces:
    @pytest.fixture
    def small(self, valkey: EmbeddedEngine) -> Iterator[Api]:
        """Room for four connections, three from an address."""
        api = Api(valkey.url, api={"connections": 4, "connections_per_address": 3})
        yield api
        api.close()

    def test_who_gets_none_is_told_which(self, small: Api) -> None:
        connect = partial(socket.create_connection, ("127.0.0.1", small.port), BOUND_S)
        held = [connect(source_address=("127.0.0.1", 0)) for _ in range(3)]
        try:
            until(lambda: len(small.connections_of()) == 3, "the places")
            answer = heard(connect(source_address=("127.0.0.1", 0)))
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert b"\r\nRetry-After: 5\r\n" in answer
            held.append(connect(source_address=("127.0.0.2", 0)))
            until(lambda: len(small.connections_of()) == 4, "the last place")
            answer = heard(connect(source_address=("127.0.0.3", 0)))
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"\r\nRetry-After: 5\r\n" in answer
            assert b'"code":"too_many_connections"' in answer
        finally:
            for client in held:
                client.close()
        until(lambda: small.get("/healthz").status == 200, "a place again")
        assert small.metric('danmaku_api_cut_total{reason="429"} 1.0')
        assert small.metric('danmaku_api_cut_total{reason="503"} 1.0')

    def test_half_a_hundred_that_come_and_go_leave_every_place(self, small: Api) -> None:
        for _ in range(50):
            assert small.get("/healthz").status == 200
        until(lambda: small.connections_of() == [], "the end of the last")
