"""When tokens end: each connection told once, ended once, at its own time."""

from hypothesis import given
from hypothesis import strategies as st

from chat.hub.expiries import EXPIRING_S, SLACK, Expiries


def due(expiries: Expiries, now: float) -> list[tuple[int, float]]:
    return list(expiries.due(now))


class TestDue:
    def test_one_is_told_and_then_ended(self) -> None:
        expiries = Expiries()
        expiries.set(5, 1_000)
        assert due(expiries, 1_000 - EXPIRING_S - 1) == []
        assert due(expiries, 1_000 - EXPIRING_S + 0.5) == [(5, EXPIRING_S - 0.5)]
        assert due(expiries, 999.9) == []
        assert due(expiries, 1_000) == [(5, 0)]
        assert due(expiries, 9_999) == []

    def test_a_short_one_is_told_at_once_and_a_late_look_ends_it(self) -> None:
        expiries = Expiries()
        expiries.set(5, 1_000)
        expiries.set(6, 1_020)
        assert due(expiries, 1_010) == [(5, 0), (6, 10)]

    def test_a_new_end_is_the_only_one(self) -> None:
        expiries = Expiries()
        for end in (1_000, 2_000, 1_500, 1_500):
            expiries.set(5, end)
        assert due(expiries, 1_400) == []
        assert due(expiries, 1_450) == [(5, 50)]
        expiries.set(5, 3_000)
        assert due(expiries, 2_900) == []
        assert due(expiries, 2_999) == [(5, 1)]

    def test_without_an_end_there_is_none(self) -> None:
        expiries = Expiries()
        expiries.set(5, 0)
        expiries.set(6, 1_000)
        expiries.set(6, 0)
        expiries.set(7, 1_000)
        expiries.forget(7)
        expiries.forget(8)
        assert due(expiries, 9_999) == []

    def test_tokens_shown_over_and_over_take_no_more_room(self) -> None:
        expiries = Expiries()
        for i in range(10_000):
            expiries.set(5, 1_000 + i)
        assert len(expiries._heap) <= 2 + SLACK + 1
        for fd in range(10_000):
            expiries.set(fd, 1_000 + fd)
            expiries.forget(fd)
        assert len(expiries._heap) <= 2 + SLACK + 1

    @given(
        st.lists(
            st.tuples(st.integers(0, 5), st.integers(0, 300) | st.none(), st.integers(0, 40)),
            max_size=60,
        )
    )
    def test_it_is_as_if_all_were_looked_at(self, steps: list[tuple[int, int | None, int]]) -> None:
        expiries, now = Expiries(), 0
        ends: dict[int, int] = {}
        told: set[int] = set()
        for fd, end, passing in steps:
            if end is None:
                expiries.forget(fd)
                ends.pop(fd, None)
            else:
                expiries.set(fd, end)
                ends.pop(fd, None)
                if end:
                    ends[fd] = end
            told.discard(fd)
            now += passing
            wanted = set()
            for one, at in list(ends.items()):
                if at <= now:
                    wanted.add((one, 0))
                    del ends[one]
                elif at - EXPIRING_S <= now and one not in told:
                    wanted.add((one, at - now))
                    told.add(one)
            found = due(expiries, now)
            assert (len(found), set(found)) == (len(wanted), wanted)
