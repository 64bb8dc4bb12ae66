"""The API from a terminal: how what goes wrong is said. The other side's answers are made here."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from chat.client.backend import Backend, Refused
from chat.client.link import ClientError
from shard.listen import listen

KEY = "a-key-that-nobody-may-see"
DEEP = b"[" * 9_000


class Canned(BaseHTTPRequestHandler):
    """Answers with what the server was given, and keeps what it was asked."""

    server: "CannedServer"

    def do_GET(self) -> None:
        status, body, headers = self.server.answers.pop(0)
        self.server.asked.append((self.path, dict(self.headers)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


class CannedServer(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Canned)
        self.answers: list[tuple[int, bytes, dict[str, str]]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def will_say(self, status: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, data, headers))


@pytest.fixture
def server() -> Iterator[CannedServer]:
    with CannedServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def refused(server: CannedServer, key: str = KEY) -> Refused:
    with Backend(server.url, key) as backend, pytest.raises(Refused) as found:
        backend.ask("GET", "audit")
    assert KEY not in str(found.value)
    return found.value


def error(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message} | more}


class TestAsking:
    def test_parts_of_a_path_are_encoded_once(self, server: CannedServer) -> None:
        server.will_say(200, {"ok": 1})
        with Backend(server.url + "/", KEY, "阿花") as backend:
            answer = backend.ask("GET", "bans", "a/b%2F?", query={"after": None, "limit": 3})
        assert answer == {"ok": 1}
        [(path, headers)] = server.asked
        assert path == "/v1/bans/a%2Fb%252F%3F?limit=3"
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert headers["X-Danmaku-Actor"].encode("latin-1").decode() == "阿花"

    def test_without_a_key_none_is_said(self, server: CannedServer) -> None:
        server.will_say(200, {})
        with Backend(server.url) as backend:
            backend.ask("GET", "audit")
        assert not {"Authorization", "X-Danmaku-Actor"} & server.asked[0][1].keys()

    def test_pages_follow_one_another_to_the_last(self, server: CannedServer) -> None:
        for numbers, following in (([1, 2], "b"), ([], "c"), ([3], None)):
            entries = [{"number": number} for number in numbers]
            server.will_say(200, {"entries": entries, "next": following})
        with Backend(server.url) as backend:
            found = [one["number"] for one in backend.pages("entries", "audit", after="a")]
        assert found == [1, 2, 3]
        assert [path.partition("after=")[2][0] for path, _ in server.asked] == ["a", "b", "c"]


class TestRefusals:
    @pytest.mark.parametrize(("key", "said"), [("", "is needed"), (KEY, "is none of")])
    def test_a_key_that_is_none(self, server: CannedServer, key: str, said: str) -> None:
        server.will_say(401, error("unauthorized", "send a key"))
        found = refused(server, key)
        assert said in str(found)
        assert "--key or in DANMAKU_API_KEY" in str(found)

    def test_its_own_words_and_each_problem(self, server: CannedServer) -> None:
        problems = [{"path": "slow_s", "message": "expected int"}, {"message": "too much"}]
        server.will_say(400, error("bad_request", "no", problems=problems))
        found = refused(server)
        assert (str(found), found.problems) == ("no", ("slow_s: expected int", "too much"))

    @pytest.mark.parametrize(
        "message", ["the bus does not answer", "the bus does not answer; try again"]
    )
    def test_when_to_try_again_is_said_once(self, server: CannedServer, message: str) -> None:
        server.will_say(503, error("unavailable", message), **{"Retry-After": "2"})
        found = refused(server)
        assert str(found) == "the bus does not answer; try again in 2 s"

    @pytest.mark.parametrize("body", [b"<html>", [], {"error": "x"}, {"error": {}}, b"\xff", DEEP])
    def test_whoever_is_not_the_api(self, server: CannedServer, body: Any) -> None:
        server.will_say(404, body)
        found = refused(server)
        assert str(found) == f"{server.url} answers HTTP 404; is it the API's address?"

    @pytest.mark.parametrize("body", [b"hello", b"", b"null", b"[]", b"5", b"\xff", DEEP])
    def test_an_answer_that_is_none_of_the_api_s(self, server: CannedServer, body: bytes) -> None:
        server.will_say(200, body)
        with Backend(server.url) as backend, pytest.raises(ClientError, match="no JSON"):
            backend.ask("GET", "audit")

    def test_what_an_answer_does_not_have(self, server: CannedServer) -> None:
        server.will_say(200, {"other": {}})
        with Backend(server.url) as backend:
            found = backend.ask("GET", "words")
        for of in (found, found["other"]):
            with pytest.raises(ClientError, match="nothing of 'mask'; is it the API"):
                of["mask"]

    @pytest.mark.parametrize(
        "page",
        [
            {"entries": None, "next": None},
            {"entries": [5], "next": None},
            {"entries": []},
            {"entries": [], "next": "a"},
        ],
    )
    def test_pages_that_are_none_or_have_no_end(self, server: CannedServer, page: Any) -> None:
        server.will_say(200, page)
        with Backend(server.url) as backend, pytest.raises(ClientError, match="is it the API"):
            list(backend.pages("entries", "audit", after="a"))


class TestNobodyThere:
    def test_who_does_not_listen(self) -> None:
        listener = listen("127.0.0.1", 0, 1, 65536)
        port = listener.getsockname()[1]
        listener.close()
        url = f"http://127.0.0.1:{port}"
        unreached = pytest.raises(ClientError, match="cannot be reached")
        with Backend(url, KEY) as backend, unreached as failed:
            backend.ask("GET", "audit")
        assert KEY not in str(failed.value)

    def test_who_hangs_up(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def hang_up() -> None:
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.close()

            thread = threading.Thread(target=hang_up)
            thread.start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with Backend(url) as backend, pytest.raises(ClientError, match="cannot be asked"):
                backend.ask("GET", "audit")
            thread.join()

    @pytest.mark.parametrize(
        "url", ["", "127.0.0.1:8001", "ws://127.0.0.1:8001", "http://", "http://a:b"]
    )
    def test_what_is_no_address(self, url: str) -> None:
        with pytest.raises(ClientError, match="no address of an API"):
            Backend(url)

    def test_a_key_that_no_header_can_hold(self) -> None:
        with pytest.raises(ClientError, match="control character") as failed:
            Backend("http://127.0.0.1:1", f"{KEY}\n{KEY}")
        assert KEY not in str(failed.value)

    def test_white_space_around_a_key_is_none_of_it(self, server: CannedServer) -> None:
        server.will_say(200, {})
        with Backend(server.url, f" {KEY}\n") as backend:
            backend.ask("GET", "audit")
        assert server.asked[0][1]["Authorization"] == f"Bearer {KEY}"
