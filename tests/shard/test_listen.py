"""Listening sockets and the limit of open files."""

import ipaddress
import resource
import socket

import pytest

from shard.listen import MOST_ROWS, listen, own_address, raise_descriptor_limit
from tests.shard.descriptors import open_descriptors


def test_what_others_call_this_machine_is_an_address_or_nothing() -> None:
    found = own_address()
    assert not found or not ipaddress.IPv4Address(found).is_unspecified


class TestListening:
    def test_port_0_is_a_free_one(self) -> None:
        with listen("127.0.0.1", 0, backlog=16, send_buffer=8192) as listener:
            assert listener.getsockname()[1] > 0

    def test_connections_inherit_no_delay_and_a_short_send_buffer(self) -> None:
        listener = listen("127.0.0.1", 0, backlog=16, send_buffer=8192)
        with listener, socket.create_connection(listener.getsockname()):
            assert not listener.getblocking()
            listener.settimeout(20)
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                # The kernel doubles what it is asked for, to pay for its own bookkeeping.
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 8192

    def test_connections_inherit_when_a_silent_peer_is_dead(self) -> None:
        listener = listen("127.0.0.1", 0, backlog=16, send_buffer=8192, dead_after_s=50)
        with listener, socket.create_connection(listener.getsockname()):
            listener.settimeout(20)
            accepted, _ = listener.accept()
            with accepted:
                timeout_ms = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert timeout_ms == 50_000

    def test_a_burst_waits_in_the_queue_that_was_asked_for(self) -> None:
        listener = listen("127.0.0.1", 0, backlog=50, send_buffer=8192)
        clients = [socket.create_connection(listener.getsockname(), 20) for _ in range(50)]
        for one in (listener, *clients):
            one.close()

    def test_an_ipv6_host_gets_an_ipv6_socket(self) -> None:
        listener = listen("::1", 0, backlog=16, send_buffer=8192)
        with listener:
            assert listener.family == socket.AF_INET6

    def test_a_port_in_use_is_an_error_that_leaves_nothing_open(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            before = open_descriptors()
            with pytest.raises(OSError, match="in use"):
                listen("127.0.0.1", other.getsockname()[1], backlog=16, send_buffer=8192)
            assert open_descriptors() == before

    @pytest.mark.parametrize(
        ("host", "said"),
        [("203.0.113.7", "203.0.113.7:80: "), ("2001:db8::7", "[2001:db8::7]:80: ")],
    )
    def test_an_address_that_is_not_ours_is_named(self, host: str, said: str) -> None:
        with pytest.raises(OSError, match="assign requested address") as error:
            listen(host, 80, backlog=16, send_buffer=8192)
        assert error.value.strerror is not None
        assert error.value.strerror.startswith(said)

    def test_a_second_node_does_not_slip_in_beside_the_first(self) -> None:
        first = listen("127.0.0.1", 0, backlog=16, send_buffer=8192)
        with first:
            host, port = first.getsockname()
            with pytest.raises(OSError, match=f"{host}:{port}: Address already in use"):
                listen(host, port, backlog=16, send_buffer=8192)


class TestDescriptorLimit:
    def test_the_soft_limit_becomes_the_hard_one(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
            limit = raise_descriptor_limit()
            assert limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            assert limit == MOST_ROWS if hard == resource.RLIM_INFINITY else min(hard, MOST_ROWS)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
