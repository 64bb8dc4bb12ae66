"""The outbox under any pattern of slow, stopped and vanishing readers.

Each reader receives whole frames in the order they were offered; what is missing might be left out
and is counted; a reader that is given up reads a whole close frame last; nobody else notices.
"""

import select
from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shard import outbox as module
from shard.backlog import Keep
from shard.counters import Count
from shard.frames import BINARY, CLOSE, encode
from shard.outbox import Sent
from shard.phases import OPEN
from shard.writing import best
from tests.shard.pairs import read
from tests.shard.test_outbox import Desk
from tests.shard.wire import server_frames

READERS = 5
SOFT, HARD = 6_000, 12_000
LARGEST = 9_000

LANES = "fgh"
KINDS = LANES + "s"

which = st.integers(0, READERS - 1)
keeps = st.sampled_from(Keep)
lanes = st.sampled_from(LANES)
sizes = st.one_of(st.integers(20, 200), st.integers(200, LARGEST - 20))


class Traffic(RuleBasedStateMachine):
    """Frames carry a number; `offered` says which numbers each reader should get, by kind.

    Sends may overtake fan-outs that are not finished, and fan-outs those of another lane, so each
    kind is ordered separately: sends "s", and the lanes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.slice, module.SLICE = module.SLICE, 2
        self.desk = Desk(READERS, SOFT, HARD, best())
        self.outbox = self.desk.outbox
        self.number = 0
        self.refused = 0
        self.offered: dict[tuple[int, str], list[int]] = defaultdict(list)
        self.must: dict[int, set[int]] = defaultdict(set)
        self.received: dict[int, bytes] = dict.fromkeys(self.desk.fds, b"")
        self.vanished: set[int] = set()

    def open(self) -> list[int]:
        return [fd for fd in self.desk.fds if self.desk.table.phase[fd] == OPEN]

    def frame(self, kind: str, size: int) -> bytes:
        self.number += 1
        return encode(BINARY, f"{kind}{self.number:06}".encode().ljust(size, b"."))

    @rule(members=st.sets(which, min_size=1), size=sizes, keep=keeps, lane=lanes)
    def fan_out(self, members: set[int], size: int, keep: Keep, lane: str) -> None:
        fds = [fd for fd in self.open() if self.desk.fds.index(fd) in members]
        frame = self.frame(lane, size)
        for fd in fds:
            self.offered[fd, lane].append(self.number)
            if keep is Keep.ALWAYS:
                self.must[fd].add(self.number)
        self.desk.fan_out(fds, frame, keep, lane)

    @rule(member=which, size=sizes, keep=keeps)
    def send(self, member: int, size: int, keep: Keep) -> None:
        fd = self.desk.fds[member]
        sent = self.desk.send(fd, self.frame("s", size), keep)
        if sent in (Sent.SENT, Sent.BLOCKED, Sent.QUEUED):
            self.offered[fd, "s"].append(self.number)
            self.must[fd].add(self.number)
        elif fd in self.open():
            assert keep is not Keep.ALWAYS
            self.refused += 1

    @rule(member=which, most=st.integers(1, 20_000))
    def read(self, member: int, most: int) -> None:
        fd = self.desk.fds[member]
        if fd not in self.vanished:
            self.received[fd] += read(self.desk.readers[fd], most)

    @rule()
    def flush_the_writable(self) -> None:
        watched = list(self.desk.watched & self.outbox.slow.keys())
        _, writable, _ = select.select([], watched, [], 0)
        for fd in writable:
            self.desk.flush(fd)

    @rule()
    def run_a_slice(self) -> None:
        if self.outbox.pending:
            self.desk.run_slice()
        self.outbox.end_turn()

    @rule(member=which)
    def close(self, member: int) -> None:
        fd = self.desk.fds[member]
        if fd in self.open():
            self.desk.part(fd)

    @rule(member=which)
    def vanish(self, member: int) -> None:
        fd = self.desk.fds[member]
        if fd not in self.vanished:
            self.received[fd] += read(self.desk.readers[fd])
            self.desk.readers[fd].close()
            self.vanished.add(fd)

    @invariant()
    def backlogs_are_bounded_and_add_up(self) -> None:
        for fd, backlog in self.outbox.slow.items():
            assert backlog.size == sum(map(len, backlog.chunks)) > 0
            assert backlog.size <= max(HARD, LARGEST)
            assert fd in self.desk.watched
        waiting = sum(backlog.size for backlog in self.outbox.slow.values())
        assert waiting == self.outbox.backlog_bytes

    def teardown(self) -> None:
        try:
            self.desk.run()
            for fd in self.desk.fds:
                if fd in self.vanished:
                    self.desk.flush(fd)
                else:
                    self.received[fd] += self.desk.drain(fd)
            missing = self.refused + sum(self.missing(fd) for fd in self.desk.fds)
            counts = self.desk.counts
            dropped = counts[Count.DROPPED_SLOW] + counts[Count.DROPPED_SLOW_LOW]
            assert missing <= dropped
            if not self.vanished and self.open() == self.desk.fds:
                assert missing == dropped
                total = sum(map(len, self.received.values()))
                assert total == self.desk.counts[Count.BYTES_OUT]
            assert len(self.desk.lost) == len(set(self.desk.lost))
            assert set(self.desk.lost) <= self.vanished
            assert not self.outbox.slow
        finally:
            module.SLICE = self.slice
            self.desk.close()

    def missing(self, fd: int) -> int:
        """Check all that `fd` received; how many frames were dropped while it was open."""
        messages, rest = server_frames(self.received[fd])
        if fd in self.vanished:
            rest = b""
        assert rest == b"", "a torn frame"
        parted = self.desk.table.phase[fd] != OPEN
        if parted and fd not in self.vanished:
            assert messages[-1][0] == CLOSE
        numbers: dict[str, list[int]] = {kind: [] for kind in KINDS}
        for opcode, payload in messages:
            if opcode == BINARY:
                numbers[chr(payload[0])].append(int(payload[1:7]))
        assert all(opcode == BINARY for opcode, _ in messages[:-1]), "a frame after the close frame"
        for kind, got in numbers.items():
            left = iter(self.offered[fd, kind])
            assert all(number in left for number in got), "out of order, or never offered"
        if parted or fd in self.vanished:
            return 0
        assert self.must[fd] <= set().union(*numbers.values())
        return sum(len(self.offered[fd, kind]) - len(numbers[kind]) for kind in KINDS)


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
