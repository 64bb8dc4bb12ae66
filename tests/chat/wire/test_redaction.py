"""What a `delete` or a `clear` takes back."""

import pytest
from msgspec import UNSET

from chat.wire.redaction import redacted, takes_back, without
from chat.wire.schema import Clear, Delete, Msg, Removed, Sequenced, State


def said(seq: int, uid: str = "u") -> Msg:
    return Msg("r", seq, f"e-{seq}", uid, uid, "hi", 0, "scroll", 25, 100 + seq)


DELETE = Delete("r", 5, 2, 9)
CLEAR = Clear("r", 5, 9)
CLEAR_U = Clear("r", 5, 9, "u")


class TestTakesBack:
    @pytest.mark.parametrize(
        ("told", "seq", "uid", "gone"),
        [
            (DELETE, 2, "u", True),
            (DELETE, 3, "u", False),
            (CLEAR, 4, "v", True),
            (CLEAR, 6, "v", False),
            (CLEAR_U, 4, "u", True),
            (CLEAR_U, 4, "v", False),
            (CLEAR_U, 6, "u", False),
        ],
    )
    def test_a_message(self, told: Delete | Clear, seq: int, uid: str, gone: bool) -> None:
        assert takes_back(told, seq, uid) is gone


class TestPlaces:
    def test_a_mark_with_its_time_is_left(self) -> None:
        assert without(DELETE, [said(1), said(2)]) == [said(1), Removed("r", 2, 102)]

    def test_only_messages_are_taken_back(self) -> None:
        others: list[Sequenced] = [State("r", 2, 1, {}), Delete("r", 3, 1, 1), Removed("r", 4)]
        assert without(CLEAR, others) == others

    @pytest.mark.parametrize(
        ("told", "seq", "uid", "gone"),
        [
            (DELETE, 2, "u", True),
            (DELETE, 1, "u", False),
            (CLEAR, 2, "u", True),
            (CLEAR_U, 2, "u", True),
            (CLEAR_U, 2, "v", False),
        ],
    )
    def test_rules_that_pinned_it_go_too(
        self, told: Delete | Clear, seq: int, uid: str, gone: bool
    ) -> None:
        state = State("r", 3, 7, {"pinned": {"seq": seq, "uid": uid, "text": "hi", "ts": 1}})
        assert without(told, [state]) == [Removed("r", 3, 7) if gone else state]

    @pytest.mark.parametrize("pinned", [None, 2, {}, {"seq": "2", "uid": "u"}])
    def test_rules_that_pin_nothing_stay(self, pinned: object) -> None:
        states: list[Sequenced] = [State("r", 3, 7, {"pinned": pinned})]
        assert without(DELETE, states) == states

    def test_what_comes_after_a_clear_stays(self) -> None:
        found = redacted([said(1), said(3, "v"), CLEAR_U, said(6)])
        assert found == [Removed("r", 1, 101), said(3, "v"), CLEAR_U, said(6)]

    def test_a_user_may_have_any_name(self) -> None:
        assert takes_back(Clear("r", 5, 9, UNSET), 1, "")
