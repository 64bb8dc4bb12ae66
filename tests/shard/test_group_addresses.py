"""Whose connections they are: proxies that are trusted, those that are not, and how many each."""

import socket
import struct
from typing import Any

import pytest

from shard.counters import Count
from shard.frames import TEXT
from tests.shard.rig import Client, Rig
from tests.shard.wire import REQUEST, client_frame

PROXY, OTHER_PROXY, STRANGER = "127.0.0.9", "127.0.0.8", "127.0.0.7"


def line(client: str) -> bytes:
    """A PROXY header, version 1."""
    return f"PROXY TCP4 {client} 10.0.0.1 5000 80\r\n".encode()


def binary(client: str) -> bytes:
    """A PROXY header, version 2, with a TLV behind the addresses."""
    block = socket.inet_aton(client) + bytes((10, 0, 0, 1)) + struct.pack("!HH", 5000, 80)
    tlv = b"\x04\x00\x02hi"
    length = struct.pack("!H", len(block + tlv))
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + length + block + tlv


LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"


def forwarded(by: str) -> bytes:
    """An upgrade request that was passed on."""
    return REQUEST.replace(b"\r\n\r\n", f"\r\nX-Forwarded-For: {by}\r\n\r\n".encode())


def status(rig: Rig, source: str, data: bytes) -> int:
    """What a connection from `source` that says `data` is answered."""
    client = rig.connect(source=source)
    client.send(data)
    rig.run_until(lambda: client.status or client.ended)
    return client.status


class TestDirectConnections:
    def test_an_address_has_so_many_connections_and_no_more(self) -> None:
        with Rig(connections_per_address=2) as rig:
            assert [status(rig, STRANGER, REQUEST) for _ in range(4)] == [101, 101, 429, 429]
            assert rig.counts[Count.REFUSED_PER_ADDRESS] == 2
            assert b"Retry-After: 30\r\n" in rig.clients[-1].received
            assert status(rig, OTHER_PROXY, REQUEST) == 101

    def test_unfinished_handshakes_count(self) -> None:
        with Rig(connections_per_address=1) as rig:
            rig.connect(source=STRANGER)
            assert status(rig, STRANGER, REQUEST) == 429

    def test_who_leaves_makes_room(self) -> None:
        with Rig(connections_per_address=1) as rig:
            assert status(rig, STRANGER, REQUEST) == 101
            rig.clients[-1].vanish()
            rig.run_until(lambda: rig.handler.closed)
            assert status(rig, STRANGER, REQUEST) == 101

    def test_a_refused_request_makes_room(self) -> None:
        with Rig(connections_per_address=1) as rig:
            assert status(rig, STRANGER, b"GET /nothing HTTP/1.1\r\n\r\n") == 404
            assert status(rig, STRANGER, REQUEST) == 101

    @pytest.mark.parametrize("data", [line("1.2.3.4") + REQUEST, binary("1.2.3.4") + REQUEST])
    def test_a_proxy_header_is_no_request(self, data: bytes) -> None:
        with Rig() as rig:
            assert status(rig, PROXY, data) == 400

    def test_a_forwarded_address_is_only_a_header(self) -> None:
        with Rig(connections_per_address=1) as rig:
            assert status(rig, STRANGER, forwarded("1.1.1.1")) == 101
            assert status(rig, STRANGER, forwarded("2.2.2.2")) == 429


class TestProxyProtocol:
    def rig(self, **limits: Any) -> Rig:
        return Rig(client_address="proxy-protocol", trusted_proxies=(PROXY,), **limits)

    @pytest.mark.parametrize("header", [line("1.2.3.4"), binary("1.2.3.4"), LOCAL])
    def test_a_trusted_proxy_hands_a_client_on(self, header: bytes) -> None:
        with self.rig() as rig:
            assert status(rig, PROXY, header + REQUEST) == 101
            rig.clients[-1].send(client_frame(TEXT, b"hello"))
            rig.run_until(lambda: rig.handler.payloads == [b"hello"])

    @pytest.mark.parametrize("header", [line("1.2.3.4"), binary("1.2.3.4")])
    def test_it_may_come_byte_by_byte(self, header: bytes) -> None:
        with self.rig() as rig:
            client: Client = rig.connect(source=PROXY)
            for byte in header + REQUEST:
                rig.say(client, bytes((byte,)))
            rig.run_until(lambda: client.status)
            assert client.status == 101

    def test_its_clients_are_counted_apart(self) -> None:
        with self.rig(connections_per_address=1) as rig:
            said = [line("1.1.1.1"), line("2.2.2.2"), binary("1.1.1.1")]
            assert [status(rig, PROXY, header + REQUEST) for header in said] == [101, 101, 429]
            assert rig.counts[Count.REFUSED_PER_ADDRESS] == 1
            assert rig.counts[Count.REFUSED_HANDSHAKE] == 0

    @pytest.mark.parametrize("data", [REQUEST, b"\r\n\r\n\0\r\nQUIT\n\x31", b"PROXY TCP5 "])
    def test_a_trusted_proxy_without_a_header_is_refused(self, data: bytes) -> None:
        with self.rig() as rig:
            assert status(rig, PROXY, data) == 400
            assert rig.counts[Count.REFUSED_HANDSHAKE] == 1

    def test_a_strangers_header_is_no_request(self) -> None:
        with self.rig() as rig:
            assert status(rig, STRANGER, line("1.2.3.4") + REQUEST) == 400

    def test_a_stranger_without_a_header_is_its_own_address(self) -> None:
        with self.rig(connections_per_address=1) as rig:
            assert [status(rig, STRANGER, REQUEST) for _ in range(2)] == [101, 429]

    def test_a_proxy_that_leaves_in_the_middle_of_its_header_is_forgotten(self) -> None:
        with self.rig(connections_per_address=1) as rig:
            client = rig.connect(source=PROXY)
            rig.say(client, line("1.1.1.1")[:20])
            client.vanish()
            rig.run_until(lambda: rig.counts[Count.CLOSED])


class TestForwardedFor:
    def rig(self, **limits: Any) -> Rig:
        trusted = (PROXY, OTHER_PROXY)
        return Rig(client_address="x-forwarded-for", trusted_proxies=trusted, **limits)

    def test_the_clients_of_a_trusted_proxy_are_counted_apart(self) -> None:
        with self.rig(connections_per_address=1) as rig:
            chains = ["1.1.1.1", "2.2.2.2", f"9.9.9.9, 1.1.1.1, {OTHER_PROXY}"]
            assert [status(rig, PROXY, forwarded(by)) for by in chains] == [101, 101, 429]
            assert rig.counts[Count.REFUSED_PER_ADDRESS] == 1

    def test_a_stranger_cannot_pass_for_another(self) -> None:
        with self.rig(connections_per_address=1) as rig:
            said = [forwarded("1.1.1.1"), forwarded("2.2.2.2")]
            assert [status(rig, STRANGER, data) for data in said] == [101, 429]

    def test_a_proxy_that_says_nothing_is_the_client(self) -> None:
        with self.rig(connections_per_address=1) as rig:
            assert [status(rig, PROXY, REQUEST) for _ in range(2)] == [101, 429]

    def test_health_checks_of_a_proxy_are_answered(self) -> None:
        with self.rig() as rig:
            assert status(rig, PROXY, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") == 200
