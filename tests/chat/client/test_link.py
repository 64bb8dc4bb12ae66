"""One WebSocket after another: opening, dying, coming back, giving up."""

import asyncio
import json
import logging
import socket
import ssl
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close
from websockets.http11 import Request, Response

from chat.client import link
from chat.client.link import (
    STEADY_S,
    ClientError,
    Link,
    TurnedAway,
    Unreachable,
    address,
    decode,
    ending,
    is_loopback,
    retry_after_s,
    sentence,
)
from chat.wire.commands import Ping
from chat.wire.schema import Message, Msgs, Pong, ServerEvent, Welcome
from tests.chat.fakenode import FakeNode, World, msg, welcome

NOT_UTF8 = b'[{"t":"bye","reason":"\xff","reconnect_in":1}]'


class Owner:
    """Runs a link and remembers what it was told."""

    def __init__(
        self, url: str, world: World, first_tries: int | None = None, token: str = ""
    ) -> None:
        self.events: list[ServerEvent] = []
        self.downs = 0
        self.away: list[tuple[str, float]] = []
        self.news = asyncio.Event()
        self.link = Link(url, token, world.env, first_tries, lambda *told: self.away.append(told))

    async def take(self, events: list[ServerEvent]) -> None:
        self.events += events
        self.news.set()

    async def down(self) -> None:
        self.downs += 1

    async def live(self) -> None:
        await self.link.live(self.take, self.down)


async def refusing(status: int, retry_after: str = "") -> Server:
    """A server that answers every handshake with `status`, and maybe says when to come back."""

    def answer(connection: ServerConnection, request: Request) -> Response:
        refusal = connection.respond(HTTPStatus(status), "no\n")
        if retry_after:
            refusal.headers["Retry-After"] = retry_after
        return refusal

    async def never(connection: ServerConnection) -> None:
        raise AssertionError("nobody gets in")

    return await serve(never, "127.0.0.1", 0, process_request=answer)


def port_of(server: Server) -> int:
    [listener] = server.sockets
    return int(listener.getsockname()[1])


class TestAddress:
    def test_a_token_goes_into_the_query(self) -> None:
        assert address("ws://h/ws", "a+b/=") == "ws://h/ws?token=a%2Bb%2F%3D"
        assert address("wss://h:1/ws?room=x&token=old", "new") == "wss://h:1/ws?room=x&token=new"

    def test_a_guests_key_does_too(self) -> None:
        assert address("ws://h/ws", guest="n.k_-") == "ws://h/ws?guest=n.k_-"
        assert address("ws://h/ws?guest=a&x=1", guest="b") == "ws://h/ws?x=1&guest=b"

    def test_without_one_it_stays_as_it_is(self) -> None:
        assert address("ws://h/ws?room=%E5%BC%B9", "") == "ws://h/ws?room=%E5%BC%B9"

    @pytest.mark.parametrize(
        "url", ["", "lobby", "http://h/ws", "ws://", "ws://h:99999/", "ws://h/#x", "ws://[h/"]
    )
    def test_what_is_no_address_is_one_sentence(self, url: str) -> None:
        with pytest.raises(ClientError, match="not a WebSocket URL"):
            address(url, "")

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("ws://127.0.0.1:8000/ws", True),
            ("ws://localhost/ws", True),
            ("ws://[::1]/ws", True),
            ("ws://example.org/ws", False),
            ("ws://10.0.0.1/ws", False),
        ],
    )
    def test_this_machine_is_not_reached_through_a_proxy(self, url: str, expected: bool) -> None:
        assert is_loopback(url) is expected


class TestDecode:
    def test_a_frame_is_its_events(self) -> None:
        events = decode(b'[{"t":"pong","ref":1},{"t":"pong"}]')
        assert events == [Pong(1), Pong()]

    def test_events_of_a_newer_version_are_left_out(self) -> None:
        frame = [{"t": "hologram"}, {"t": "pong", "ref": 1, "more": 2}, 7]
        assert decode(json.dumps(frame).encode()) == [Pong(1)]

    def test_what_a_newer_version_adds_to_a_batch_takes_nothing_else_with_it(self) -> None:
        m = [{"t": "poll", "question": "?"}, {"uid": "u", "text": "hi", "ts": 1, "badge": 3}]
        batch = {"t": "msgs", "room": "a", "epoch": "e", "seq": 1, "to": 2, "m": m, "more": 1}
        places = [Message(t="poll"), Message(uid="u", text="hi", ts=1)]
        assert decode(json.dumps([batch]).encode()) == [Msgs("a", "e", 1, 2, places)]

    def test_an_empty_frame_is_no_events(self) -> None:
        assert decode(b"[]") == []

    @pytest.mark.parametrize(
        "payload", [b"", b"[", NOT_UTF8, b"[" * 100_000, b"{}", b"7", b'"x"', b"null"]
    )
    def test_what_is_no_array_of_json_is_ignored_and_logged(
        self, payload: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            assert decode(payload) == []
        assert "a frame was ignored" in caplog.text


class TestEndings:
    def test_the_servers_reason_comes_first(self) -> None:
        assert ending(ConnectionClosedError(Close(4001, "too slow"), None)) == (4001, "too slow")

    def test_a_known_code_has_a_reason(self) -> None:
        code, reason = ending(ConnectionClosedError(Close(4502, ""), None))
        assert (code, reason) == (4502, "a token is needed here")

    def test_an_unknown_one_is_named(self) -> None:
        assert ending(ConnectionClosedError(Close(4999, ""), None)) == (
            4999,
            "closed with code 4999",
        )

    def test_without_a_closing_frame_it_was_lost(self) -> None:
        assert ending(ConnectionClosedError(None, None)) == (0, "the connection was lost")

    def test_failures_to_connect_are_sentences(self) -> None:
        refused = ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)")
        assert sentence(refused) == "connection refused"
        assert sentence(socket.gaierror(-2, "Name or service not known")).startswith("Name")
        assert sentence(ssl.SSLError(1, "certificate verify failed")) == "certificate verify failed"
        assert sentence(OSError("Multiple exceptions: a, b")) == "Multiple exceptions: a, b"


class TestLiving:
    async def test_it_gives_out_frames_and_says_commands(self) -> None:
        async with FakeNode() as node:
            owner = Owner(node.url, World())
            living = asyncio.create_task(owner.live())
            peer = await node.accept()
            await peer.say(welcome(), msg(1))
            await owner.news.wait()
            assert [type(event) for event in owner.events] == [Welcome, Msgs]
            await owner.link.say(Ping(5))
            assert await peer.hear() == {"t": "ping", "ref": 5}
            living.cancel()
            assert await peer.closed() == 1000
            await asyncio.wait([living])

    async def test_the_token_and_the_subprotocol_are_presented(self) -> None:
        async with FakeNode() as node:
            living = asyncio.create_task(Owner(node.url, World(), token="t.o.k").live())
            peer = await node.accept()
            assert peer.path == "/ws?token=t.o.k"
            assert peer.socket.subprotocol == "danmaku.json"
            living.cancel()
            await asyncio.wait([living])

    async def test_without_a_connection_commands_are_dropped(self) -> None:
        await Owner("ws://127.0.0.1:1/ws", World()).link.say(Ping())

    async def test_it_comes_back_with_growing_waits(self) -> None:
        world = World()
        async with FakeNode() as node:
            owner = Owner(node.url, world)
            living = asyncio.create_task(owner.live())
            for _ in range(3):
                peer = await node.accept()
                await peer.welcome()
                await peer.close(4003)
            await node.accept()
            assert world.slept == [0.5, 1, 2]
            assert owner.downs == 3
            assert owner.away[0] == ("no answer to a ping", 0.5)
            living.cancel()
            await asyncio.wait([living])

    async def test_a_steady_connection_starts_the_waits_anew(self) -> None:
        world = World()
        async with FakeNode() as node:
            owner = Owner(node.url, world)
            living = asyncio.create_task(owner.live())
            for lived_s in (0.0, STEADY_S, 0.0):
                owner.news.clear()
                peer = await node.accept()
                await peer.welcome()
                await owner.news.wait()
                world.time += lived_s
                await peer.drop()
            await node.accept()
            assert world.slept == [0.5, 0.5, 1]
            assert owner.away[0][0] == "the connection was lost"
            living.cancel()
            await asyncio.wait([living])

    async def test_what_is_wrong_with_the_other_side_does_not_end_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(link, "MAX_FRAME_BYTES", 1000)
        async with FakeNode() as node:
            owner = Owner(node.url, World())
            living = asyncio.create_task(owner.live())
            peer = await node.accept()
            await peer.socket.send("x" * 1001)
            assert await peer.closed() == 1009
            await node.accept()
            assert owner.away[0][0] == "the connection was lost"
            living.cancel()
            await asyncio.wait([living])

    async def test_the_moment_the_server_names_wins(self) -> None:
        world = World()
        async with FakeNode() as node:
            living = asyncio.create_task(Owner(node.url, world).live())
            peer = await node.accept()
            await peer.say(welcome(), {"t": "bye", "reason": "restart", "reconnect_in": 3.7})
            await peer.close(4000)
            peer = await node.accept()
            await peer.drop()  # that was for once: now it is the back-off again
            await node.accept()
            assert world.slept == [3.7, 1]
            living.cancel()
            await asyncio.wait([living])


class TestGivingUp:
    @pytest.mark.parametrize("code", [1002, 1009, 4500, 4502, 4999])
    async def test_a_close_code_that_says_so_ends_it(self, code: int) -> None:
        world = World()
        async with FakeNode() as node:
            owner = Owner(node.url, world)
            living = asyncio.create_task(owner.live())
            peer = await node.accept()
            await peer.close(code, "go away")
            with pytest.raises(TurnedAway, match="go away") as raised:
                await living
            assert raised.value.code == code
            assert (owner.downs, world.slept) == (1, [])

    @pytest.mark.parametrize("status", [400, 403, 404])
    async def test_so_does_a_handshake_refused_for_what_it_is(self, status: int) -> None:
        async with await refusing(status) as server:
            owner = Owner(f"ws://127.0.0.1:{port_of(server)}/ws", World())
            with pytest.raises(TurnedAway, match=f"HTTP {status}"):
                await owner.live()

    @pytest.mark.parametrize("status", [429, 500, 503])
    async def test_one_refused_for_now_is_tried_again(self, status: int) -> None:
        world = World()
        async with await refusing(status) as server:
            owner = Owner(f"ws://127.0.0.1:{port_of(server)}/ws", world, first_tries=3)
            with pytest.raises(Unreachable, match=f"HTTP {status}"):
                await owner.live()
        assert world.slept == [0.5, 1]

    @pytest.mark.parametrize("status", [429, 503])
    async def test_as_late_as_it_says_and_full_jitter_behind_that(self, status: int) -> None:
        world = World()
        async with await refusing(status, "7") as server:
            owner = Owner(f"ws://127.0.0.1:{port_of(server)}/ws", world, first_tries=4)
            with pytest.raises(Unreachable):
                await owner.live()
        assert world.slept == [7.5, 8, 9]
        assert [away_s for _, away_s in owner.away] == world.slept

    @pytest.mark.parametrize("said", ["soon", "-5", "1e9", "9" * 400, ""])
    async def test_what_is_no_number_of_seconds_says_nothing(self, said: str) -> None:
        assert retry_after_s(Headers([("Retry-After", said)])) == 0
        assert retry_after_s(Headers()) == 0

    async def test_what_one_refusal_said_is_not_waited_for_after_the_next_loss(self) -> None:
        world = World()
        async with await refusing(503, "7") as server:
            owner = Owner(f"ws://127.0.0.1:{port_of(server)}/ws", world, first_tries=2)
            with pytest.raises(Unreachable):
                await owner.live()
        async with FakeNode() as node:
            owner.link._url = node.url
            living = asyncio.create_task(owner.live())
            peer = await node.accept()
            await peer.welcome()
            await peer.drop()
            await node.accept()
            living.cancel()
            await asyncio.wait([living])
        assert world.slept == [7.5, 0.5]

    async def test_nobody_there_is_tried_as_often_as_asked(self) -> None:
        world = World()
        with socket.socket() as bound:  # bound but not listening: the port refuses
            bound.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{bound.getsockname()[1]}/ws"
            owner = Owner(url, world, first_tries=3, token="secret")
            with pytest.raises(Unreachable) as raised:
                await owner.live()
        assert str(raised.value) == f"cannot reach {url}: connection refused"
        assert world.slept == [0.5, 1]

    async def test_what_does_not_speak_http_is_a_sentence(self) -> None:
        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example ESMTP\r\n\r\n")
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            owner = Owner(f"ws://127.0.0.1:{port}/ws", World(), first_tries=1)
            with pytest.raises(Unreachable, match="HTTP"):
                await owner.live()

    async def test_once_welcomed_it_never_gives_up(self) -> None:
        world = World()
        async with FakeNode() as node:
            owner = Owner(node.url, world, first_tries=1)
            living = asyncio.create_task(owner.live())
            peer = await node.accept()
            await peer.welcome()
            await peer.drop()
            for _ in range(3):
                await (await node.accept()).drop()
            await node.accept()
            assert len(world.slept) == 4
            living.cancel()
            await asyncio.wait([living])
