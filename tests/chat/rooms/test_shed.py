"""What a crowded room shows: the same everywhere, never above its budget, and fair."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from chat.rooms.position import Arrival
from chat.rooms.shed import LEAST, SLOW_WINDOW_MS, STANDING, WINDOW_MS, Display
from chat.wire.schema import Delete, Gap, LeftOut, Msg, Sequenced, Shadowed

BEGIN_MS = 1_764_000_000_000

Line = tuple[int, str, int]
"""Milliseconds since the line before, who says it, its priority."""
LINES = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 7, 50, 190, 1_100]),
        st.sampled_from("abcdefgh"),
        st.sampled_from([5, 5, 5, 5, 0, 4, 6, 8]),
    ),
    max_size=120,
)
RATES = st.integers(1, 60) | st.sampled_from([100, 999, 1_000_000])


def message(seq: int, uid: str, priority: int = 5) -> Msg:
    shown = UNSET if priority == 5 else priority
    return Msg("r", seq, f"e-{seq}", uid, uid, "x", 0, "top", 12, 5, priority=shown)


def arrivals(lines: list[Line]) -> list[tuple[Arrival, Msg]]:
    found, ms, serial = [], BEGIN_MS, 0
    for seq, (later, uid, priority) in enumerate(lines, 1):
        ms, serial = ms + later, 0 if later else serial + 1
        found.append((Arrival("e", seq, b"", b"%d-%d" % (ms, serial)), message(seq, uid, priority)))
    return found


def chosen(display: Display, said: list[tuple[Arrival, Msg]]) -> list[bool]:
    """Which of what is said is shown."""
    events: list[Sequenced | Gap] = [msg for _, msg in said]
    return [isinstance(one, Msg) for one in display.choose([at for at, _ in said], events)]


def windows(per_s: int, said: list[tuple[Arrival, Msg]]) -> list[int]:
    """In which window each stands."""
    ms = WINDOW_MS if per_s * WINDOW_MS >= LEAST * 1000 else SLOW_WINDOW_MS
    return [int(at.at.partition(b"-")[0]) // ms for at, _ in said]


class TestChoice:
    @given(LINES, RATES, st.data())
    def test_is_the_same_however_it_comes_in_batches(
        self, lines: list[Line], per_s: int, data: st.DataObject
    ) -> None:
        said = arrivals(lines)
        whole = chosen(Display(per_s), said)
        display, found = Display(per_s), []
        cuts = sorted(data.draw(st.sets(st.integers(0, len(said)))) | {0, len(said)})
        for start, end in pairwise(cuts):
            found += chosen(display, said[start:end])
        assert found == whole

    @given(LINES, RATES, st.data())
    def test_is_the_same_on_a_shard_that_came_later_from_its_next_window_on(
        self, lines: list[Line], per_s: int, data: st.DataObject
    ) -> None:
        said = arrivals(lines)
        start = data.draw(st.integers(0, len(said)))
        late = chosen(Display(per_s), said[start:])
        numbers = windows(per_s, said)
        same = [i for i in range(start, len(said)) if numbers[i] != numbers[start]]
        whole = chosen(Display(per_s), said)
        assert [whole[i] for i in same] == [late[i - start] for i in same]

    @given(LINES, RATES)
    def test_is_never_above_the_budget_but_for_what_is_more_than_chat(
        self, lines: list[Line], per_s: int
    ) -> None:
        said = arrivals(lines)
        shown: Counter[int] = Counter()
        for (_, msg), is_shown, window in zip(
            said, chosen(Display(per_s), said), windows(per_s, said), strict=True
        ):
            assert is_shown or msg.priority is UNSET or msg.priority < 5
            if is_shown and (msg.priority is UNSET or msg.priority < 5):
                assert shown[window] < -(-per_s * _window_ms(per_s) // 1000)
            shown[window] += is_shown

    @example([(0, "a", 0), (0, "c", 5), (0, "a", 5), (0, "b", 5)], 3)
    @given(LINES, RATES)
    def test_nobody_is_left_out_for_one_who_speaks_again(
        self, lines: list[Line], per_s: int
    ) -> None:
        said = arrivals(lines)
        spoken: set[tuple[int, str]] = set()
        left_out: set[int] = set()
        for (_, msg), is_shown, window in zip(
            said, chosen(Display(per_s), said), windows(per_s, said), strict=True
        ):
            if msg.priority is not UNSET:
                if is_shown and msg.priority < 5:
                    spoken.add((window, msg.uid))
                continue
            first = (window, msg.uid) not in spoken
            assert not (is_shown and window in left_out), "one behind whom somebody was left out"
            if first and not is_shown:
                left_out.add(window)
            if is_shown:
                spoken.add((window, msg.uid))

    @given(st.integers(1, 400))
    def test_a_second_of_chat_of_many_is_the_whole_budget(self, per_s: int) -> None:
        said = arrivals([(1, f"u{i}", 5) for i in range(2_000)])
        shown = chosen(Display(per_s), said)
        assert sum(shown[999:1999]) == per_s


def _window_ms(per_s: int) -> int:
    return WINDOW_MS if per_s * WINDOW_MS >= LEAST * 1000 else SLOW_WINDOW_MS


class TestPriorities:
    def shown(self, *lines: tuple[str, int], per_s: int = 40) -> str:
        said = arrivals([(0, uid, priority) for uid, priority in lines])
        return "".join("x" if one else "." for one in chosen(Display(per_s), said))

    def test_a_sender_has_a_share_that_halves(self) -> None:
        assert self.shown(*[("a", 5)] * 10) == "xx........"  # of eight: below 8, below 4, below 2
        others = [(f"u{i}", 5) for i in range(8)]
        assert self.shown(*[("a", 5)] * 4, *others) == "xx.." + "xxxxxx.."

    def test_what_is_less_than_chat_has_half(self) -> None:
        low = [(f"u{i}", 4) for i in range(8)]
        assert self.shown(*low) == "xxxx...."
        assert self.shown(*low, *[(f"v{i}", 5) for i in range(8)]) == "xxxx...." + "xxxx...."

    def test_what_is_more_is_shown_and_chat_yields(self) -> None:
        more = [("system", 6)] * 6 + [("system", 9)] * 6
        assert self.shown(*more, ("a", 5)) == "x" * 12 + "."
        assert self.shown(*[(f"u{i}", 5) for i in range(9)], ("a", 8)) == "x" * 8 + ".x"

    @pytest.mark.parametrize("per_s", [1, 2, 3])
    def test_a_small_budget_is_that_many_a_second(self, per_s: int) -> None:
        lines = [(f"u{i}", 5) for i in range(5)]
        assert self.shown(*lines, per_s=per_s) == "x" * per_s + "." * (5 - per_s)
        assert self.shown(("a", 0), per_s=per_s) == "x"

    def test_only_messages_are_left_out(self) -> None:
        display = Display(1)
        said = arrivals([(0, "a", 5)] * 4)
        at = [arrival for arrival, _ in said]
        hidden = Shadowed(message(3, "a"))
        found = display.choose(at, [said[0][1], Delete("r", 2, 1, 5), hidden, said[3][1]])
        assert found[:3] == [said[0][1], Delete("r", 2, 1, 5), hidden]
        assert isinstance(found[3], LeftOut)
        assert (found[3].msg, found[3].seq) == (said[3][1], 4)


def test_a_clock_that_stands_still_leaves_nothing_out_for_ever() -> None:
    at = [Arrival("e", i, b"", b"%d-%d" % (BEGIN_MS, i)) for i in range(2 * STANDING)]
    said = [(one, message(one.seq, f"u{one.seq}")) for one in at]
    shown = chosen(Display(10), said)
    assert sum(shown[:STANDING]) == 10
    assert all(shown[STANDING:])
