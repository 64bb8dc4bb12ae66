"""A node behind a proxy: whose connections it counts is what the proxy says, and nobody else."""

import socket
from collections.abc import Callable
from pathlib import Path

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
    return f"PROXY TCP4 {client} 10.0.0.1 5000 80\r\n" + REQUEST.format("")


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
