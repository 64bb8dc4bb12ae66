"""Events cut into frames, and what becomes of them where somebody reads slowly."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chat.hub.frames import Written, full_frames, written
from chat.hub.steps import Step
from chat.wire.batch import FRAME_BYTES
from chat.wire.dialects.goim import dialects
from chat.wire.dialects.native import JSON
from chat.wire.schema import (
    Clear,
    Delete,
    Gap,
    Joins,
    Likes,
    Message,
    Msgs,
    Online,
    ServerEvent,
    State,
)
from shard.backlog import Keep

sizes = st.integers(1, 300) | st.integers(FRAME_BYTES // 3, 2 * FRAME_BYTES)


def size(frame: list[Written]) -> int:
    return sum(len(one.event) for one in frame)


class TestFullFrames:
    @given(st.lists(sizes, max_size=40))
    def test_all_events_come_in_order_and_no_frame_is_larger_than_it_must_be(
        self, lengths: list[int]
    ) -> None:
        events = [Written(bytes([i]) * length, str(i)) for i, length in enumerate(lengths)]
        frames = [list(frame) for frame in full_frames(events)]
        assert [event for frame in frames for event in frame] == events
        for frame in frames:
            assert len(frame) == 1 or size(frame) <= FRAME_BYTES
        for frame, following in pairwise(frames):
            assert size(frame) + len(following[0].event) > FRAME_BYTES

    def test_nothing_is_no_frame(self) -> None:
        assert list(full_frames([])) == []


def test_what_nothing_makes_up_for_is_kept_and_counts_go_first() -> None:
    events: list[ServerEvent] = [
        *(Online("r", 1), Likes("r", {}), Joins("r", 1, [])),
        Msgs("r", "e", 1, 1, []),
        *(Gap("r", "e", 1, 0), Delete("r", 2, 1, 5), Clear("r", 3, 5), State("r", 4, 5, {})),
    ]
    found = [one.keep for one in written(JSON, [Step(event) for event in events])]
    assert found == [Keep.LOW] * 3 + [Keep.NORMAL] + [Keep.ALWAYS] * 4


def batch_of(count: int) -> Step:
    """Messages in one batch, and the position behind them."""
    said = [Message(uid="u", text=f"{i}", ts=1) for i in range(count)]
    return Step(Msgs("live:1", "e", 1, count, said), f"e-{count}", count, 2)


def test_an_event_that_a_dialect_makes_too_long_is_cut_where_it_can_be() -> None:
    plain, *_ = dialects("live:{}")
    step = batch_of(500)
    whole = plain.event(step.event)
    assert whole is not None
    found = written(plain, [step])
    assert b"".join(one.event for one in found) == whole
    assert len(found) > 2
    assert all(len(one.event) <= FRAME_BYTES for one in found)
    # What counts for all of it is said once, with its end.
    assert [one[1:] for one in found] == [("", Keep.NORMAL, 0, 0)] * (len(found) - 1) + [
        ("e-500", Keep.NORMAL, 500, 2)
    ]
    assert len(written(JSON, [batch_of(5000)])) == 1


def test_one_that_is_not_too_long_stays_whole() -> None:
    plain, *_ = dialects("live:{}")
    [one] = written(plain, [batch_of(3)])
    assert (one.place, one.seq, one.left_out) == ("e-3", 3, 2)
