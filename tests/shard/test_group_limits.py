"""What a group does at the limits of its process: full, out of descriptors, and never collected."""

import errno
import gc
import os
import select
from typing import Any

import pytest

from shard import accepting
from shard.counters import Count
from shard.frames import BINARY, CONT, PING, TEXT, encode
from tests.shard.descriptors import descriptors_exhausted
from tests.shard.rig import Rig
from tests.shard.wire import REQUEST, client_frame, close_frame


class Unwilling:
    """An epoll that has no room for another descriptor (fs.epoll.max_user_watches)."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self.willing = False

    def register(self, fd: int, mask: int) -> None:
        if not self.willing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._epoll.register(fd, mask)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


class TestFull:
    def test_one_too_many_is_told_to_come_back(self) -> None:
        with Rig(capacity=2) as rig:
            clients = [rig.open(), rig.open()]
            late = rig.connect()
            rig.run_until(lambda: late.ended)
            assert late.status == 503
            assert b"Retry-After: 5\r\n" in late.received
            assert rig.counts[Count.REFUSED_FULL] == 1
            assert rig.counts[Count.ACCEPTED] == 2
            clients[0].send(close_frame(1000))
            rig.run_until(lambda: clients[0].ended)
            assert rig.open()

    def test_an_unfinished_request_gives_its_place_to_who_comes(self) -> None:
        with Rig(capacity=2) as rig:
            silent, slow = rig.connect(), rig.connect()
            rig.run_until(lambda: rig.counts[Count.ACCEPTED] == 2)
            rig.say(slow, REQUEST[:-1])
            early, late = rig.connect(), rig.connect()
            rig.run_until(lambda: early.ended and late.ended)
            assert early.status == late.status == 503, "they may still be quick"
            rig.advance()
            late = rig.connect()
            late.send(REQUEST)
            rig.run_until(lambda: late.status)
            assert late.status == 101
            assert silent.status == 503
            assert slow.status == 503
            assert rig.counts[Count.REFUSED_FULL] == 4
            assert rig.group._deadlines._half_open == {}

    def test_one_that_was_made_and_waits_for_its_turn_is_answered(self) -> None:
        with Rig(capacity=1) as rig:
            client = rig.connect()
            rig.run_until(lambda: rig.counts[Count.ACCEPTED] == 1)
            rig.advance()
            client.send(REQUEST)
            late = rig.connect()
            late.send(REQUEST)
            rig.group._accept()  # before epoll tells of it
            rig.run_until(lambda: client.status and late.status)
            assert (client.status, late.status) == (101, 503)

    def test_no_open_connection_has_to_go_for_it(self) -> None:
        with Rig(capacity=2) as rig:
            client, silent = rig.open(), rig.connect()
            rig.run_until(lambda: rig.counts[Count.ACCEPTED] == 2)
            rig.advance()
            first, second = rig.connect(), rig.connect()
            first.send(REQUEST)
            second.send(REQUEST)
            rig.run_until(lambda: first.status and second.status)
            assert sorted((first.status, second.status)) == [101, 503]
            assert silent.status == 503
            assert rig.group.is_open(client.fd)

    def test_a_descriptor_beyond_the_table_is_turned_away(self) -> None:
        with Rig() as rig:
            late = rig.connect()
            os.close(lowest := os.dup(0))
            rig.group._door._rows = lowest
            rig.run_until(lambda: late.ended)
            assert late.status == 503


class TestAccepting:
    def test_a_burst_is_accepted_over_several_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(accepting, "MAX_ACCEPTS", 3)
        with Rig() as rig:
            clients = [rig.connect() for _ in range(10)]
            while not rig.step():
                pass
            assert rig.counts[Count.ACCEPTED] == 3
            for client in clients:
                client.send(REQUEST)
            rig.run_until(lambda: all(client.status == 101 for client in clients))

    def test_without_descriptors_all_who_come_are_told_to_come_back(self) -> None:
        with Rig() as rig:
            client, late = rig.open(), [rig.connect() for _ in range(9)]
            for one in late:
                one.send(REQUEST)
            with descriptors_exhausted():
                rig.run_until(lambda: all(one.ended for one in late))
                assert {one.status for one in late} == {503}
                assert all(b"Retry-After: 5\r\n" in one.received for one in late)
                client.send(client_frame(TEXT, b"still served"))
                rig.run_until(lambda: rig.handler.messages)
            assert rig.counts[Count.REFUSED_FULL] == 9
            assert rig.counts[Count.ACCEPT_PAUSED] == 0
            assert rig.open()

    def test_without_one_in_reserve_either_it_pauses_until_the_next_tick(self) -> None:
        with Rig() as rig:
            client, late = rig.open(), rig.connect()
            late.send(REQUEST)
            rig.group._door.shut()
            with descriptors_exhausted():
                rig.run_until(lambda: rig.counts[Count.ACCEPT_PAUSED])
                rig.settle()
                assert rig.counts[Count.ACCEPT_PAUSED] == 1
                rig.advance()
                assert rig.counts[Count.ACCEPT_PAUSED] == 2
                client.send(client_frame(TEXT, b"still served"))
                rig.run_until(lambda: rig.handler.messages)
            rig.settle()
            assert late.status == 0
            rig.advance()
            rig.run_until(lambda: late.status == 101)

    def test_one_that_cannot_be_watched_is_turned_away_and_the_others_wait(self) -> None:
        with Rig(connections_per_address=9) as rig:
            watched = rig.open()
            epoll = Unwilling(rig.group._epoll)
            rig.group._epoll = epoll  # type: ignore[assignment]
            first, second = rig.connect(), rig.connect()
            first.send(REQUEST)
            second.send(REQUEST)
            rig.run_until(lambda: first.ended and second.ended)
            assert (first.status, second.status) == (503, 503)
            assert rig.counts[Count.REFUSED_FULL] == 2
            assert rig.counts[Count.ACCEPT_PAUSED] == 1
            watched.send(client_frame(TEXT, b"still served"))
            rig.run_until(lambda: rig.handler.messages)
            late = rig.connect()
            late.send(REQUEST)
            rig.settle()
            assert late.status == 0
            epoll.willing = True
            rig.advance()
            rig.run_until(lambda: late.status == 101)

    def test_without_descriptors_the_quarantine_is_cut_short(self) -> None:
        with Rig() as rig:
            client, late = rig.open(), rig.connect()
            late.send(REQUEST)
            client.send(close_frame(1000))
            rig.group._accepting.pause()
            rig.run_until(lambda: client.ended)
            assert rig.group._table.quarantined == 1
            rig.group._accepting.advance(rig.tick)
            with descriptors_exhausted():
                rig.run_until(lambda: late.status)
            assert late.status == 101
            assert rig.handler.opened == [client.fd, client.fd]
            late.send(close_frame(1000))
            rig.run_until(lambda: late.ended)
            rig.settle()
            assert rig.group._table.quarantined == 1, "only for as long as descriptors lack"


def traffic(rig: Rig) -> None:
    """A bit of all that happens on a good day, and of what clients do wrong."""
    talker, closer, vanisher, wrong, silent = (rig.open() for _ in range(5))
    slow = rig.open(receive_buffer=4_096)
    slow.reading = False
    stranger, refused = rig.connect(), rig.connect()
    refused.send(REQUEST.replace(b"/ws", b"/elsewhere"))
    stranger.send(REQUEST[:20])
    talker.send(client_frame(TEXT, b"hello") + client_frame(PING))
    talker.send(client_frame(BINARY, b"in two", fin=False) + client_frame(CONT, b"parts")[:3])
    rig.settle()
    talker.send(client_frame(CONT, b"parts")[3:])
    for _ in range(30):
        rig.group.fan_out(rig.group.open_connections(), encode(BINARY, b"x" * 2_000))
    closer.send(close_frame(1000))
    wrong.send(b"\x81\x05Hello")
    vanisher.vanish()
    rig.run_until(lambda: closer.ended and wrong.ended and refused.ended)
    for _ in range(40):
        rig.advance()
    rig.run_until(lambda: silent.ended and stranger.ended)
    for client in rig.clients:
        client.close()
    rig.clients.clear()
    rig.settle()
    rig.advance(2)


class TestGarbage:
    def test_traffic_makes_no_reference_cycles(self) -> None:
        with Rig(
            send_buffer=4_096,
            backlog_soft_bytes=20_000,
            ping_ticks=10,
            timeout_ticks=5,
            stall_ticks=5,
        ) as rig:
            traffic(rig)
            before = len(rig.handler.opened)
            gc.collect()
            gc.disable()
            try:
                traffic(rig)
                assert gc.collect() == 0
            finally:
                gc.enable()
            assert len(rig.handler.opened) == before + 6
            assert rig.counts[Count.DROPPED_SLOW] > 0
            assert rig.counts[Count.CLOSED_STALLED] > 0
            assert rig.counts[Count.CLOSED_HEARTBEAT] > 0
            assert rig.counts[Count.CLOSED_PROTOCOL] == 2
