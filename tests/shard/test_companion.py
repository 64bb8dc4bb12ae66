"""Minding a process without waiting for it: every look takes one step, and time is a number."""

import pytest

from shard.companion import SILENT_S, Minder, Sign
from shard.restarts import STEADY_S


class Fake:
    """Does as it is told."""

    name = "it"
    pid: int | None = 7

    def __init__(self) -> None:
        self.over: str | None = None
        self.says = Sign.READY
        self.begun = 0
        self.trouble: Exception | None = None

    def begin(self) -> None:
        self.begun += 1
        if self.trouble is not None:
            raise self.trouble
        self.over = None

    def ended(self) -> str | None:
        return self.over

    def sign(self) -> Sign:
        return self.says

    def end(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


class Minded:
    """A companion, its minder, and the time."""

    def __init__(self) -> None:
        self.fake = Fake()
        self.now = 1_000.0
        self.minder = Minder(self.fake, self.now)

    def look(self, after_s: float = 0.0) -> None:
        self.now += after_s
        self.minder.look(self.now)


@pytest.fixture
def it(caplog: pytest.LogCaptureFixture) -> Minded:
    caplog.set_level("INFO")
    return Minded()


class TestEnding:
    def test_one_that_ended_is_begun_again_after_a_moment(self, it: Minded) -> None:
        it.fake.over = "ended with status 1"
        it.look()
        assert it.fake.begun == 0
        assert it.minder.wait(it.now) == pytest.approx(0.1)
        it.look(0.05)
        assert it.fake.begun == 0
        it.look(0.06)
        assert (it.fake.begun, it.minder.wait(it.now)) == (1, None)

    def test_again_and_again_takes_longer_and_longer(self, it: Minded) -> None:
        delays = []
        for _ in range(4):
            it.fake.over = "ended"
            it.look()
            delays.append(it.minder.wait(it.now))
            it.look(delays[-1] or 0.0)
        assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8])
        it.fake.over = "ended"
        it.look(STEADY_S)
        assert it.minder.wait(it.now) == pytest.approx(0.1)

    def test_one_that_cannot_be_begun_is_tried_again_and_it_is_said(
        self, it: Minded, caplog: pytest.LogCaptureFixture
    ) -> None:
        it.fake.over = "ended"
        it.fake.trouble = OSError("no such program")
        it.look()
        it.look(0.1)
        assert it.fake.begun == 1
        it.fake.trouble = None
        it.look(0.2)
        assert (it.fake.begun, it.minder.wait(it.now)) == (2, None)
        assert "it does not start: no such program; again in 0.2 s" in caplog.messages
        assert not any(record.exc_info for record in caplog.records)


class TestAnswering:
    def test_silence_is_told_once_and_so_is_its_end(
        self, it: Minded, caplog: pytest.LogCaptureFixture
    ) -> None:
        it.fake.says = Sign.SILENT
        it.look(SILENT_S / 2)
        assert not caplog.messages
        for _ in range(10):
            it.look(SILENT_S)
        [told] = caplog.messages
        assert told.startswith("it, process 7, runs and does not answer; it is left as it is")
        assert it.fake.begun == 0
        it.fake.says = Sign.READY
        it.look()
        it.look()
        assert caplog.messages[1:] == ["it answers"]

    def test_one_slow_answer_is_nothing_to_tell(
        self, it: Minded, caplog: pytest.LogCaptureFixture
    ) -> None:
        for says in (Sign.SILENT, Sign.READY) * 5:
            it.fake.says = says
            it.look(SILENT_S * 0.6)
        assert not caplog.messages

    def test_one_that_says_it_is_busy_is_not_silent_however_long_it_takes(
        self, it: Minded, caplog: pytest.LogCaptureFixture
    ) -> None:
        it.fake.over = "ended"
        it.look()
        it.look(0.1)
        it.fake.says = Sign.BUSY
        for _ in range(100):
            it.look(SILENT_S)
        it.fake.says = Sign.READY
        it.look()
        assert caplog.messages[-2:] == ["it runs as process 7", "it answers"]
