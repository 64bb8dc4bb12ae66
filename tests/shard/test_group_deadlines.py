"""Deadlines of a group, with time passed in: handshake, heartbeat, closing, and who visits them."""

import select

import pytest

from shard import deadlines as module
from shard.closecodes import CloseCode
from shard.counters import Count
from shard.frames import BINARY, CLOSE, PING, PONG, TEXT, encode
from tests.shard.descriptors import no_holes_below
from tests.shard.rig import Client, Rig
from tests.shard.wire import REQUEST, client_frame, close_frame


class TestHandshakeDeadline:
    def test_a_silent_connection_is_told_and_closed(self) -> None:
        with Rig(handshake_ticks=3) as rig:
            client = rig.connect()
            rig.run_until(lambda: rig.counts[Count.ACCEPTED])
            rig.advance(3)
            assert rig.counts[Count.REFUSED_HANDSHAKE_TIMEOUT] == 0
            rig.advance()
            rig.run_until(lambda: client.ended)
            assert client.status == 408
            assert rig.counts[Count.REFUSED_HANDSHAKE_TIMEOUT] == 1
            assert rig.handler.closed == []
            assert rig.group.connections == 0

    def test_sending_a_byte_a_second_does_not_prolong_it(self) -> None:
        with Rig(handshake_ticks=3) as rig:
            client = rig.connect()
            for i in range(4):
                rig.say(client, REQUEST[i : i + 1])
                rig.advance()
            rig.run_until(lambda: client.ended)
            assert client.status == 408

    def test_being_let_in_ends_it(self) -> None:
        with Rig(handshake_ticks=3, ping_ticks=50) as rig:
            client = rig.open()
            rig.advance(10)
            assert rig.group.is_open(client.fd)
            assert rig.counts[Count.REFUSED_HANDSHAKE_TIMEOUT] == 0

    def test_one_that_came_whole_while_we_slept_is_answered(self) -> None:
        with Rig(handshake_ticks=3) as rig:
            client = rig.connect()
            rig.run_until(lambda: rig.counts[Count.ACCEPTED])
            client.send(REQUEST)
            rig.tick += 60
            rig.group.advance(rig.tick)
            rig.run_until(lambda: client.status)
            assert client.status == 101


class TestHeartbeat:
    def test_a_silent_client_is_pinged_and_then_closed(self) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5) as rig:
            client = rig.open()
            rig.advance(9)
            assert rig.counts[Count.PINGS] == 0
            rig.advance()
            rig.run_until(lambda: client.messages)
            assert client.messages == [(PING, b"")]
            rig.advance(4)
            assert rig.handler.closed == []
            rig.advance()
            rig.run_until(lambda: client.close_code)
            assert client.close_code == 4003
            assert rig.handler.closed == [(client.fd, 4003)]
            assert rig.counts[Count.CLOSED_HEARTBEAT] == rig.counts[Count.PINGS] == 1

    def test_nobody_who_answers_is_closed_because_we_slept(self) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5) as rig:
            clients = []
            for _ in range(13):
                clients.append(rig.open())
                rig.advance()
            asked = [len(client.messages) for client in clients]
            assert 0 < sum(asked) < len(clients), "some had been asked, some not"
            rig.tick += 60  # the process was stopped
            rig.group.advance(rig.tick)
            for _ in range(40):
                rig.settle()
                for client in clients:
                    seen = len(client.messages)
                    if seen > asked[clients.index(client)]:
                        asked[clients.index(client)] = seen
                        client.send(client_frame(PONG))
                rig.settle()
                rig.advance()
            assert rig.handler.closed == []
            assert min(asked) > 1

    def test_who_does_not_answer_then_either_is_closed(self) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5) as rig:
            client = rig.open()
            rig.advance(12)
            rig.tick += 60
            rig.group.advance(rig.tick)
            rig.settle()
            assert rig.counts[Count.PINGS] == 2
            rig.advance(4)
            assert rig.handler.closed == []
            rig.advance()
            assert rig.handler.closed == [(client.fd, 4003)]

    @pytest.mark.parametrize(
        "data", [client_frame(PONG), client_frame(TEXT, b"hi"), client_frame(TEXT, b"hi")[:1]]
    )
    def test_any_byte_keeps_a_client_alive(self, data: bytes) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5) as rig:
            client = rig.open()
            for beat in range(1, 4):
                rig.advance(10)
                assert rig.counts[Count.PINGS] == beat
                rig.say(client, data if beat < 3 else b"")
            rig.advance(4)
            assert rig.handler.closed == []
            rig.advance()
            assert rig.handler.closed == [(client.fd, 4003)]

    def test_a_client_that_talks_is_not_pinged(self) -> None:
        with Rig(ping_ticks=4, timeout_ticks=2) as rig:
            client = rig.open()
            for _ in range(20):
                rig.advance(3)
                rig.say(client, client_frame(TEXT, b"hi"))
            assert rig.counts[Count.PINGS] == 0
            assert len(rig.handler.messages) == 20

    def test_an_answered_ping_never_closes_however_long_the_timeout(self) -> None:
        with Rig(ping_ticks=5, timeout_ticks=20) as rig:
            client = rig.open()
            rig.advance(6)
            rig.say(client, client_frame(PONG))
            rig.advance(19)
            assert rig.handler.closed == []
            assert rig.counts[Count.PINGS] == 2
            rig.advance(19)
            assert rig.handler.closed == []
            rig.advance()
            assert rig.handler.closed == [(client.fd, 4003)]

    def test_deadlines_longer_than_the_wheel_are_kept(self) -> None:
        with Rig(ping_ticks=300, timeout_ticks=200) as rig:
            client = rig.open()
            rig.advance(299)
            assert rig.counts[Count.PINGS] == 0
            rig.advance()
            assert rig.counts[Count.PINGS] == 1
            rig.advance(199)
            assert rig.handler.closed == []
            rig.advance(128)
            assert rig.handler.closed == [(client.fd, 4003)]

    def test_those_who_came_together_are_not_pinged_together(self) -> None:
        with Rig(ping_ticks=10, timeout_ticks=5) as rig:
            clients = []
            for rig.chance.value in (0.0, 0.5, 0.99):
                clients.append(rig.open())
            beats = [[], [], []]  # type: list[list[int]]
            for tick in range(1, 31):
                rig.advance()
                rig.run_until(
                    lambda: sum(len(c.messages) for c in clients) == rig.counts[Count.PINGS]
                )
                for client, seen in zip(clients, beats, strict=True):
                    if len(client.messages) > len(seen):
                        seen.append(tick)
                        rig.say(client, client_frame(PONG))
            assert beats == [[10, 20, 30], [8, 18, 28], [6, 16, 26]]


class TestClosingDeadline:
    def test_a_peer_that_does_not_answer_our_close_is_cut_off(self) -> None:
        with Rig(close_ticks=3) as rig:
            client = rig.open()
            rig.group.close(client.fd, CloseCode.NORMAL)
            rig.advance(2)
            assert not client.ended
            assert rig.group.connections == 1
            rig.advance()
            rig.run_until(lambda: client.ended)
            assert client.close_code == 1000
            assert rig.handler.closed == [(client.fd, 1000)]

    def test_talking_on_does_not_prolong_it(self) -> None:
        with Rig(close_ticks=3, ping_ticks=10) as rig:
            client = rig.open()
            rig.group.close(client.fd, CloseCode.NORMAL)
            for _ in range(3):
                rig.say(client, client_frame(TEXT, b"but"))
                rig.advance()
            rig.run_until(lambda: client.ended)
            assert rig.handler.messages == []


class TestBounds:
    def test_many_deadlines_at_once_are_met_over_several_turns(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_VISITS", 2)
        with Rig(ping_ticks=5, timeout_ticks=5) as rig:
            clients = [rig.open() for _ in range(7)]
            for _ in range(4):
                rig.advance()
            rig.tick += 1
            rig.group.advance(rig.tick)
            assert 0 < rig.counts[Count.PINGS] <= 2
            rig.settle()
            assert rig.counts[Count.PINGS] == 7
            rig.run_until(lambda: all(client.messages == [(PING, b"")] for client in clients))

    def test_ticks_that_were_missed_are_caught_up(self) -> None:
        with Rig(ping_ticks=5, timeout_ticks=5, close_ticks=5) as rig:
            client = rig.open()
            rig.tick += 100
            rig.group.advance(rig.tick)
            rig.run_until(lambda: client.messages == [(PING, b"")])
            rig.advance(5)
            rig.run_until(lambda: client.close_code == 4003)

    def test_a_connection_is_visited_once_a_period_whatever_it_sends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        visits = []
        visit = module.Deadlines._visit

        def counting(deadlines: module.Deadlines, fd: int) -> module.Due | None:
            visits.append(fd)
            return visit(deadlines, fd)

        monkeypatch.setattr(module.Deadlines, "_visit", counting)
        with Rig(ping_ticks=10, timeout_ticks=10) as rig:
            client = rig.open()
            for _ in range(100):
                rig.say(client, client_frame(TEXT, b"hi") * 3)
                rig.advance()
            assert 0 < len(visits) <= 11

    def test_the_handler_hears_of_every_tick(self) -> None:
        with Rig() as rig:
            rig.advance(3)
            assert rig.handler.ticks == [1001, 1002, 1003]


class TestQuarantine:
    def end(self, rig: Rig, client: Client) -> None:
        client.send(close_frame(1000))
        rig.run_until(lambda: client.ended)
        assert client.messages == [(CLOSE, b"\x03\xe8")]

    def test_a_closed_connections_number_is_not_reused_within_a_tick(self) -> None:
        with Rig() as rig:
            client = rig.open()
            handle = rig.group.handle(client.fd)
            assert rig.group.alive(handle)
            self.end(rig, client)
            assert not rig.group.alive(handle)
            rig.advance()
            assert rig.counts[Count.QUARANTINED] == 1
            assert rig.open().fd != client.fd
            rig.advance()
            assert rig.counts[Count.QUARANTINED] == 0
            assert not rig.group.alive(handle)

    def test_one_that_ends_between_turns_is_forgotten_before_its_number_is_free(self) -> None:
        with Rig() as rig:
            client, other = rig.open(), rig.open()
            client.vanish()
            select.select([client.fd], [], [], 10)
            rig.group.send(client.fd, encode(BINARY, b"too late"))
            rig.tick += 2
            rig.group.advance(rig.tick)  # before the turn that was asked for
            assert rig.handler.closed == [(client.fd, 1006)]
            assert rig.group.connections == 1
            other.send(client_frame(BINARY, b"served"))
            rig.run_until(lambda: rig.handler.payloads == [b"served"])

    def test_a_descriptors_next_connection_is_another(self) -> None:
        with Rig() as rig:
            first = rig.open()
            handle = rig.group.handle(first.fd)
            self.end(rig, first)
            rig.advance()
            with no_holes_below(first.fd):
                client = rig.connect()
                rig.advance()
            client.send(REQUEST)
            rig.run_until(lambda: client.status)
            assert rig.handler.opened == [first.fd, first.fd]
            assert rig.group.is_open(first.fd)
            assert not rig.group.alive(handle)
