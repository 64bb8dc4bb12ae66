"""A backlog on a real socket pair with a tiny send buffer: order, half-sent chunks, cutting."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.backlog import MAX_CHUNKS, Backlog
from tests.shard.pairs import Pair, fill, read, small_pair


@pytest.fixture
def pair() -> Iterator[Pair]:
    writer, reader = small_pair()
    with writer, reader:
        yield writer, reader


class TestQueueing:
    def test_chunks_are_kept_by_reference_and_counted(self) -> None:
        backlog, batch = Backlog(5), b"x" * 1000
        backlog.push(batch)
        backlog.push(batch)
        assert backlog.size == 2000
        assert all(chunk is batch for chunk in backlog.chunks)
        assert backlog.since == 5


class TestFlushing:
    def test_everything_goes_out_in_order_when_there_is_room(self, pair: Pair) -> None:
        backlog = Backlog(5)
        for data in (b"one", b"two", b"three"):
            backlog.push(data)
        assert backlog.flush(pair[0].fileno(), 9) == 11
        assert (backlog.size, len(backlog.chunks), backlog.since) == (0, 0, 9)
        assert read(pair[1]) == b"onetwothree"

    def test_more_chunks_than_one_call_takes_go_out_too(self, pair: Pair) -> None:
        backlog = Backlog(0)
        data = [b"%03d" % i for i in range(3 * MAX_CHUNKS + 1)]
        for chunk in data:
            backlog.push(chunk)
        assert backlog.flush(pair[0].fileno(), 0) == 3 * len(data)
        assert read(pair[1]) == b"".join(data)

    def test_a_full_socket_takes_nothing_and_time_does_not_move(self, pair: Pair) -> None:
        fill(pair[0])
        backlog = Backlog(5)
        backlog.push(b"later")
        assert backlog.flush(pair[0].fileno(), 9) == 0
        assert (backlog.size, backlog.since) == (5, 5)
        assert list(backlog.chunks) == [b"later"]

    def test_a_chunk_may_go_out_in_pieces(self, pair: Pair) -> None:
        backlog, data = Backlog(0), bytes(range(256)) * 200
        backlog.push(data)
        backlog.push(b"end")
        received, tick = b"", 0
        while backlog.size:
            tick += 1
            before = backlog.size
            assert backlog.flush(pair[0].fileno(), tick) == before - backlog.size > 0
            assert backlog.since == tick
            received += read(pair[1], 5_000)
        assert tick > 2
        assert received + read(pair[1]) == data + b"end"

    def test_nothing_to_send_is_sent_at_once(self, pair: Pair) -> None:
        backlog = Backlog(0)
        for data in (b"", b"a", b"", b""):
            backlog.push(data)
        assert backlog.flush(pair[0].fileno(), 1) == 1
        assert not backlog.chunks

    def test_a_reader_that_is_gone_is_an_error(self, pair: Pair) -> None:
        pair[1].close()
        backlog = Backlog(0)
        backlog.push(b"anyone?")
        with pytest.raises(BrokenPipeError):
            backlog.flush(pair[0].fileno(), 1)


class TestCutting:
    def test_whole_chunks_are_dropped(self) -> None:
        backlog = Backlog(0)
        backlog.push(b"one")
        backlog.push(b"two")
        assert backlog.cut() == 2
        assert (backlog.size, len(backlog.chunks)) == (0, 0)
        assert backlog.cut() == 0

    def test_a_chunk_that_is_half_out_is_kept(self, pair: Pair) -> None:
        backlog, data = Backlog(0), bytes(range(256)) * 200
        backlog.push(data)
        backlog.push(b"dropped")
        sent = backlog.flush(pair[0].fileno(), 0)
        assert 0 < sent < len(data)
        assert backlog.cut() == 1
        assert backlog.size == len(data) - sent
        backlog.push(b"last")
        received = b""
        while backlog.size:
            received += read(pair[1])
            backlog.flush(pair[0].fileno(), 0)
        assert received + read(pair[1]) == data + b"last"


class TestAnyPattern:
    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.one_of(st.integers(1, 9_000), st.integers(-9_000, -1)), max_size=30))
    def test_what_is_read_is_what_was_pushed(self, steps: list[int]) -> None:
        """A positive step pushes so many bytes and flushes, a negative one reads so many."""
        writer, reader = small_pair()
        with writer, reader:
            backlog, pushed, received, sent = Backlog(0), b"", b"", 0
            for number, step in enumerate(steps):
                if step > 0:
                    data = bytes([number]) * step
                    backlog.push(data)
                    pushed += data
                    sent += backlog.flush(writer.fileno(), number)
                else:
                    received += read(reader, -step)
                assert backlog.size == len(pushed) - sent == sum(map(len, backlog.chunks))
            while backlog.size:
                received += read(reader)
                backlog.flush(writer.fileno(), 0)
            assert received + read(reader) == pushed
