"""The line between a supervisor and a worker's lives, by real socket pairs."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import pytest

from shard.channel import MESSAGE_BYTES, WORD, Channel, Line, TooLong
from tests.chat.rig import until


class Kept(Line):
    """A line whose workers' ends are closed with it."""

    def __init__(self) -> None:
        super().__init__("a")
        self.ends: list[Channel] = []

    def open(self) -> Channel:
        self.ends.append(super().open())
        return self.ends[-1]


@pytest.fixture
def line() -> Iterator[Line]:
    made = Kept()
    yield made
    made.close()
    for end in made.ends:
        end.close()


class TestLine:
    def test_what_is_told_arrives_whole_and_in_order(self, line: Line) -> None:
        theirs = line.open()
        long = b"x" * MESSAGE_BYTES
        line.tell(b"one")
        line.tell(long)
        assert theirs.take() == [b"one", long]
        theirs.send(b"yes")
        assert line.heard() == [b"yes"]
        assert line.heard() == []

    def test_a_message_that_is_too_long_is_not_begun(self, line: Line) -> None:
        theirs = line.open()
        with pytest.raises(TooLong):
            line.tell(b"x" * (MESSAGE_BYTES + 1))
        line.heard()
        assert theirs.take() == []

    def test_who_does_not_read_gets_the_newest_at_last(self, line: Line) -> None:
        theirs = line.open()
        for number in range(1000):
            line.tell(b"%d" % number + b" " * 4096)
        heard: list[bytes] = []
        for _ in range(1000):
            heard += theirs.take()
            line.heard()
        numbers = [int(message) for message in heard]
        assert numbers == sorted(set(numbers))
        assert len(numbers) < 1000
        assert numbers[-1] == 999

    def test_a_new_life_hears_nothing_of_what_the_last_one_was_told(self, line: Line) -> None:
        first = line.open()
        line.tell(b"old")
        second = line.open()
        assert line.life == 2
        assert second.take() == []
        line.tell(b"new")
        assert second.take() == [b"new"]
        assert first.take() == [b"old"]

    def test_nobody_there_is_no_trouble(self, line: Line) -> None:
        line.tell(b"x")
        assert not line.alive
        assert line.heard() == []
        line.open().close()
        line.tell(b"x")  # it has died, and nobody knows yet
        assert line.heard() == []
        line.close()
        assert not line.alive


class TestWord:
    def test_an_answer_is_told_by_a_signal(self, line: Line) -> None:
        heard: list[int] = []
        before = signal.signal(WORD, lambda number, frame: heard.append(number))
        try:
            line.open().send(b"x")
            deadline = time.monotonic() + 30
            while not heard and time.monotonic() < deadline:
                time.sleep(0.01)
            assert heard == [WORD]
        finally:
            signal.signal(WORD, before)

    def test_who_does_not_wait_for_it_is_not_hurt(self, line: Line) -> None:
        line.open().send(b"x")
        os.kill(os.getpid(), WORD)
        assert line.heard() == [b"x"]


class TestListening:
    async def test_each_message_is_answered(self, line: Line) -> None:
        line.open().listen(bytes.upper)
        line.tell(b"a")
        line.tell(b"b")
        heard: list[bytes] = []

        def both() -> bool:
            heard.extend(line.heard())
            return len(heard) == 2

        await until(both)
        assert heard == [b"A", b"B"]

    async def test_a_supervisor_that_is_dead_is_not_waited_for(self, line: Line) -> None:
        theirs = line.open()
        theirs.listen(bytes.upper)
        line.close()
        loop = asyncio.get_running_loop()
        await until(lambda: not loop.remove_reader(theirs._way))
