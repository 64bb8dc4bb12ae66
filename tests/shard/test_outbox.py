"""The write side on real socket pairs: slow readers, limits, slices, and who is gone."""

import socket
from collections.abc import Collection, Hashable, Iterator
from typing import NoReturn

import pytest

from pool.scoreboard import Scoreboard
from pool.table import FREE, ConnectionTable
from shard import lanes, phases
from shard import outbox as module
from shard.backlog import Backlog, Keep
from shard.counters import FIELDS, Count
from shard.frames import BINARY, CLOSE, encode, encode_close
from shard.outbox import Flushed, Happened, Outbox, Sent
from shard.phases import CLOSING, OPEN, QUARANTINED
from shard.writing import WriteSome, write_some
from tests.shard.pairs import fill, read, small_pair
from tests.shard.ways import NAMES, WAYS
from tests.shard.wire import server_frames

GOODBYE = encode_close(4001, "slow")


class Desk:
    """An outbox and its readers; what the group would do about what happened is done here."""

    def __init__(
        self,
        readers: int,
        soft_bytes: int,
        hard_bytes: int,
        write_some: WriteSome = write_some,
        total_bytes: int = 1 << 20,
    ) -> None:
        self.readers: dict[int, socket.socket] = {}
        self.writers = []
        for _ in range(readers):
            writer, reader = small_pair()
            self.writers.append(writer)
            self.readers[writer.fileno()] = reader
        self.fds = list(self.readers)
        self.table = ConnectionTable(
            max(self.fds) + 1, phases.FOLLOWS | {(FREE, OPEN)}, phases.NAMES
        )
        for fd in self.fds:
            self.table.take(fd, OPEN, 0)
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.watched: set[int] = set()
        self.lost: list[int] = []
        self.overflowed: list[int] = []
        self.caught_up: list[int] = []
        self.outbox = Outbox(
            self.table,
            self.counts,
            soft_bytes,
            hard_bytes,
            total_bytes,
            write_some,
        )

    def act(self, fd: int, sent: Sent) -> Sent:
        """Do as the group would."""
        if sent is Sent.BLOCKED:
            assert fd not in self.watched
            self.watched.add(fd)
        elif sent is Sent.LOST:
            self._lose(fd)
        elif sent is Sent.OVERFLOWED and self.table.phase[fd] == OPEN:
            self.overflowed.append(fd)
            self.part(fd)
        return sent

    def _lose(self, fd: int) -> None:
        assert fd not in self.outbox.slow
        self.lost.append(fd)
        self.watched.discard(fd)
        self.table.phase[fd] = QUARANTINED

    def send(self, fd: int, data: bytes, keep: Keep = Keep.ALWAYS) -> Sent:
        return self.act(fd, self.outbox.send(fd, data, keep))

    def fan_out(
        self,
        fds: Collection[int],
        data: bytes,
        keep: Keep = Keep.NORMAL,
        lane: Hashable = None,
    ) -> None:
        self.outbox.fan_out(fds, data, keep, lane)

    def run_slice(self) -> None:
        self.act_all(self.outbox.run_slice())

    def act_all(self, happened: Happened) -> None:
        for fd, sent in happened:
            self.act(fd, sent)

    def part(self, fd: int) -> None:
        self.table.phase[fd] = CLOSING
        if self.act(fd, self.outbox.send_last(fd, GOODBYE)) is Sent.QUEUED:
            self.flush(fd)

    def flush(self, fd: int) -> None:
        if fd not in self.outbox.slow:
            assert self.outbox.flush(fd) is Flushed.EMPTY
            return
        assert fd in self.watched
        flushed = self.outbox.flush(fd)
        if flushed is Flushed.LOST:
            self._lose(fd)
        elif flushed is not Flushed.WAITING:
            self.watched.discard(fd)
            if flushed is Flushed.CAUGHT_UP:
                self.caught_up.append(fd)

    def run(self) -> None:
        """Finish every fan-out."""
        while self.outbox.pending:
            self.run_slice()
        self.outbox.end_turn()

    def drain(self, fd: int) -> bytes:
        """Read all there is for `fd`, as fast as it comes."""
        data = read(self.readers[fd])
        while fd in self.outbox.slow:
            self.flush(fd)
            data += read(self.readers[fd])
        return data

    def block(self, fd: int) -> bytes:
        """Fill the kernel's buffer of `fd`; what the reader will find there."""
        return b"." * fill(next(end for end in self.writers if end.fileno() == fd))

    def close(self) -> None:
        for end in [*self.writers, *self.readers.values()]:
            end.close()


@pytest.fixture(params=WAYS, ids=NAMES)
def desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Three readers, slices of two, limits of 1,000 and 2,000 bytes."""
    monkeypatch.setattr(module, "SLICE", 2)
    desk = Desk(3, soft_bytes=1_000, hard_bytes=2_000, write_some=request.param())
    yield desk
    desk.close()


class TestSending:
    def test_what_the_kernel_takes_is_sent(self, desk: Desk) -> None:
        for _ in range(2):
            assert desk.send(desk.fds[0], b"hello") is Sent.SENT
        assert read(desk.readers[desk.fds[0]]) == b"hellohello"
        assert (desk.counts[Count.WRITES], desk.counts[Count.BYTES_OUT]) == (2, 10)

    def test_what_would_block_is_queued_and_follows_in_order(self, desk: Desk) -> None:
        fd = desk.fds[0]
        waiting = desk.block(fd)
        assert desk.send(fd, b"one") is Sent.BLOCKED
        assert desk.send(fd, b"two") is Sent.QUEUED
        assert desk.watched == {fd}
        assert desk.outbox.backlog_bytes == 6
        assert desk.drain(fd) == waiting + b"onetwo"
        assert desk.watched == set()
        assert desk.send(fd, b"three") is Sent.SENT

    def test_what_goes_out_in_part_is_completed(self, desk: Desk) -> None:
        fd, data = desk.fds[0], bytes(range(256)) * 400
        assert desk.send(fd, data) is Sent.BLOCKED
        assert 0 < desk.counts[Count.BYTES_OUT] < len(data)
        assert desk.drain(fd) == data
        assert desk.counts[Count.BYTES_OUT] == len(data)

    def test_a_connection_that_is_not_open_gets_nothing(self, desk: Desk) -> None:
        fd = desk.fds[0]
        desk.table.phase[fd] = CLOSING
        for _ in range(2):
            assert desk.send(fd, b"late") is Sent.DROPPED
        assert read(desk.readers[fd]) == b""
        assert desk.counts[Count.DROPPED_CLOSED] == 2

    def test_a_reader_that_is_gone_is_lost(self, desk: Desk) -> None:
        fd = desk.fds[0]
        desk.readers[fd].close()
        assert desk.send(fd, b"hello?") is Sent.LOST
        assert desk.lost == [fd]

    def test_a_slow_reader_that_is_gone_is_lost(self, desk: Desk) -> None:
        fd = desk.fds[0]
        desk.block(fd)
        desk.send(fd, b"waiting")
        desk.readers[fd].close()
        desk.flush(fd)
        assert desk.lost == [fd]
        assert fd not in desk.outbox.slow
        desk.flush(fd)
        assert desk.lost == [fd]


class TestFanningOut:
    def test_everyone_gets_the_same_bytes(self, desk: Desk) -> None:
        desk.fan_out(desk.fds, b"all")
        desk.run()
        assert [read(reader) for reader in desk.readers.values()] == [b"all"] * 3
        assert (desk.counts[Count.WRITES], desk.counts[Count.BYTES_OUT]) == (3, 9)

    def test_it_is_done_a_slice_a_call(self, desk: Desk) -> None:
        desk.fan_out(desk.fds, b"all")
        assert [read(desk.readers[fd]) for fd in desk.fds] == [b"", b"", b""]
        assert desk.outbox.pending
        desk.run_slice()
        assert [read(desk.readers[fd]) for fd in desk.fds] == [b"all", b"all", b""]
        desk.run_slice()
        assert read(desk.readers[desk.fds[2]]) == b"all"
        assert not desk.outbox.pending

    def test_small_ones_share_a_turns_slice(self, desk: Desk) -> None:
        for fd in desk.fds:
            desk.fan_out([fd], b"x", lane=fd)
        desk.run_slice()
        assert [read(desk.readers[fd]) for fd in desk.fds] == [b"x", b"x", b""]
        assert desk.outbox.pending
        desk.run_slice()
        assert [read(desk.readers[fd]) for fd in desk.fds] == [b"", b"", b"x"]
        assert not desk.outbox.pending

    def test_one_is_finished_before_the_next_begins(self, desk: Desk) -> None:
        desk.fan_out(desk.fds, b"one.")
        desk.fan_out(desk.fds, b"two.")
        desk.run_slice()
        assert read(desk.readers[desk.fds[0]]) == b"one."
        desk.run()
        assert read(desk.readers[desk.fds[0]]) == b"two."
        assert read(desk.readers[desk.fds[2]]) == b"one.two."

    def test_a_lane_overtakes_another_but_never_itself(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lanes, "QUANTUM", 1)
        monkeypatch.setattr(desk.outbox._lanes, "_quantum", 1)
        *_, last = desk.fds
        desk.fan_out(desk.fds, b"a1.", lane="a")
        desk.fan_out([last], b"b1.", lane="b")
        desk.fan_out([last], b"a2.", lane="a")
        assert (desk.outbox.left_beside("a"), desk.outbox.left_beside("b")) == (1, 4)
        desk.run_slice()
        desk.run_slice()
        assert (desk.outbox.pending_in("a"), desk.outbox.pending_in("b")) == (True, False)
        desk.run()
        assert read(desk.readers[last]) == b"b1.a1.a2."

    def test_what_is_half_written_is_overtaken_by_no_lane(self) -> None:
        desk = Desk(3, soft_bytes=1 << 20, hard_bytes=1 << 20)
        slow, *_ = desk.fds
        large = b"first." * 20_000
        desk.fan_out([slow], large, lane="a")
        desk.run()
        assert 0 < desk.outbox.backlog(slow) < len(large)
        desk.fan_out([slow], b"b1.", lane="b")
        desk.fan_out(desk.fds, b"a1.", lane="a")
        desk.run()
        assert desk.drain(slow) == large + b"b1.a1."
        desk.close()

    def test_what_a_small_one_costs_is_not_what_all_slow_readers_do(self, desk: Desk) -> None:
        """Nothing is made of all who are slow, or gone, to write to one."""

        class Asked(dict[int, Backlog]):
            def keys(self) -> NoReturn:
                raise AssertionError("looked through")

            __iter__ = keys

        fast, slow, _ = desk.fds
        desk.block(slow)
        desk.send(slow, b"x")
        desk.outbox.slow = Asked(desk.outbox.slow)
        desk.fan_out([fast], b"hi")
        desk.run_slice()
        assert read(desk.readers[fast]) == b"hi"

    def test_later_changes_of_the_members_do_not_matter(self, desk: Desk) -> None:
        members = set(desk.fds)
        desk.fan_out(members, b"all")
        members.clear()
        desk.run()
        assert [read(reader) for reader in desk.readers.values()] == [b"all"] * 3

    def test_a_fan_out_to_nobody_is_nothing(self, desk: Desk) -> None:
        desk.fan_out(set(), b"all")
        assert not desk.outbox.pending

    def test_it_may_be_dropped_unless_told_otherwise(self, desk: Desk) -> None:
        desk.block(desk.fds[0])
        desk.send(desk.fds[0], b"x" * 1_000)
        desk.fan_out(desk.fds, b"chatter")
        desk.run()
        assert desk.counts[Count.DROPPED_SLOW] == 1
        desk.fan_out(desk.fds, b"order", keep=Keep.ALWAYS)
        desk.run()
        assert desk.outbox.backlog_bytes == 1_005

    def test_the_slow_and_the_lost_do_not_keep_it_from_the_others(self, desk: Desk) -> None:
        slow, lost, fast = desk.fds
        waiting = desk.block(slow)
        desk.readers[lost].close()
        desk.fan_out(desk.fds, b"one.")
        desk.fan_out(desk.fds, b"two.")
        desk.run()
        assert read(desk.readers[fast]) == b"one.two."
        assert desk.lost == [lost]
        assert desk.drain(slow) == waiting + b"one.two."
        assert desk.counts[Count.DROPPED_CLOSED] == 1
        assert desk.counts[Count.BYTES_OUT] == 16

    def test_how_long_descriptors_are_held_is_the_oldest_fan_outs_tick(self, desk: Desk) -> None:
        assert desk.outbox.oldest_tick == 0
        desk.outbox.tick = 5
        desk.fan_out(desk.fds, b"one")
        desk.outbox.tick = 7
        desk.fan_out(desk.fds, b"two")
        assert desk.outbox.oldest_tick == 5
        desk.run_slice()
        desk.run_slice()
        assert desk.outbox.oldest_tick == 7
        desk.run()
        assert desk.outbox.oldest_tick == 7
        desk.outbox.tick = 9
        assert desk.outbox.oldest_tick == 9


class TestParting:
    def test_the_goodbye_is_the_last_that_is_sent(self, desk: Desk) -> None:
        fd = desk.fds[2]
        desk.fan_out(desk.fds, b"never")
        desk.part(fd)
        desk.run()
        assert read(desk.readers[fd]) == GOODBYE

    def test_what_waits_is_dropped_and_counted(self, desk: Desk) -> None:
        fd = desk.fds[0]
        waiting = desk.block(fd)
        desk.send(fd, b"one")
        desk.send(fd, b"two")
        desk.part(fd)
        assert desk.drain(fd) == waiting + GOODBYE
        assert desk.counts[Count.DROPPED_SLOW] == 2

    def test_a_frame_that_is_half_out_is_completed_first(self, desk: Desk) -> None:
        fd, frame = desk.fds[0], encode(BINARY, b"x" * 100_000)
        desk.send(fd, frame)
        desk.send(fd, b"dropped")
        desk.part(fd)
        messages, rest = server_frames(desk.drain(fd))
        assert [opcode for opcode, _ in messages] == [BINARY, CLOSE]
        assert rest == b""

    def test_a_goodbye_that_would_block_waits(self, desk: Desk) -> None:
        fd = desk.fds[0]
        waiting = desk.block(fd)
        desk.part(fd)
        assert desk.watched == {fd}
        assert desk.drain(fd) == waiting + GOODBYE

    def test_the_gone_are_forgotten_once_no_fan_out_may_name_them(self, desk: Desk) -> None:
        fd = desk.fds[2]
        desk.fan_out(desk.fds, b"old")
        desk.outbox.forget(fd)
        desk.outbox.end_turn()
        desk.run()
        assert read(desk.readers[fd]) == b""
        desk.fan_out([fd], b"new")
        desk.run()
        assert read(desk.readers[fd]) == b"new"

    def test_what_a_forgotten_one_had_not_read_is_counted(self, desk: Desk) -> None:
        fd = desk.fds[0]
        desk.block(fd)
        desk.send(fd, b"one")
        desk.send(fd, b"two")
        desk.outbox.forget(fd)
        assert desk.counts[Count.DROPPED_CLOSED] == 2
        assert desk.outbox.backlog_bytes == 0
