"""A node behind a proxy: whose connections it counts is what the proxy says, and nobody else."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from bench.local import Node

PROXY, STRANGER = "127.0.0.9", "127.0.0.7"
REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{}\r\n"
)


def by_header(client: str) -> str:
    return REQUEST.format(f"X-Forwarded-For: {client}\r\n")


def by_protocol(client: str) -> str:
    kind, proxy = ("TCP6", "::1") if ":" in client else ("TCP4", "10.0.0.1")
    return f"PROXY {kind} {client} {proxy} 5000 80\r\n" + REQUEST.format("")


@pytest.mark.parametrize(
    ("source", "passed_on", "from_stranger"),
    [("x-forwarded-for", by_header, 101), ("proxy-protocol", by_protocol, 400)],
    ids=["header", "protocol"],
)
def test_each_client_of_a_trusted_proxy_counts_for_itself(
    tmp_path: Path, source: str, passed_on: Callable[[str], str], from_stranger: int
) -> None:
    settings = {
        "server_shards": 1,
        "server_client_address": source,
        "server_trusted_proxies": f'["{PROXY}"]',
        "limits_connections_per_address": 1,
    }
    with Node(tmp_path, **settings) as node:
        open_ = [connect(node, PROXY, passed_on(client)) for client in ("1.1.1.1", "2.2.2.2")]
        assert [status(one) for one in open_] == [101, 101]
        again = connect(node, PROXY, passed_on("1.1.1.1"))
        assert status(again) == 429
        stranger = connect(node, STRANGER, passed_on("3.3.3.3"))
        assert status(stranger) == from_stranger
        for one in [*open_, again, stranger]:
            one.close()


def connect(node: Node, address: str, said: str) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", node.port), 10, (address, 0))
    made.sendall(said.encode())
    return made


def status(connection: socket.socket) -> int:
    return int(connection.recv(4096).split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("source", "passed_on"),
    [("x-forwarded-for", by_header), ("proxy-protocol", by_protocol)],
    ids=["header", "protocol"],
)
def test_a_banned_address_is_that_of_who_is_behind_the_proxy(
    tmp_path: Path, source: str, passed_on: Callable[[str], str]
) -> None:
    settings = {
        "server_client_address": source,
        "server_trusted_proxies": f'["{PROXY}"]',
        "limits_connections_per_address": 10,
    }

    def enter(client: str) -> socket.socket:
        return connect(node, PROXY, passed_on(client))

    def ban(address: str, method: str = "PUT") -> None:
        path = f"/v1/bans/addresses/{quote(address, safe='')}"
        assert node.request(method, path)[0] == 200

    with Node(tmp_path, **settings) as node:
        one, mapped, two = enter("1.1.1.1"), enter("::ffff:1.1.1.1"), enter("2.2.7.2")
        six, other = enter("2001:db8:7::1"), enter("3.3.3.3")
        for each in (one, mapped, two, six, other):
            assert heard(each, WELCOME) == WELCOME
        for address, gone in (("1.1.1.1", (one, mapped)), ("2.2.0.0/16", (two,))):
            ban(address)
            for each in gone:
                assert heard(each, BANNED) == BANNED
        ban("2001:db8::/32")
        assert heard(six, BANNED) == BANNED
        ban(PROXY)
        for client, sign in (
            *(("1.1.1.1", BANNED), ("2.2.3.4", BANNED), ("2001:db8::9", BANNED)),
            *(("3.3.3.3", WELCOME), ("1.1.1.2", WELCOME)),
        ):
            with enter(client) as came:
                assert heard(came, WELCOME, BANNED) == sign
        ban("1.1.1.1", "DELETE")
        deadline = time.monotonic() + 15
        sign = BANNED
        while sign == BANNED and time.monotonic() < deadline:  # until each shard has heard of it
            with enter("1.1.1.1") as came:
                sign = heard(came, WELCOME, BANNED)
        assert sign == WELCOME
        other.sendall(b"\x89\x80\x00\x00\x00\x00")
        assert heard(other, PONG, BANNED) == PONG
        for each in (one, mapped, two, six, other):
            each.close()


WELCOME, BANNED, PONG = b'"welcome"', (4504).to_bytes(2), b"\x8a\x00"


def heard(connection: socket.socket, *signs: bytes) -> bytes:
    """Which of these comes first."""
    received = b""
    while True:
        data = connection.recv(4096)
        received += data
        for sign in signs:
            if sign in received:
                return sign
        assert data, received
