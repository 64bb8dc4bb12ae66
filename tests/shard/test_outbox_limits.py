"""What slow readers are spared, and when they are given up."""

from shard.backlog import Keep
from shard.counters import Count
from shard.outbox import Sent
from tests.shard.pairs import read
from tests.shard.test_outbox import GOODBYE, Desk, desk

__all__ = ["desk"]


class TestLimits:
    def test_droppable_data_is_dropped_beyond_the_soft_limit(self, desk: Desk) -> None:
        fd = desk.fds[0]
        waiting = desk.block(fd)
        assert desk.send(fd, b"a" * 600, keep=Keep.NORMAL) is Sent.BLOCKED
        assert desk.send(fd, b"b" * 401, keep=Keep.NORMAL) is Sent.DROPPED
        assert desk.counts[Count.DROPPED_SLOW] == 1
        assert desk.caught_up == []
        assert desk.drain(fd) == waiting + b"a" * 600
        assert desk.caught_up == [fd]

    def test_once_some_was_dropped_all_is_until_the_reader_has_caught_up(self, desk: Desk) -> None:
        fd = desk.fds[0]
        waiting = desk.block(fd)
        assert desk.send(fd, b"a" * 600, keep=Keep.NORMAL) is Sent.BLOCKED
        assert desk.send(fd, b"b" * 401, keep=Keep.NORMAL) is Sent.DROPPED
        assert desk.send(fd, b"c", keep=Keep.NORMAL) is Sent.DROPPED
        desk.fan_out([fd], b"d")
        desk.run()
        assert desk.send(fd, b"e") is Sent.QUEUED
        assert desk.counts[Count.DROPPED_SLOW] == 3
        assert desk.drain(fd) == waiting + b"a" * 600 + b"e"
        assert desk.caught_up == [fd]
        assert desk.send(fd, b"f", keep=Keep.NORMAL) is Sent.SENT

    def test_what_matters_least_goes_from_half_of_it_on_and_is_not_missed(self, desk: Desk) -> None:
        fd = desk.fds[0]
        waiting = desk.block(fd)
        assert desk.send(fd, b"a" * 499, keep=Keep.LOW) is Sent.BLOCKED
        assert desk.send(fd, b"b", keep=Keep.LOW) is Sent.QUEUED
        assert desk.send(fd, b"c", keep=Keep.LOW) is Sent.DROPPED
        assert desk.send(fd, b"d" * 500, keep=Keep.NORMAL) is Sent.QUEUED
        assert not desk.outbox.has_hole(fd)
        assert (desk.counts[Count.DROPPED_SLOW_LOW], desk.counts[Count.DROPPED_SLOW]) == (1, 0)
        assert desk.drain(fd) == waiting + b"a" * 499 + b"b" + b"d" * 500
        assert desk.caught_up == []

    def test_what_matters_least_is_not_put_behind_a_hole(self, desk: Desk) -> None:
        fd = desk.fds[0]
        desk.block(fd)
        desk.send(fd, b"a")
        assert desk.send(fd, b"b" * 1_000, keep=Keep.NORMAL) is Sent.DROPPED
        assert desk.outbox.has_hole(fd)
        assert desk.send(fd, b"c", keep=Keep.LOW) is Sent.DROPPED
        assert (desk.counts[Count.DROPPED_SLOW_LOW], desk.counts[Count.DROPPED_SLOW]) == (1, 1)
        desk.drain(fd)
        assert not desk.outbox.has_hole(fd)

    def test_who_only_waited_is_not_said_to_have_missed_anything(self, desk: Desk) -> None:
        fd = desk.fds[0]
        waiting = desk.block(fd)
        assert desk.send(fd, b"a" * 600, keep=Keep.NORMAL) is Sent.BLOCKED
        assert desk.drain(fd) == waiting + b"a" * 600
        assert desk.caught_up == []

    def test_other_data_is_kept_up_to_the_hard_limit(self, desk: Desk) -> None:
        fd = desk.fds[0]
        waiting = desk.block(fd)
        assert desk.send(fd, b"a" * 1_000) is Sent.BLOCKED
        assert desk.send(fd, b"a" * 1_000) is Sent.QUEUED
        assert desk.overflowed == []
        assert desk.send(fd, b"b") is Sent.OVERFLOWED
        assert desk.overflowed == [fd]
        assert desk.counts[Count.DROPPED_SLOW] == 3
        assert desk.drain(fd) == waiting + GOODBYE

    def test_droppable_data_never_gives_a_reader_up(self, desk: Desk) -> None:
        fd = desk.fds[0]
        desk.block(fd)
        for _ in range(20):
            desk.send(fd, b"a" * 900, keep=Keep.NORMAL)
        assert desk.overflowed == []
        assert desk.counts[Count.DROPPED_SLOW] == 19

    def test_the_stalled_are_those_of_which_no_byte_went_out(self, desk: Desk) -> None:
        for fd in desk.fds[:2]:
            desk.block(fd)
            desk.send(fd, b"x" * 1_000)
        desk.outbox.tick = 10
        read(desk.readers[desk.fds[1]], 3_000)
        desk.flush(desk.fds[1])
        desk.send(desk.fds[1], b"x" * 30_000)
        assert desk.outbox.stalled(0) == []
        assert desk.outbox.stalled(10) == [desk.fds[0]]
