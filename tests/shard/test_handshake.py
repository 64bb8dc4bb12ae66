"""The HTTP side: who is let in, and what everyone else is told. Literal bytes in and out."""

from dataclasses import replace
from http import HTTPStatus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.handshake import (
    END_OF_HEADERS,
    MAX_HEADERS,
    Accepted,
    Answer,
    Elsewhere,
    Reply,
    Terms,
    answer,
    origin_allowed,
    respond,
)
from tests.shard.wire import REQUEST
from tests.shard.wire import terms as offers

TERMS = offers("chat.json", "chat.msgpack")

HEADERS = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def request(line: str = "GET /ws HTTP/1.1", /, *extra: str, **changes: str | None) -> bytes:
    """A good request, changed: `origin="x"` sets Origin, `upgrade=None` leaves Upgrade out."""
    headers: dict[str, str | None] = {name.lower(): value for name, value in HEADERS.items()}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, *extra]).encode() + END_OF_HEADERS


def let_in(data: bytes, terms: Terms = TERMS) -> Accepted:
    reply = respond(data, terms)
    assert isinstance(reply, Accepted), reply
    return reply


def said(data: bytes, terms: Terms = TERMS) -> Answer:
    """What is answered where no other process does."""
    reply = respond(data, terms)
    assert not isinstance(reply, Accepted), reply
    return reply.otherwise if isinstance(reply, Elsewhere) else reply


def refusal(data: bytes, terms: Terms = TERMS) -> int:
    """The status of the refusal, which must be a whole HTTP response that closes."""
    reply = said(data, terms)
    head, _, body = reply.response.partition(END_OF_HEADERS)
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 %d " % reply.status)
    assert b"Connection: close" in lines
    assert b"Content-Length: %d" % len(body) in lines
    return reply.status


class TestLettingIn:
    def test_the_request_of_the_rfc_gets_the_answer_of_the_rfc(self) -> None:
        assert let_in(REQUEST).response == (
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Upgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )

    @pytest.mark.parametrize("connection", ["upgrade", "keep-alive, Upgrade", "Upgrade,close"])
    def test_connection_options_may_be_several_in_any_case(self, connection: str) -> None:
        assert let_in(request(connection=connection, upgrade="WebSocket"))

    def test_frames_sent_along_are_kept(self) -> None:
        assert let_in(REQUEST + b"\x89\x80mask\r\n\r\n").rest == b"\x89\x80mask\r\n\r\n"

    def test_the_handler_sees_path_query_and_headers(self) -> None:
        data = request("GET /ws?room=a&room=%E9%9B%AA&token=&x HTTP/1.1", **{"user-agent": "Me"})
        seen = let_in(data).request
        assert seen.path == "/ws"
        assert seen.query == {"room": ["a", "雪"], "token": [""], "x": [""]}
        assert (seen.first("room"), seen.first("token"), seen.first("y")) == ("a", "", None)
        assert seen.headers["user-agent"] == "Me"

    def test_a_long_query_is_read_like_a_short_one(self) -> None:
        assert let_in(request(f"GET /ws?token={'x' * 500} HTTP/1.1")).request.query == {
            "token": ["x" * 500]
        }

    def test_an_absolute_target_is_read_without_its_authority(self) -> None:
        seen = let_in(request("GET http://example.com/ws?a=1 HTTP/1.1")).request
        assert (seen.path, seen.query) == ("/ws", {"a": ["1"]})

    def test_another_path_may_be_the_one(self) -> None:
        assert let_in(request("GET / HTTP/1.1"), offers(path="/"))


class TestWhatIsMeant:
    """Headers are compared by meaning (RFC 9110 sections 5.5, 5.6.1), targets are UTF-8."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"sec_websocket_version": "13 "},
            {"sec_websocket_key": "  dGhlIHNhbXBsZSBub25jZQ==\t"},
            {"sec_websocket_protocol": ""},
            {"sec_websocket_protocol": " "},
            {"upgrade": "websocket, h2c"},
            {"upgrade": "h2c, WebSocket"},
            {"connection": " keep-alive,Upgrade "},
            {"content_length": "0"},
        ],
    )
    def test_blanks_and_lists_do_not_matter(self, changes: dict[str, str]) -> None:
        reply = let_in(request(**changes))
        assert reply.request.subprotocol == ""
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in reply.response

    @pytest.mark.parametrize(
        ("target", "room"),
        [
            ("/ws?room=弹幕", "弹幕"),
            ("/ws?room=%E5%BC%B9幕", "弹幕"),
            ("/ws?room=a%20b", "a b"),
            ("http://localhost/ws?room=幕", "幕"),
        ],
    )
    def test_a_target_may_be_raw_utf8(self, target: str, room: str) -> None:
        assert let_in(request(f"GET {target} HTTP/1.1")).request.query == {"room": [room]}

    def test_one_that_is_no_utf8_is_read_as_far_as_it_is(self) -> None:
        data = request("GET /ws?room=@@ HTTP/1.1").replace(b"@@", b"a\xff")
        assert let_in(data).request.query == {"room": ["a\ufffd"]}

    @pytest.mark.parametrize("changes", [{"content_length": "5"}, {"transfer_encoding": "chunked"}])
    def test_a_body_is_refused_for_what_it_would_be_taken_for(
        self, changes: dict[str, str]
    ) -> None:
        assert refusal(request(**changes) + b"hello") == 400

    @pytest.mark.parametrize(
        ("query", "authorization", "token"),
        [
            ("", None, None),
            ("?token=a", None, "a"),
            ("", "Bearer b", "b"),
            ("", "bearer  b ", "b"),
            ("?token=a", "Bearer b", "a"),
            ("", "Basic b", None),
        ],
    )
    def test_a_token_may_come_in_the_address_or_as_a_bearers(
        self, query: str, authorization: str | None, token: str | None
    ) -> None:
        seen = let_in(request(f"GET /ws{query} HTTP/1.1", authorization=authorization)).request
        assert seen.token == token


class TestHealth:
    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    @pytest.mark.parametrize("leaving", [False, True])
    def test_it_is_asked_with_get_or_head(self, path: str, leaving: bool) -> None:
        terms = replace(TERMS, leaving=leaving)
        whole = respond(request(f"GET {path} HTTP/1.1"), terms)
        head = respond(request(f"HEAD {path} HTTP/1.1"), terms)
        assert isinstance(whole, Answer)
        assert isinstance(head, Answer)
        assert whole.response.startswith(head.response)
        assert head.response.endswith(END_OF_HEADERS)
        assert len(whole.response) > len(head.response)
        assert whole.status == head.status == (503 if leaving and path == "/readyz" else 200)

    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_and_with_nothing_else(self, path: str) -> None:
        assert refusal(request(f"POST {path} HTTP/1.1")) == 405


class TestLeaving:
    TERMS = replace(TERMS, leaving=True)

    def test_an_upgrade_is_told_to_try_again(self) -> None:
        reply = respond(REQUEST, self.TERMS)
        assert isinstance(reply, Answer)
        assert reply.status == 503
        assert b"\r\nRetry-After: 1\r\n" in reply.response

    def test_what_is_no_upgrade_is_hung_up_on(self) -> None:
        reply = respond(request(upgrade=None, connection=None), self.TERMS)
        assert isinstance(reply, Answer)
        assert (reply.status, reply.response) == (503, b"")

    def test_what_is_wrong_is_still_wrong(self) -> None:
        reply = respond(request("GET /other HTTP/1.1"), self.TERMS)
        assert isinstance(reply, Answer)
        assert reply.status == 404


class TestElsewhere:
    @pytest.mark.parametrize(
        "line", ["GET / HTTP/1.1", "POST /v1/x HTTP/1.0", "GET http://h/wsx?a HTTP/1.1"]
    )
    def test_what_is_for_no_path_of_ours_may_be_for_others(self, line: str) -> None:
        for upgrade in (None, "h2c"):
            reply = respond(request(line, "X-Forwarded-For: 1.2.3.4", upgrade=upgrade), TERMS)
            assert isinstance(reply, Elsewhere)
            assert (reply.forwarded, reply.otherwise.status) == ("1.2.3.4", 404)

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (request("GET /other HTTP/1.1"), 404),
            (request("GET / HTTP/1.1", upgrade="h2c, WebSocket"), 404),
            (request("POST /ws HTTP/1.1"), 405),
            (request("GET /ws HTTP/1.1", upgrade=None), 426),
            (request("GET /healthz HTTP/1.1", upgrade=None), 200),
            (request("POST /readyz HTTP/1.1", upgrade=None), 405),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
            (b"GET / HTTP/9\r\n\r\n", 400),
        ],
    )
    def test_connections_probes_and_nonsense_are_answered_here(
        self, data: bytes, status: int
    ) -> None:
        reply = respond(data, TERMS)
        assert isinstance(reply, Answer)
        assert reply.status == status


class TestSubprotocols:
    @pytest.mark.parametrize(
        ("offered", "chosen", "variant"),
        [
            (None, "", 0),
            ("chat.msgpack", "chat.msgpack", 1),
            ("chat.msgpack, chat.json", "chat.json", 0),
            ("other,chat.msgpack", "chat.msgpack", 1),
            ("other", "", 0),
        ],
    )
    def test_the_first_of_ours_that_is_offered(
        self, offered: str | None, chosen: str, variant: int
    ) -> None:
        reply = let_in(request(sec_websocket_protocol=offered))
        assert (reply.request.subprotocol, reply.variant) == (chosen, variant)
        header = f"\r\nSec-WebSocket-Protocol: {chosen}\r\n".encode()
        assert (header in reply.response) == bool(chosen)

    def test_offers_in_two_headers_count_as_one(self) -> None:
        extra = ("Sec-WebSocket-Protocol: chat.msgpack", "Sec-WebSocket-Protocol: other")
        assert let_in(request("GET /ws HTTP/1.1", *extra)).variant == 1

    def test_the_default_variant_is_for_who_offers_none(self) -> None:
        assert let_in(REQUEST, offers("a", "b")).variant == 0
        assert let_in(request(sec_websocket_protocol="a"), offers()).variant == 0

    def test_an_offer_that_is_not_a_list_of_tokens_is_refused(self) -> None:
        assert refusal(request(sec_websocket_protocol="a b")) == 400


class TestRefusing:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (request("GET /other HTTP/1.1"), 404),
            (request("GET /wsx HTTP/1.1"), 404),
            (request("POST /ws HTTP/1.1"), 405),
            (request("GET /ws HTTP/1.0"), 505),
            (request(upgrade=None), 426),
            (request(connection=None), 426),
            (request(upgrade=None, connection=None), 426),
            (request(connection="keep-alive"), 426),
            (request(upgrade="h2c"), 426),
            (request(connection="a b"), 400),
            (request(host=None), 400),
            (request(sec_websocket_version="8"), 426),
            (request(sec_websocket_version=None), 426),
            (request(sec_websocket_key=None), 400),
            (request(sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ="), 400),
            (request(sec_websocket_key="dGhlIHNhbXBsZSBub25jZSE="), 400),
            (request(sec_websocket_key="dGhlIHNhbXBsZSBub25jZ***"), 400),
            (request("GET /ws HTTP/1.1", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
            (request("GET /ws HTTP/1.1", "Host: other"), 400),
            (request(f"GET /ws?{'a&' * 200} HTTP/1.1"), 400),
            (request("GET /ws HTTP/9"), 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + END_OF_HEADERS, 400),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
            (b"SSH-2.0-OpenSSH_9.2p1" + END_OF_HEADERS, 400),
        ],
    )
    def test_what_cannot_be_let_in_is_told_why(self, data: bytes, status: int) -> None:
        assert refusal(data) == status

    def test_a_refusal_names_what_would_do(self) -> None:
        def response(data: bytes) -> bytes:
            return said(data).response

        assert b"\r\nUpgrade: websocket\r\n" in response(request(upgrade=None))
        assert b"\r\nSec-WebSocket-Version: 13\r\n" in response(request(sec_websocket_version="8"))
        assert b"\r\nAllow: GET\r\n" in response(request("POST /ws HTTP/1.1"))
        assert response(request("GET / HTTP/1.1")).endswith(b"\r\n\r\nconnections are at /ws\n")

    def test_as_many_headers_as_are_allowed_and_one_more(self) -> None:
        extra = [f"X-{i}: y" for i in range(MAX_HEADERS - len(HEADERS))]
        assert let_in(request("GET /ws HTTP/1.1", *extra))
        assert refusal(request("GET /ws HTTP/1.1", *extra, "One: more")) == 431
        assert refusal(request("GET /ws HTTP/1.1", *extra, "X-0: again")) == 431

    def test_health_is_answered_without_an_upgrade(self) -> None:
        assert refusal(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") == 200
        assert refusal(b"GET /healthz HTTP/1.0\r\n\r\n") == 200

    def test_an_answer_is_literally_this(self) -> None:
        assert answer(HTTPStatus.NOT_FOUND, "no", "A: b").response == (
            b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 3\r\nConnection: close\r\nA: b\r\n\r\nno\n"
        )


class TestOrigins:
    @pytest.mark.parametrize(
        ("origin", "allowed", "expected"),
        [
            (None, ("https://a.b",), True),
            ("https://a.b", ("https://a.b",), True),
            ("https://a.b", ("*",), True),
            ("null", ("https://a.b",), False),
            ("https://a.b.evil", ("https://a.b",), False),
            ("https://a.b", (), False),
        ],
    )
    def test_a_browser_needs_an_allowed_origin(
        self, origin: str | None, allowed: tuple[str, ...], expected: bool
    ) -> None:
        assert origin_allowed(origin, allowed) is expected
        data, terms = request(origin=origin), offers(origins=allowed)
        assert isinstance(respond(data, terms), Accepted) is expected
        assert expected or refusal(data, terms) == 403

    def test_two_origins_are_none(self) -> None:
        assert refusal(request("GET /ws HTTP/1.1", "Origin: a", "Origin: a")) == 400


class TestAnyBytes:
    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=100))
    def test_noise_is_answered_and_nothing_is_raised(self, data: bytes) -> None:
        assert isinstance(respond(data + END_OF_HEADERS, TERMS), Reply)

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(max_size=3)), max_size=4))
    def test_a_request_with_bytes_changed_is_answered(
        self, changes: list[tuple[int, bytes]]
    ) -> None:
        data = request("GET /ws?room=a HTTP/1.1", sec_websocket_protocol="chat.json, x")[:-4]
        for place, new in changes:
            place %= len(data)
            data = data[:place] + new + data[place + 1 :]
        assert isinstance(respond(data + END_OF_HEADERS, TERMS), Reply)
