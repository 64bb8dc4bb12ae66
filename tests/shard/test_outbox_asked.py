"""What a reader asked for: sent whole, whatever its size, and not held against it."""

from shard.backlog import Keep
from shard.outbox import Sent
from tests.shard.pairs import read
from tests.shard.test_outbox import Desk, desk

__all__ = ["desk"]


def test_what_was_asked_for_counts_against_no_limit(desk: Desk) -> None:
    fd = desk.fds[0]
    answer = b"a" * 100_000
    assert desk.act(fd, desk.outbox.send(fd, answer, asked=True)) is Sent.BLOCKED
    assert desk.send(fd, b"b" * 900, keep=Keep.NORMAL) is Sent.QUEUED
    assert desk.send(fd, b"c" * 1_000) is Sent.QUEUED
    assert desk.send(fd, b"d" * 900, keep=Keep.NORMAL) is Sent.DROPPED
    assert desk.drain(fd) == answer + b"b" * 900 + b"c" * 1_000
    assert desk.overflowed == []


def test_once_it_is_out_what_waits_behind_it_does(desk: Desk) -> None:
    fd = desk.fds[0]
    desk.act(fd, desk.outbox.send(fd, b"a" * 100_000, asked=True))
    desk.send(fd, b"b" * 1_900)
    while desk.outbox.slow[fd].asked:
        assert desk.outbox.send(fd, b"c" * 101) is Sent.OVERFLOWED
        read(desk.readers[fd], most=2_000)
        desk.flush(fd)
    assert desk.outbox.send(fd, b"c" * (2_000 - desk.outbox.slow[fd].size)) is Sent.QUEUED
    assert desk.outbox.send(fd, b"d") is Sent.OVERFLOWED
