"""A group that passes on what is for no path of its own, and lets go of it."""

import os
from pathlib import Path
from typing import Any

import pytest

from shard.counters import Count
from tests.shard.rig import Rig
from tests.shard.test_passing import Taker
from tests.shard.wire import REQUEST

GET = b"GET /page?a=b HTTP/1.1\r\nHost: a\r\n\r\n"
PROXY = "127.0.0.9"


def closes(rig: Rig, closed: int) -> None:
    """Turn until so many have ended."""
    rig.run_until(lambda: rig.counts[Count.CLOSED] == closed)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pass.sock"


def test_a_request_goes_whole_and_what_follows_it_is_not_read_here(path: Path) -> None:
    taker = Taker(path)
    with Rig(pass_to=str(path)) as rig:
        client = rig.connect()
        for piece in (GET[:9], GET[9:-1]):
            rig.say(client, piece)
            assert rig.counts[Count.PASSED] == 0
        rig.say(client, GET[-1:] + b"and a body")
        closes(rig, 1)
        data, taken = taker.take()
        assert data == b"127.0.0.1\n" + GET + b"and a body"
        client.send(b"more of it")
        rig.advance(3)
        with taken:
            taken.settimeout(20)
            assert taken.recv(64) == b"more of it"
            assert not client.ended
            taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        rig.run_until(lambda: client.ended)
        assert client.status == 200
        assert rig.counts[Count.PASSED] == rig.counts[Count.ACCEPTED] == 1
        assert rig.counts[Count.REFUSED_HANDSHAKE] == rig.group.connections == 0
        assert rig.serves_others()
    taker.die()


def test_the_end_is_the_others_to_make_at_once(path: Path) -> None:
    taker = Taker(path)
    with Rig(pass_to=str(path)) as rig:
        client = rig.connect()
        client.send(GET)
        closes(rig, 1)
        taker.take()[1].close()
        rig.run_until(lambda: client.ended)  # no time has passed: the descriptor is held yet
    taker.die()


def test_its_number_is_held_as_long_as_any_others(path: Path) -> None:
    taker = Taker(path)
    with Rig(pass_to=str(path)) as rig:
        before = len(os.listdir("/proc/self/fd"))
        client = rig.connect()
        client.send(GET)
        closes(rig, 1)
        taker.take()[1].close()
        rig.advance(2)
        rig.clients.remove(client)
        client.close()
        # The way there is kept, at both ends.
        assert len(os.listdir("/proc/self/fd")) == before + 2
    taker.die()


def test_where_nobody_takes_it_a_client_is_told_and_it_is_counted(path: Path) -> None:
    with Rig(pass_to=str(path)) as rig:
        client = rig.connect()
        client.send(GET)
        rig.run_until(lambda: client.ended)
        assert client.status == 503
        assert b"\r\nRetry-After: " in client.received
        assert rig.counts[Count.REFUSED_PASS_DOWN] == 1
        assert rig.counts[Count.REFUSED_HANDSHAKE] == rig.counts[Count.PASSED] == 0
        assert rig.serves_others()


def test_too_many_that_wait_are_told_and_counted(path: Path) -> None:
    taker = Taker(path)
    with Rig(pass_to=str(path)) as rig:
        while not rig.counts[Count.REFUSED_PASS_FULL]:
            client = rig.connect()
            client.send(GET)
            closed = rig.counts[Count.CLOSED] + 1
            closes(rig, closed)
            assert closed < 3_000
        rig.run_until(lambda: client.ended)
        assert client.status == 503
        assert rig.serves_others()
    taker.die()


def test_a_connection_is_never_passed(path: Path) -> None:
    taker = Taker(path)
    with Rig(pass_to=str(path)) as rig:
        client = rig.connect()
        client.send(REQUEST.replace(b"/ws", b"/other"))
        rig.run_until(lambda: client.ended)
        assert client.status == 404
        assert rig.open().status == 101
        assert rig.counts[Count.PASSED] == 0
    taker.die()


def test_who_never_ends_a_head_is_not_passed_but_late(path: Path) -> None:
    taker = Taker(path)
    with Rig(pass_to=str(path), handshake_ticks=2) as rig:
        client = rig.connect()
        rig.say(client, GET[:-1])
        rig.advance(4)
        assert client.status == 408
        assert rig.counts[Count.PASSED] == 0
    taker.die()


def test_a_head_beyond_the_limit_is_refused_and_one_at_the_limit_passed(path: Path) -> None:
    taker = Taker(path)
    with Rig(pass_to=str(path), handshake_bytes=16_384) as rig:
        most = 16_384 - len(GET) + 4 - len(b"X: \r\n")
        for more, passed in ((most, 1), (most + 1, 1)):
            client = rig.connect()
            client.send(GET[:-2] + b"X: " + b"y" * more + b"\r\n\r\n" + b"z" * 5_000)
            closed = rig.counts[Count.CLOSED] + 1
            closes(rig, closed)
            assert rig.counts[Count.PASSED] == passed
        rig.run_until(lambda: client.ended)
        assert client.status == 431
        data, taken = taker.take()
        with taken:
            taken.settimeout(20)
            while not data.endswith(b"z" * 5_000):
                data += taken.recv(65_536)
        assert b"X: " + b"y" * most + b"\r\n" in data
    taker.die()


@pytest.mark.parametrize(
    ("source", "request_", "passed"),
    [
        ("x-forwarded-for", GET[:-2] + b"X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n\r\n", None),
        ("proxy-protocol", b"PROXY TCP4 1.2.3.4 10.0.0.1 5 80\r\n" + GET, GET),
    ],
    ids=["header", "protocol"],
)
def test_the_address_that_was_found_goes_along(
    path: Path, source: str, request_: bytes, passed: bytes | None
) -> None:
    taker = Taker(path)
    limits: dict[str, Any] = {
        "client_address": source,
        "trusted_proxies": (PROXY,),
        "connections_per_address": 1,
    }
    with Rig(pass_to=str(path), **limits) as rig:
        client = rig.connect(source=PROXY)
        client.send(request_)
        rig.run_until(lambda: rig.counts[Count.PASSED])
        data, taken = taker.take()
        assert data == b"1.2.3.4\n" + (passed or request_)
        taken.close()
        again = rig.connect(source=PROXY)
        again.send(request_)
        rig.run_until(lambda: rig.counts[Count.PASSED] == 2)  # it is not counted here any more
        taker.take()[1].close()
    taker.die()


def test_without_another_process_it_is_not_found() -> None:
    with Rig() as rig:
        client = rig.connect()
        client.send(GET)
        rig.run_until(lambda: client.ended)
        assert client.status == 404
        assert rig.counts[Count.REFUSED_HANDSHAKE] == 1


def test_a_client_that_has_gone_is_passed_all_the_same(path: Path) -> None:
    taker = Taker(path)
    with Rig(pass_to=str(path)) as rig:
        client = rig.connect()
        client.send(GET)
        client.vanish()
        closes(rig, 1)
        assert rig.serves_others()
    taker.die()
