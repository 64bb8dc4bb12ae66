"""One port: the page, the client and, with a key, the API are where the WebSocket is."""

import http.client
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.local import Node, lives
from tests.patience import PATIENCE_S, until

KEY = "a-key-of-the-tests"


def connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)


def ask(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    with closing(connection(port)) as asked:
        asked.request(method, path, body, headers)
        answer = asked.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, answer.read()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node of two shards with a key."""
    with Node(tmp_path_factory.mktemp("keyed"), api_key=KEY) as node:
        yield node


def metric(node: Node, name: str) -> int:
    """Of all shards."""
    values = [float(line.split()[1]) for line in metric_lines(node, f"danmaku_{name}{{")]
    assert values
    return round(sum(values))


class TestOnePort:
    def test_all_of_the_page_is_there(self, keyed: Node) -> None:
        for path in ("/", "/web/app.js", "/client/danmaku.js", "/clients/js/src/index.js"):
            status, headers, body = ask(keyed.port, "GET", path)
            assert (status, headers["connection"]) == (200, "close"), path
            if path != "/":  # the page is told where it came from
                assert body == ask(keyed.api_port, "GET", path)[2]

    def test_a_key_opens_the_api_and_both_shards_pass(self, keyed: Node) -> None:
        before = metric(keyed, "requests_passed_total")
        bearer = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        for number in range(40):
            body = b'{"text": "%d"}' % number
            path = "/v1/rooms/one-port/messages"
            assert ask(keyed.port, "POST", path, body, **bearer)[0] == 200
            assert ask(keyed.port, "POST", path, body)[0] == 401
        assert len(metric_lines(keyed, "danmaku_requests_passed_total{")) == 2
        assert metric(keyed, "requests_passed_total") == before + 80
        path = "/v1/rooms/one-port/messages"
        status, _, body = ask(keyed.api_port, "GET", path, None, **bearer)
        assert (status, body.count(b'"text"')) == (200, 40)

    def test_a_large_body_goes_past_the_shard(self, keyed: Node) -> None:
        message = b'{"text": "x"}'
        body = b"[" + b",".join([message] * 20_000) + b"]"
        bearer = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        status, _, _ = ask(keyed.port, "POST", "/v1/rooms/large/messages", body, **bearer)
        direct, _, _ = ask(keyed.api_port, "POST", "/v1/rooms/large2/messages", body, **bearer)
        assert status == direct

    def test_probes_stay_the_shards(self, keyed: Node) -> None:
        for path in ("/healthz", "/readyz"):
            assert ask(keyed.port, "GET", path)[1]["content-type"].startswith("text/plain")

    def test_connections_elsewhere_are_told_where_they_are(self, keyed: Node) -> None:
        answer = ask(keyed.port, "GET", "/chat", Upgrade="websocket", Connection="Upgrade")
        status, _, body = answer
        assert (status, body) == (404, b"connections are at /ws and /sse\n")


def metric_lines(node: Node, prefix: str) -> list[str]:
    _, _, text = ask(node.api_port, "GET", "/metrics", Authorization=f"Bearer {KEY}")
    return [line for line in text.decode().splitlines() if line.startswith(prefix)]


class TestWithoutAKey:
    def test_only_the_page_is_there_also_for_this_machine(self, node: Node) -> None:
        assert ask(node.port, "GET", "/")[0] == 200
        for path in ("/v1/rooms", "/metrics", "/console", "/docs", "/openapi.json"):
            status, _, body = ask(node.port, "GET", path)
            assert (status, b"without an api.key" in body) == (404, True), path
        for path in ("/v1/rooms", "/metrics", "/docs", "/openapi.json"):
            assert ask(node.api_port, "GET", path)[0] == 200, path


def test_while_the_api_is_down_it_is_said_and_its_next_life_is_found(tmp_path: Path) -> None:
    with Node(tmp_path, api_key=KEY) as node:
        assert ask(node.port, "GET", "/")[0] == 200
        [pid] = node.pids("api")
        os.kill(node.pid, signal.SIGSTOP)  # nobody begins its next life meanwhile
        try:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not lives(pid), "its death")
            status, headers, _ = ask(node.port, "GET", "/")
            assert status == 503
            assert int(headers["retry-after"]) > 0
            assert ask(node.port, "GET", "/healthz")[0] == 200
        finally:
            os.kill(node.pid, signal.SIGCONT)
        until(lambda: ask(node.port, "GET", "/")[0] == 200, "the next life")
        assert metric(node, "requests_refused_total") >= 1


def test_an_api_that_stands_still_holds_up_no_viewer(tmp_path: Path) -> None:
    with Node(tmp_path, server_shards=1) as node:
        [pid] = node.pids("api")
        os.kill(pid, signal.SIGSTOP)
        with ExitStack() as opened:
            waiting = [connection(node.port) for _ in range(3)]
            for one in waiting:
                opened.callback(one.close)
            try:
                for one in waiting:
                    one.request("GET", "/")
                assert ask(node.port, "GET", "/healthz")[0] == 200
            finally:
                os.kill(pid, signal.SIGCONT)
            for one in waiting:
                assert one.getresponse().status == 200
