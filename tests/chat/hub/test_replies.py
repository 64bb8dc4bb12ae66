"""Frames for many: everything, in order, and none larger than a viewer's buffer takes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chat.hub.replies import FRAME_BYTES, full_frames

sizes = st.integers(1, 300) | st.integers(FRAME_BYTES // 3, 2 * FRAME_BYTES)


class TestFullFrames:
    @given(st.lists(sizes, max_size=40))
    def test_all_events_come_in_order_and_no_frame_is_larger_than_it_must_be(
        self, lengths: list[int]
    ) -> None:
        events = [bytes([i]) * length for i, length in enumerate(lengths)]
        frames = [list(frame) for frame in full_frames(events)]
        assert [event for frame in frames for event in frame] == events
        for frame in frames:
            assert len(frame) == 1 or sum(map(len, frame)) <= FRAME_BYTES
        for frame, following in pairwise(frames):
            assert sum(map(len, frame)) + len(following[0]) > FRAME_BYTES

    def test_nothing_is_no_frame(self) -> None:
        assert list(full_frames([])) == []
