"""What shards pass on: answered once, as the address that was found, and with nothing to see that
needs a key where there is none."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat.api.passed import Inbox, Passed
from chat.api.protocol import HEAD_BYTES
from chat.config.sections import ApiKey
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.conftest import KEY
from tests.chat.api.rig import Api, messages_of, new_room, until
from tests.chat.api.wire import heard, statuses
from tests.chat.rig import BOUND_S

PAGE = b"GET / HTTP/1.1\r\nHost: chat.example\r\n\r\n"
CLOSE = b"\r\nconnection: close\r\n"


def get(path: str, *lines: str, host: str = "chat.example") -> bytes:
    request = [f"GET {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]
    return "\r\n".join(request).encode("latin-1")


async def poll(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.005)


BEARER = f"Authorization: Bearer {KEY.encode().decode('latin-1')}"


class TestOneAnswer:
    def test_it_says_that_the_connection_ends_and_ends_it(self, api: Api) -> None:
        answer = heard(api.pass_on(PAGE))
        assert statuses(answer) == [200]
        assert CLOSE in answer.lower()

    def test_what_follows_it_is_not_answered(self, api: Api) -> None:
        for behind in (PAGE * 50, b"nonsense\r\n\r\n", b"GET /ws HTTP/1.1\r\nUpgrade: websocket"):
            answer = heard(api.pass_on(PAGE + behind))
            assert statuses(answer) == [200]
            assert answer.endswith(b"</html>\n")

    def test_a_client_that_asks_on_is_not_reset(self, api: Api) -> None:
        with api.pass_on(PAGE) as client:
            client.sendall(PAGE * 100)
            assert statuses(heard(client)) == [200]

    @pytest.mark.parametrize("cut", [1, 20, len(PAGE) - 1, len(PAGE)])
    def test_what_was_not_read_yet_is_read_from_the_client(self, api: Api, cut: int) -> None:
        with api.pass_on(PAGE[:cut]) as client:
            client.sendall(PAGE[cut:])
            client.shutdown(socket.SHUT_WR)
            assert statuses(heard(client)) == [200]

    def test_a_body_comes_partly_by_the_shard(self, keyed: Api, room: str) -> None:
        body = b'{"text": "' + b"x" * 200 + b'"}'
        head = f"POST {messages_of(room)} HTTP/1.1\r\nHost: a\r\n{BEARER}\r\n".encode("latin-1")
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        with keyed.pass_on(head + body[:50]) as client:
            client.sendall(body[50:])
            assert statuses(heard(client)) == [200]

    def test_it_has_the_limits_of_any_other(self, api: Api) -> None:
        long = get("/", "X: " + "y" * (HEAD_BYTES + 4096))
        with api.pass_on(long[:60_000]) as client:
            client.sendall(long[60_000:])
            assert statuses(heard(client)) == [431]
        assert statuses(heard(api.pass_on(b"nonsense\r\n\r\n"))) == [400]

    def test_one_that_left_meanwhile_is_let_go(self, api: Api) -> None:
        client = api.pass_on(PAGE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert statuses(heard(api.pass_on(PAGE))) == [200]
        until(lambda: not api.connections_of(), "its end")


class TestWhose:
    def test_an_address_has_so_many_connections_wherever_they_come_from(
        self, valkey: EmbeddedEngine
    ) -> None:
        api = Api(valkey.url, api={"connections_per_address": 1})
        try:
            first = api.pass_on(b"", client="203.0.113.9")
            until(api.connections_of, "the first")
            assert statuses(heard(api.pass_on(PAGE, client="203.0.113.9"))) == [429]
            assert statuses(heard(api.pass_on(PAGE, client="203.0.113.10"))) == [200]
            first.close()
        finally:
            api.close()

    def test_an_address_may_ask_so_often_without_a_key(self, valkey: EmbeddedEngine) -> None:
        api = Api(valkey.url, api={"open_per_s": 1})
        try:
            codes = [statuses(heard(api.pass_on(PAGE, "203.0.113.9")))[0] for _ in range(11)]
            assert codes == [200] * 10 + [429]
            assert statuses(heard(api.pass_on(PAGE, "203.0.113.10"))) == [200]
        finally:
            api.close()


HIDDEN = ["/v1/rooms", "/%76%31/rooms", "/metrics", "/docs", "/docs/start.js", "/openapi.json"]
HIDDEN += ["/console", "/api/publish", "/docs/swagger-ui.css", "/nothing", "/v1/bans/addresses"]


class TestWithoutAKey:
    @pytest.mark.parametrize("path", HIDDEN)
    def test_there_is_nothing_but_the_page_even_for_this_machine(self, api: Api, path: str) -> None:
        for client in ("127.0.0.1", "203.0.113.7"):
            for request in (get(path), get(path, host="localhost"), get(path, BEARER)):
                answer = heard(api.pass_on(request, client))
                assert statuses(answer) == [404], path
        assert b'"not_found"' in answer

    @pytest.mark.parametrize("path", ["/", "/web/app.js", "/client/danmaku.js"])
    def test_the_page_and_the_client_are_there(self, api: Api, path: str) -> None:
        assert statuses(heard(api.pass_on(get(path)))) == [200]

    def test_nobody_can_publish(self, api: Api) -> None:
        room = new_room()
        body = b'{"text": "x"}'
        head = f"POST {messages_of(room)} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = heard(api.pass_on(head.encode() + body, client="127.0.0.1"))
        assert statuses(answer) == [404]
        assert api.texts(room) == []


class TestWithAKey:
    def test_the_key_opens_the_api_as_at_its_own_port(self, keyed: Api) -> None:
        for path in ("/v1/rooms", "/metrics"):
            assert statuses(heard(keyed.pass_on(get(path, BEARER)))) == [200]
            assert statuses(heard(keyed.pass_on(get(path)))) == [401]
            assert statuses(heard(keyed.pass_on(get(path, BEARER + "x"), "127.0.0.1"))) == [401]

    def test_a_key_has_its_scopes_there_too(self, valkey: EmbeddedEngine) -> None:
        keys = (ApiKey("prometheus", ("metrics",), "k" * 20),)
        api = Api(valkey.url, api={"keys": keys})
        given = f"Authorization: Bearer {'k' * 20}"
        try:
            assert statuses(heard(api.pass_on(get("/metrics", given)))) == [200]
            assert statuses(heard(api.pass_on(get("/v1/rooms", given)))) == [403]
        finally:
            api.close()

    def test_centrifugos_libraries_find_their_api_there(self, valkey: EmbeddedEngine) -> None:
        server = {"dialects": ("danmaku", "centrifugal")}
        api = Api(valkey.url, server=server, api={"key": KEY})
        body = b'{"channel": "there", "data": {}}'
        head = f"POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
        given = BEARER.replace("Authorization: Bearer", "X-API-Key:")
        try:
            for key, status in ((given + "\r\n", 200), ("", 401)):
                asked = (head + key + "\r\n").encode("latin-1") + body
                assert statuses(heard(api.pass_on(asked))) == [status]
        finally:
            api.close()

    def test_docs_are_there(self, keyed: Api) -> None:
        assert statuses(heard(keyed.pass_on(get("/docs")))) == [200]


class TestInbox:
    async def test_what_is_taken_has_its_address_and_all_bytes(self, tmp_path: Path) -> None:
        script = """
import socket, sys
from shard.passing import PASSED, Passing
passing = Passing(sys.argv[1])
for number in range(200):
    one, other = socket.socketpair()
    assert passing.hand_over(other.fileno(), f"::{number}", b"\\n\\r%d" % number) is PASSED
"""
        found: list[Passed] = []

        async def adopt(connection: socket.socket, passed: Passed) -> None:
            with closing(connection):
                found.append(passed)

        inbox = Inbox(tmp_path / "passed.sock", adopt, lambda: None)
        inbox.open()
        command = (sys.executable, "-c", script, str(tmp_path / "passed.sock"))
        sender = await asyncio.create_subprocess_exec(*command)
        assert await sender.wait() == 0
        await poll(lambda: len(found) == 200)
        assert found == [Passed(f"::{n}", b"\n\r%d" % n) for n in range(200)]
        await poll(lambda: not inbox._ways)
        inbox.close()
        assert not (tmp_path / "passed.sock").exists()

    async def test_a_name_that_a_killed_life_left_is_taken_over(self, tmp_path: Path) -> None:
        path = tmp_path / "passed.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
            left.bind(str(path))

        async def adopt(connection: socket.socket, passed: Passed) -> None:
            connection.close()

        inbox = Inbox(path, adopt, lambda: None)
        inbox.open()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as way:
            way.connect(str(path))
        inbox.close()

    async def test_a_message_without_a_descriptor_is_counted(self, tmp_path: Path) -> None:
        lost: list[int] = []

        async def adopt(connection: socket.socket, passed: Passed) -> None:
            raise AssertionError("of nothing")

        inbox = Inbox(tmp_path / "s", adopt, lambda: lost.append(1))
        inbox.open()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as way:
            way.connect(str(tmp_path / "s"))
            way.send(b"::1\nGET")
            await poll(lambda: lost == [1])
        inbox.close()
