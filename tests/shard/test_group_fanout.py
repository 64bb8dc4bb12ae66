"""Fan-outs of a group on real sockets: slow readers, slices, order, and descriptors that end."""

import os
from collections.abc import Callable, Iterator

import pytest

from pool.table import FREE
from shard import outbox
from shard.backlog import Keep
from shard.closecodes import CloseCode
from shard.counters import Count
from shard.frames import BINARY, CLOSE, TEXT, encode
from shard.phases import HANDSHAKE, QUARANTINED
from tests.shard.descriptors import no_holes_below
from tests.shard.rig import Client, Recorder, Rig
from tests.shard.wire import REQUEST, client_frame, close_frame

SOFT, HARD = 20_000, 40_000


def frame(number: int, size: int = 1_000) -> bytes:
    return encode(BINARY, b"%06d" % number + b"." * (size - 6))


def numbers(client: Client) -> list[int]:
    return [int(payload[:6]) for opcode, payload in client.messages if opcode == BINARY]


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Little room in the kernel, small limits, short deadlines."""
    with Rig(
        send_buffer=4_096,
        backlog_soft_bytes=SOFT,
        backlog_hard_bytes=HARD,
        stall_ticks=3,
        close_ticks=5,
        ping_ticks=100,
    ) as rig:
        yield rig


def slow_client(rig: Rig) -> Client:
    """A client that does not read."""
    client = rig.open(receive_buffer=4_096)
    client.reading = False
    return client


def fan_out_until(
    rig: Rig, clients: list[Client], condition: Callable[[], object], *, keep: Keep
) -> int:
    """Send numbered frames until `condition` holds; how many."""
    fds = [client.fd for client in clients]
    for number in range(10_000):
        if condition():
            return number
        rig.group.fan_out(fds, frame(number), keep)
        rig.settle()
    raise AssertionError("it never came to that")


class TestSlowReaders:
    def test_it_is_dropped_at_the_soft_limit_and_fast_again_when_it_has_read(
        self, rig: Rig
    ) -> None:
        fast, slow = rig.open(), slow_client(rig)
        total = fan_out_until(
            rig, [slow, fast], lambda: rig.counts[Count.DROPPED_SLOW] >= 20, keep=Keep.NORMAL
        )
        assert SOFT - 2_000 < rig.group._outbox.backlog_bytes <= SOFT
        rig.advance()
        assert rig.counts[Count.SLOW_READERS] == 1
        assert rig.counts[Count.BACKLOG_BYTES] == rig.group._outbox.backlog_bytes
        rig.run_until(lambda: len(fast.messages) == total)
        assert numbers(fast) == list(range(total))

        slow.reading = True
        rig.run_until(lambda: not rig.group._outbox.slow)
        rig.group.send(slow.fd, frame(999_999))
        rig.run_until(lambda: 999_999 in numbers(slow))
        got = numbers(slow)
        assert got[:-1] == list(range(total - rig.counts[Count.DROPPED_SLOW]))
        assert rig.handler.closed == []

    def test_it_is_closed_at_the_hard_limit_and_told_so(self, rig: Rig) -> None:
        fast, slow = rig.open(), slow_client(rig)
        total = fan_out_until(
            rig, [slow, fast], lambda: rig.counts[Count.CLOSED_SLOW], keep=Keep.ALWAYS
        )
        assert rig.handler.closed == [(slow.fd, 4001)]
        rig.run_until(lambda: len(fast.messages) == total)
        slow.reading = True
        rig.run_until(lambda: slow.close_code)
        assert slow.close_code == 4001
        assert numbers(slow) == list(range(len(slow.messages) - 1))
        slow.send(close_frame(4001))
        rig.run_until(lambda: slow.ended)
        assert slow.close_code == 4001, "nothing follows the close frame"
        assert rig.counts[Count.CLOSED_SLOW] == 1

    def test_it_is_closed_when_it_reads_nothing_for_too_long(self, rig: Rig) -> None:
        fast, slow = rig.open(), slow_client(rig)
        fan_out_until(rig, [slow], lambda: rig.counts[Count.DROPPED_SLOW], keep=Keep.NORMAL)
        rig.advance(3)
        assert rig.handler.closed == []
        for _ in range(10):
            rig.advance()
        assert rig.handler.closed == [(slow.fd, 4002)]
        assert rig.counts[Count.CLOSED_STALLED] == 1
        rig.group.send(fast.fd, frame(1))
        rig.run_until(lambda: numbers(fast) == [1])

    def test_it_has_all_its_time_again_after_we_slept(self, rig: Rig) -> None:
        slow = slow_client(rig)
        fan_out_until(rig, [slow], lambda: rig.counts[Count.DROPPED_SLOW], keep=Keep.NORMAL)
        rig.tick += 60
        rig.advance(3)
        assert rig.handler.closed == []
        for _ in range(10):
            rig.advance()
        assert rig.handler.closed == [(slow.fd, 4002)]

    def test_the_last_it_reads_is_that_it_stalled(self, rig: Rig) -> None:
        slow = slow_client(rig)
        fan_out_until(rig, [slow], lambda: rig.counts[Count.DROPPED_SLOW], keep=Keep.NORMAL)
        while not rig.handler.closed:
            rig.advance()
        slow.reading = True
        rig.run_until(lambda: slow.close_code)
        assert slow.close_code == 4002
        assert numbers(slow) == list(range(len(slow.messages) - 1))

    def test_reading_a_little_now_and_then_is_not_stalling(self, rig: Rig) -> None:
        slow = slow_client(rig)
        fan_out_until(rig, [slow], lambda: rig.counts[Count.DROPPED_SLOW], keep=Keep.NORMAL)
        for _ in range(10):
            rig.group.fan_out([slow.fd], frame(0), keep=Keep.NORMAL)
            before = rig.counts[Count.BYTES_OUT]
            while rig.counts[Count.BYTES_OUT] == before and rig.group._outbox.slow:
                slow.received += slow.socket.recv(2_000)
                rig.step(wait_ms=5)
            rig.advance()
        assert rig.handler.closed == []

    def test_a_large_frame_half_out_is_completed_before_the_close_frame(self, rig: Rig) -> None:
        slow = slow_client(rig)
        rig.group.send(slow.fd, frame(0, size=35_000))
        rig.group.send(slow.fd, frame(1, size=1_000))
        rig.group.close(slow.fd, CloseCode.RESTART)
        slow.reading = True
        rig.run_until(lambda: slow.close_code)
        assert [opcode for opcode, _ in slow.messages] == [BINARY, CLOSE]

    def test_fan_outs_may_be_dropped_and_sends_not_unless_told_otherwise(self, rig: Rig) -> None:
        slow = slow_client(rig)
        fan_out_until(rig, [slow], lambda: rig.counts[Count.DROPPED_SLOW], keep=Keep.NORMAL)
        for _ in range(HARD // 1_000):
            rig.group.fan_out([slow.fd], frame(0))
        assert rig.group.is_open(slow.fd)
        for _ in range(HARD // 1_000):
            rig.group.send(slow.fd, frame(0))
        assert not rig.group.is_open(slow.fd)

    def test_one_that_goes_away_leaves_nothing_behind(self, rig: Rig) -> None:
        slow = slow_client(rig)
        fan_out_until(rig, [slow], lambda: rig.counts[Count.DROPPED_SLOW], keep=Keep.NORMAL)
        slow.vanish()
        rig.run_until(lambda: rig.handler.closed)
        assert rig.handler.closed == [(slow.fd, 1006)]
        assert rig.group._outbox.backlog_bytes == 0
        assert rig.counts[Count.DROPPED_CLOSED] > 0


class TestAllBacklogsTogether:
    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with Rig(
            send_buffer=4_096,
            backlog_soft_bytes=SOFT,
            backlog_hard_bytes=HARD,
            backlog_total_bytes=HARD,
        ) as rig:
            yield rig

    def test_the_largest_is_closed_and_the_others_stay(self, rig: Rig) -> None:
        slow, slower, fast = slow_client(rig), slow_client(rig), rig.open()
        fan_out_until(
            rig, [slower], lambda: rig.group.backlog(slower.fd) > 10_000, keep=Keep.ALWAYS
        )
        total = fan_out_until(
            rig, [slow, slower, fast], lambda: rig.handler.closed, keep=Keep.ALWAYS
        )
        assert rig.handler.closed == [(slower.fd, 4001)]
        assert rig.counts[Count.CLOSED_LARGEST_BACKLOG] == 1
        assert rig.counts[Count.CLOSED_SLOW] == 0
        assert rig.group.backlog_total == rig.group.backlog(slow.fd) <= rig.group.backlog_bound
        slow.reading = True
        rig.run_until(lambda: len(slow.messages) == len(fast.messages) == total)

    def test_what_one_is_sent_makes_the_largest_go_as_well(self, rig: Rig) -> None:
        larger, smaller = slow_client(rig), slow_client(rig)
        fan_out_until(
            rig, [larger], lambda: rig.group.backlog(larger.fd) > 25_000, keep=Keep.ALWAYS
        )
        for number in range(10_000):
            if rig.handler.closed:
                break
            rig.group.send(smaller.fd, frame(number))
            rig.settle()
            assert rig.group.backlog_total <= rig.group.backlog_bound
        assert rig.handler.closed == [(larger.fd, 4001)]

    def test_a_frame_half_out_is_no_reason_to_keep_it(self, rig: Rig) -> None:
        slow = slow_client(rig)
        rig.group.send(slow.fd, encode(BINARY, b"x" * 10 * HARD))
        rig.settle()
        assert rig.handler.closed == [(slow.fd, 4001)]
        assert rig.group.backlog_total == 0


class TestUnblocked:
    def test_it_is_said_once_all_that_waited_is_out(self, rig: Rig) -> None:
        slow = slow_client(rig)
        fan_out_until(rig, [slow], lambda: rig.group.backlog(slow.fd) > 5_000, keep=Keep.ALWAYS)
        assert rig.handler.unblocked == []
        slow.reading = True
        rig.run_until(lambda: rig.handler.unblocked)
        assert rig.handler.unblocked == [slow.fd]
        assert rig.group.backlog(slow.fd) == rig.group.backlog_total == 0
        assert rig.handler.caught_up == [], "nothing was left out"

    def test_what_is_sent_then_may_wait_again(self) -> None:
        class Continuing(Recorder):
            left = 5

            def on_unblocked(self, fd: int) -> None:
                super().on_unblocked(fd)
                if self.left:
                    self.left -= 1
                    room.group.send(fd, frame(self.left, 30_000))

        with Rig(Continuing(), send_buffer=4_096) as room:
            slow = slow_client(room)
            room.group.send(slow.fd, frame(9, 30_000))
            assert room.group.backlog(slow.fd)
            slow.reading = True
            room.run_until(lambda: len(slow.messages) == 6)
            assert numbers(slow) == [9, 4, 3, 2, 1, 0]


@pytest.fixture
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SLICE", 2)


@pytest.mark.usefixtures("_small_slices")
class TestSlices:
    def test_two_fan_outs_reach_everyone_in_order(self, rig: Rig) -> None:
        clients = [rig.open() for _ in range(9)]
        fds = {client.fd for client in clients}
        rig.group.fan_out(fds, frame(1))
        rig.group.fan_out(fds, frame(2))
        assert rig.group._outbox.pending
        rig.run_until(lambda: all(len(client.messages) == 2 for client in clients))
        assert all(numbers(client) == [1, 2] for client in clients)
        assert not rig.group._outbox.pending

    def test_a_turn_does_one_slice(self, rig: Rig) -> None:
        clients = [rig.open() for _ in range(7)]
        before = rig.counts[Count.WRITES]
        rig.group.fan_out([client.fd for client in clients], frame(1))
        for written in (0, 2, 4, 6, 7):
            assert rig.counts[Count.WRITES] - before == written
            rig.step()

    def test_others_are_heard_between_slices(self, rig: Rig) -> None:
        clients = [rig.open() for _ in range(20)]
        rig.group.fan_out([client.fd for client in clients], frame(1))
        clients[0].send(client_frame(TEXT, b"meanwhile"))
        while not rig.handler.messages:
            assert rig.group._outbox.pending
            rig.step()

    def test_a_slow_reader_among_them_gets_them_in_order(self, rig: Rig) -> None:
        slow = slow_client(rig)
        clients = [slow, *(rig.open() for _ in range(5))]
        fan_out_until(rig, [slow], lambda: slow.fd in rig.group._outbox.slow, keep=Keep.ALWAYS)
        fds = [client.fd for client in clients]
        for number in range(100, 105):
            rig.group.fan_out(fds, frame(number), keep=Keep.ALWAYS)
        slow.reading = True
        rig.run_until(lambda: all(numbers(client)[-1:] == [104] for client in clients))
        assert numbers(slow) == [*range(len(numbers(slow)) - 5), *range(100, 105)]
        assert all(numbers(client) == list(range(100, 105)) for client in clients[1:])

    def test_a_descriptor_is_not_reused_while_a_fan_out_may_name_it(self, rig: Rig) -> None:
        clients = [rig.open() for _ in range(30)]
        leaver = clients[-1]
        rig.group.fan_out([client.fd for client in clients], frame(1))
        leaver.send(close_frame(1000))
        while not rig.handler.closed:
            rig.step()
        for _ in range(4):
            rig.tick += 1
            rig.group.advance(rig.tick)
        assert rig.group._outbox.pending
        assert rig.group._table.phase[leaver.fd] == QUARANTINED
        assert os.fstat(leaver.fd)
        rig.settle()
        assert numbers(leaver) == []
        rig.advance(2)
        assert rig.group._table.phase[leaver.fd] == FREE

    def test_a_reused_descriptor_is_reached_though_fan_outs_never_pause(self, rig: Rig) -> None:
        clients = [rig.open() for _ in range(12)]
        rig.group.fan_out([client.fd for client in clients], frame(1))
        leaver = clients[-1]
        leaver.send(close_frame(1000))
        while not rig.handler.closed:
            rig.step()
        others = [client.fd for client in clients[:-1]]
        with no_holes_below(leaver.fd):
            while rig.group._table.phase[leaver.fd] == QUARANTINED:
                newcomer = rig.connect()
                rig.tick += 1
                rig.group.fan_out(others, frame(2))
                rig.group.advance(rig.tick)
        assert rig.group._table.phase[leaver.fd] == HANDSHAKE
        for _ in range(5):
            rig.group.fan_out(others, frame(3))
        newcomer.send(REQUEST)
        while not rig.group.is_open(leaver.fd):
            rig.step()
        assert rig.group._outbox.pending
        rig.group.fan_out([leaver.fd], frame(4))
        rig.run_until(lambda: numbers(newcomer))
        assert numbers(newcomer) == [4]


class TestHandlersThatFanOut:
    def test_news_of_a_leaver_reach_those_who_stay(self) -> None:
        class Announcer(Recorder):
            def on_close(self, fd: int, code: int) -> None:
                super().on_close(fd, code)
                members = set(self.opened) - {gone for gone, _ in self.closed}
                room.group.fan_out(members, encode(TEXT, b"one left"))

        with Rig(Announcer()) as room:
            clients = [room.open() for _ in range(4)]
            for client in clients[:3]:
                client.send(close_frame(1000))
            clients[2].vanish()
            room.run_until(lambda: len(clients[3].messages) == 3)
            assert clients[3].messages == [(TEXT, b"one left")] * 3
            assert len(room.handler.closed) == 3
