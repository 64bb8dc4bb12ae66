"""The fan-out loop, both of them: all bytes to everyone, and who did not take them is told."""

import builtins
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from errno import EAGAIN, EBADF, EPIPE

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard import writing
from shard.lanes import QUANTUM
from shard.writing import Part, WriteSome
from tests.shard.pairs import fill, read, small_pair
from tests.shard.ways import NAMES, WAYS, Way, ring

DATA = b"x" * 100


WriteAll = Callable[[Iterable[int], bytes], list[tuple[int, int]]]


def whole(write_some: WriteSome) -> WriteAll:
    """The same bytes to any number of descriptors, a part at a time."""

    def write_all(fds: Iterable[int], data: bytes) -> list[tuple[int, int]]:
        left, unsent = list(fds), []
        while left:
            done, told = write_some([(left[:QUANTUM], data)])
            assert done == 1
            unsent += [(fd, took) for _, fd, took in told]
            left = left[QUANTUM:]
        return unsent

    return write_all


@pytest.fixture(params=WAYS, ids=NAMES)
def write_some(request: pytest.FixtureRequest) -> WriteSome:
    way: Way = request.param
    return way()


@pytest.fixture
def write_all(write_some: WriteSome) -> WriteAll:
    return whole(write_some)


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [small_pair() for _ in range(5)]
    yield made
    for pair in made:
        for end in pair:
            end.close()


Pairs = list[tuple[socket.socket, socket.socket]]


def fds(pairs: Pairs) -> list[int]:
    return [writer.fileno() for writer, _ in pairs]


class TestWriting:
    def test_everyone_gets_the_same_bytes(self, write_all: WriteAll, pairs: Pairs) -> None:
        assert write_all(fds(pairs), DATA) == []
        assert [read(reader) for _, reader in pairs] == [DATA] * 5

    def test_one_write_is_one_arrival(self, write_all: WriteAll, pairs: Pairs) -> None:
        for _ in range(3):
            assert write_all(iter(fds(pairs)), DATA) == []
        assert [read(reader) for _, reader in pairs] == [DATA * 3] * 5

    def test_nobody_is_nothing(self, write_all: WriteAll) -> None:
        assert write_all([], DATA) == []

    def test_who_would_block_is_told_and_the_others_get_it(
        self, write_all: WriteAll, pairs: Pairs
    ) -> None:
        dots = fill(pairs[2][0])
        assert write_all(fds(pairs), DATA) == [(pairs[2][0].fileno(), -EAGAIN)]
        assert read(pairs[2][1]) == b"." * dots
        assert [read(reader) for _, reader in pairs] == [DATA, DATA, b"", DATA, DATA]

    def test_who_takes_a_part_is_told_how_much(self, write_all: WriteAll) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        reader = socket.create_connection(listener.getsockname())
        writer, _ = listener.accept()
        writer.setblocking(False)
        reader.setblocking(False)
        data = os.urandom(1 << 24)
        [(fd, took)] = write_all([writer.fileno()], data)
        assert fd == writer.fileno()
        assert 0 < took < len(data)
        received = b""
        while len(received) < took:
            received += read(reader)
        assert received == data[:took]
        for end in (listener, reader, writer):
            end.close()

    def test_who_is_gone_is_told(self, write_all: WriteAll, pairs: Pairs) -> None:
        pairs[0][1].close()
        pairs[4][1].close()
        gone = [(pairs[0][0].fileno(), -EPIPE), (pairs[4][0].fileno(), -EPIPE)]
        assert write_all(fds(pairs), DATA) == gone
        assert [read(reader) for _, reader in pairs[1:4]] == [DATA] * 3

    def test_a_number_that_is_no_descriptor_is_told(
        self, write_all: WriteAll, pairs: Pairs
    ) -> None:
        closed = os.dup(0)
        os.close(closed)
        first, *others = fds(pairs)
        assert write_all([first, closed, *others], DATA) == [(closed, -EBADF)]
        assert [read(reader) for _, reader in pairs] == [DATA] * 5

    def test_more_than_fit_one_system_call(self, write_all: WriteAll, pairs: Pairs) -> None:
        told = write_all(fds(pairs) * 600, b"y")
        arrived = sum(len(read(reader)) for _, reader in pairs)
        assert arrived + len(told) == 3_000
        assert {result for _, result in told} <= {-EAGAIN}

    @pytest.mark.parametrize("wrong", [["x"], [None], [1 << 80], [1 << 32], 7])
    def test_what_is_no_list_of_numbers_is_an_error(
        self, write_all: WriteAll, wrong: object
    ) -> None:
        with pytest.raises((TypeError, OverflowError)):
            write_all(wrong, DATA)  # type: ignore[arg-type]

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6_000)), max_size=30),
        st.integers(0, 15),
    )
    def test_what_was_not_taken_is_what_did_not_arrive(
        self, steps: list[tuple[int, int]], full: int
    ) -> None:
        for way in WAYS:
            try:
                write_all = whole(way())
            except pytest.skip.Exception:
                continue
            pairs = [small_pair() for _ in range(4)]
            sent = [fill(w) if full >> i & 1 else 0 for i, (w, _) in enumerate(pairs)]
            for without, size in steps:
                chosen = [w.fileno() for i, (w, _) in enumerate(pairs) if i != without]
                told = dict(write_all(chosen, bytes(size)))
                for i, (writer, _) in enumerate(pairs):
                    if i != without:
                        sent[i] += max(0, told.get(writer.fileno(), size))
            assert [len(read(reader)) for _, reader in pairs] == sent
            for pair in pairs:
                for end in pair:
                    end.close()


def write(write_some: WriteSome, parts: list[Part]) -> list[int]:
    """Write all parts, in as many goes as it takes; how many parts each took."""
    took = []
    while parts:
        done, told = write_some(parts)
        assert told == []
        took.append(done)
        parts = parts[done:]
    return took


class TestSeveralParts:
    def test_each_gets_what_is_meant_for_it_in_order(
        self, write_some: WriteSome, pairs: Pairs
    ) -> None:
        one, two, three, four, five = fds(pairs)
        parts: list[Part] = [
            *(([one, two], b"a."), ([three], b"b."), ([two, three, four], b"c.")),
            *(([five], b"d."), ([two], b"e.")),
        ]
        write(write_some, parts)
        got = [read(reader) for _, reader in pairs]
        assert got == [b"a.", b"a.c.e.", b"b.c.", b"c.", b"d."]

    def test_one_go_names_no_descriptor_twice(self, pairs: Pairs) -> None:
        one, two, three, *_ = fds(pairs)
        parts: list[Part] = [([one], b"a"), ([two], b"b"), ([three, one], b"c"), ([two], b"d")]
        assert write(ring(), parts) == [2, 2]
        assert [read(reader) for _, reader in pairs[:3]] == [b"ac", b"bd", b"c"]

    def test_one_go_is_no_more_than_the_ring_holds(self, pairs: Pairs) -> None:
        one, two, *_ = fds(pairs)
        for size, done in ((512, 1), (511, 2)):
            assert ring()([([one] * size, b"a"), ([two], b"b")])[0] == done

    def test_which_part_was_not_taken_is_told(self, pairs: Pairs) -> None:
        one, two, three, *_ = fds(pairs)
        fill(pairs[1][0])
        pairs[2][1].close()
        parts: list[Part] = [([one], b"a"), ([two], b"b"), ([three], b"c")]
        assert ring()(parts) == (3, [(1, two, -EAGAIN), (2, three, -EPIPE)])

    @pytest.mark.parametrize("size", [0, 513])
    def test_a_part_that_is_none_is_an_error(self, size: int) -> None:
        with pytest.raises(ValueError, match="a part is 1 to 512 sends"):
            ring()([([0] * size, b"x")])


class TestChoosing:
    def test_without_the_ring_it_is_the_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = builtins.__import__

        def without(name: str, *rest: object) -> object:
            if name == "shard.ring":
                raise ImportError(name)
            return real(name, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(builtins, "__import__", without)
        assert writing.best() is writing.write_some

    def test_where_the_kernel_refuses_it_is_the_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ring = pytest.importorskip("shard.ring", reason="shard/ring.c was not built")

        def refuse() -> None:
            raise PermissionError(1, "io_uring is disabled")

        monkeypatch.setattr(ring, "Ring", refuse)
        assert writing.best() is writing.write_some
