"""What a handler may do with connections, on real sockets; how they end is test_group_closing's."""

import pytest

from pool.handle import Handle
from shard.closecodes import CloseCode
from shard.frames import BINARY, CLOSE, encode
from shard.outbox import Sent
from shard.wires.eventstream import EventStream
from shard.wires.websocket import WebSocket
from shard.wires.wire import Offer
from tests.shard.rig import Rig
from tests.shard.wire import REQUEST, terms


class TestHandles:
    def test_one_is_alive_while_its_connection_is_open(self) -> None:
        with Rig() as rig:
            client = rig.open()
            handle = rig.group.handle(client.fd)
            assert handle == Handle(client.fd, 0)
            assert rig.group.alive(handle)
            rig.group.close(client.fd, CloseCode.NORMAL)
            assert not rig.group.alive(handle)

    def test_one_nobody_ever_had_is_not(self) -> None:
        with Rig() as rig:
            client = rig.open()
            for handle in (
                *(Handle(client.fd, 1), Handle(client.fd + 1, 0), Handle(4_096, 0)),
                Handle(1 << 20, 0),
            ):
                assert not rig.group.has(handle)
            assert rig.group.has(Handle(client.fd, 0))


class TestAddresses:
    def test_a_client_is_who_connected(self) -> None:
        with Rig() as rig:
            client = rig.open()
            assert rig.group.address(client.fd) == "127.0.0.1"

    def test_behind_a_trusted_proxy_it_is_who_that_says(self) -> None:
        with Rig(client_address="x-forwarded-for", trusted_proxies=("127.0.0.1",)) as rig:
            client = rig.open(
                REQUEST.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n")
            )
            assert rig.group.address(client.fd) == "192.0.2.9"
            unnamed = rig.open()
            assert rig.group.address(unnamed.fd) == "127.0.0.1"


class TestVariants:
    def test_a_connection_may_become_another_whose_wire_reads_the_same(self) -> None:
        kinds = terms("a")
        other = WebSocket(ping=b"\x81\x02{}")
        kinds = type(kinds)(
            (Offer("/ws", WebSocket()), Offer("", other), Offer("/sse", EventStream()))
        )
        with Rig(terms=kinds) as rig:
            client = rig.open()
            rig.group.become(client.fd, 1)
            assert rig.group.variant(client.fd) == 1
            with pytest.raises(AssertionError):
                rig.group.become(client.fd, 2)


class TestSending:
    def test_to_one_and_to_many(self) -> None:
        with Rig() as rig:
            clients = [rig.open() for _ in range(3)]
            fds = [client.fd for client in clients]
            assert sorted(rig.group.open_connections()) == sorted(fds)
            assert rig.group.send(fds[0], encode(BINARY, b"one")) is Sent.SENT
            rig.group.fan_out(fds, encode(BINARY, b"all"))
            rig.run_until(lambda: all((BINARY, b"all") in one.messages for one in clients))
            assert not rig.group.fanning_out
            assert clients[0].messages == [(BINARY, b"one"), (BINARY, b"all")]

    def test_not_to_one_that_is_closing(self) -> None:
        with Rig() as rig:
            client = rig.open()
            rig.group.close(client.fd, CloseCode.RESTART, "later")
            rig.group.close(client.fd, CloseCode.NORMAL)
            assert rig.group.send(client.fd, encode(BINARY, b"late")) is Sent.DROPPED
            assert not rig.group.is_open(client.fd)
            rig.run_until(lambda: client.messages == [(CLOSE, b"\x0f\xa0later")])
