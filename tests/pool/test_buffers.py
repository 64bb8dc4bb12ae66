"""Borrowed buffers: size classes, loans that end once, bounded shelves."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pool.buffers import SIZES, BufferPool


class TestBorrowing:
    @pytest.mark.parametrize(
        ("asked", "got"), [(0, 256), (1, 256), (256, 256), (257, 1024), (1 << 20, 1 << 20)]
    )
    def test_a_buffer_comes_from_the_smallest_class_that_fits(self, asked: int, got: int) -> None:
        assert len(BufferPool().borrow(asked)) == got

    def test_what_no_class_fits_is_allocated_and_not_kept(self) -> None:
        pool = BufferPool()
        large = pool.borrow(SIZES[-1] + 1)
        assert len(large) >= SIZES[-1] + 1
        assert pool.on_loan == 1
        pool.give_back(large)
        assert pool.on_loan == 0
        assert pool.kept_bytes == 0

    def test_a_returned_buffer_is_lent_again(self) -> None:
        pool = BufferPool()
        first = pool.borrow(100)
        pool.give_back(first)
        assert pool.kept_bytes == 256
        assert pool.borrow(200) is first
        assert pool.kept_bytes == 0

    def test_a_buffer_is_lent_to_one_borrower_only(self) -> None:
        pool = BufferPool()
        assert pool.borrow(100) is not pool.borrow(100)


class TestGivingBack:
    def test_giving_back_twice_is_an_error(self) -> None:
        pool = BufferPool()
        buffer = pool.borrow(1)
        pool.give_back(buffer)
        with pytest.raises(ValueError, match="not on loan"):
            pool.give_back(buffer)

    def test_giving_back_what_was_never_borrowed_is_an_error(self) -> None:
        pool = BufferPool()
        with pytest.raises(ValueError, match="not on loan"):
            pool.give_back(bytearray(256))

    def test_a_class_keeps_no_more_than_its_share(self) -> None:
        pool = BufferPool(sizes=(16, 64), keep_bytes=48)
        for buffer in [pool.borrow(16) for _ in range(10)] + [pool.borrow(64) for _ in range(10)]:
            pool.give_back(buffer)
        assert pool.on_loan == 0
        assert pool.kept_bytes == 3 * 16 + 64


class TestGrowing:
    def test_the_used_part_moves_and_the_old_buffer_goes_back(self) -> None:
        pool = BufferPool()
        small = pool.borrow(4)
        small[:4] = b"abcd"
        large = pool.grow(small, 4, 300)
        assert len(large) == 1024
        assert large[:4] == b"abcd"
        assert pool.on_loan == 1
        assert pool.borrow(1) is small

    def test_growing_beyond_the_last_class_copies_seldom(self) -> None:
        pool = BufferPool()
        buffer = pool.borrow(1)
        copies = 0
        for size in range(0, 1 << 24, 1 << 16):
            if size > len(buffer):
                buffer = pool.grow(buffer, size, size)
                copies += 1
        assert copies < 16
        assert len(buffer) <= 1 << 25


class Lending(RuleBasedStateMachine):
    """A pool against a model: what each borrower wrote stays as it was while it is on loan."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BufferPool(sizes=(4, 16, 64), keep_bytes=64)
        self.loans: list[tuple[bytearray, bytes]] = []

    def lend(self, buffer: bytearray, content: bytes) -> None:
        buffer[: len(content)] = content
        self.loans.append((buffer, content))

    @rule(content=st.binary(max_size=100))
    def borrow(self, content: bytes) -> None:
        buffer = self.pool.borrow(len(content))
        assert len(buffer) >= len(content)
        self.lend(buffer, content)

    @precondition(lambda self: self.loans)
    @rule(which=st.integers(0), more=st.binary(max_size=100))
    def grow(self, which: int, more: bytes) -> None:
        buffer, content = self.loans.pop(which % len(self.loans))
        larger = self.pool.grow(buffer, len(content), len(content) + len(more))
        assert larger[: len(content)] == content
        self.lend(larger, content + more)

    @precondition(lambda self: self.loans)
    @rule(which=st.integers(0))
    def give_back(self, which: int) -> None:
        buffer, _ = self.loans.pop(which % len(self.loans))
        self.pool.give_back(buffer)

    @invariant()
    def loans_are_counted_and_apart(self) -> None:
        assert self.pool.on_loan == len(self.loans) == len({id(buffer) for buffer, _ in self.loans})
        assert all(buffer[: len(content)] == content for buffer, content in self.loans)

    @invariant()
    def the_shelves_are_bounded(self) -> None:
        assert self.pool.kept_bytes <= 3 * 64


TestLending = Lending.TestCase
TestLending.settings = settings(deadline=None, max_examples=60)
