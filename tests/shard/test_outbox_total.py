"""All backlogs together: their sum, and whom it costs the connection when it is too much."""

from collections.abc import Iterator

import pytest

from tests.shard.test_outbox import Desk


class TestAllTogether:
    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        desk = Desk(4, soft_bytes=1_000, hard_bytes=2_000, total_bytes=1_600)
        yield desk
        desk.close()

    def wait(self, desk: Desk, *sizes: int) -> None:
        for fd, size in zip(desk.fds, sizes, strict=False):
            desk.block(fd)
            desk.send(fd, b"x" * size)

    def test_within_the_bound_nobody_is_given_up(self, desk: Desk) -> None:
        self.wait(desk, 400, 900, 300)
        assert [desk.outbox.backlog(fd) for fd in desk.fds] == [400, 900, 300, 0]
        assert desk.outbox.backlog_bytes == 1_600
        assert desk.outbox.surplus() == []

    def test_beyond_it_the_largest_go_first_and_no_more_than_have_to(self, desk: Desk) -> None:
        self.wait(desk, 400, 900, 1_200, 100)
        assert desk.outbox.surplus() == [desk.fds[2]]
        desk.send(desk.fds[3], b"x" * 700)
        assert desk.outbox.surplus() == [desk.fds[2], desk.fds[1]]

    def test_what_is_given_up_counts_no_more(self, desk: Desk) -> None:
        self.wait(desk, 1_000, 1_000)
        [fd] = desk.outbox.surplus()
        desk.outbox.forget(fd)
        assert desk.outbox.backlog_bytes == 1_000
        assert desk.outbox.surplus() == []

    def test_one_that_vanishes_half_read_counts_no_more(self, desk: Desk) -> None:
        self.wait(desk, 900, 100)
        desk.readers[desk.fds[0]].close()
        desk.flush(desk.fds[0])
        assert desk.outbox.backlog_bytes == 100
