"""Bad values of a room's settings: each is told by its field, and none of the good ones is set."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.api.rulings import SettingsIn
from chat.policy.orders import SETTINGS
from chat.wire.commands import Moderate
from tests.chat.api.rig import Api, new_room, path_of

NONE = st.none()
FLAGS = st.booleans()
WORDS = st.text("abc", max_size=5)
LISTS = st.lists(st.integers(), max_size=2)
FRACTIONS = st.sampled_from((0.5, -1.5, 1e300))


def outside(least: int, most: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(max_value=least - 1), st.integers(min_value=most + 1))


WAITS = st.one_of(outside(0, 86_400), NONE, FLAGS, WORDS, LISTS, FRACTIONS)
RATES = st.one_of(outside(0, 1_000_000), NONE, FLAGS, WORDS, LISTS, FRACTIONS)
SWITCHES = st.one_of(st.integers(), NONE, WORDS, LISTS, FRACTIONS)
CHOICES = st.one_of(st.integers(), NONE, FLAGS, WORDS, LISTS, st.just("admin "))
BAD: dict[str, st.SearchStrategy[Any]] = {
    "slow_s": WAITS,
    "silence": CHOICES,
    "no_repeats_s": WAITS,
    "min_role": st.one_of(CHOICES, st.just("admin")),
    "pinned": st.one_of(outside(1, 2**53), FLAGS, WORDS, LISTS, FRACTIONS),
    "announcement": st.one_of(st.integers(), FLAGS, LISTS, st.just("x" * 501)),
    "messages_per_s": RATES,
    "shown_per_s": RATES,
    "merge_duplicates": SWITCHES,
    "join_notices": SWITCHES,
    "owners": st.one_of(st.integers(), NONE, FLAGS, WORDS, st.lists(st.integers(), min_size=1)),
}
GOOD: dict[str, Any] = {
    "slow_s": 5, "messages_per_s": 7, "shown_per_s": 9, "merge_duplicates": True, "owners": ["u"],
}  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[dict[str, Any], set[str]]:
    """Settings, and which of them are bad."""
    bad = draw(st.sets(st.sampled_from(sorted(BAD)), min_size=1, max_size=5))
    good = draw(st.sets(st.sampled_from(sorted(GOOD)))) - bad
    values = {name: draw(BAD[name]) for name in sorted(bad)}
    return values | {name: GOOD[name] for name in sorted(good)}, bad


def test_there_are_bad_values_of_every_setting() -> None:
    assert BAD.keys() == {*SETTINGS, "owners"}
    assert BAD.keys() | {"words", "reason"} == {*SettingsIn.__struct_fields__}


@settings(max_examples=100)
@given(spoilt())
def test_a_patch_names_every_bad_field_and_changes_nothing(
    api: Api, given: tuple[dict[str, Any], set[str]]
) -> None:
    values, bad = given
    path = f"{path_of(new_room())}/settings"
    before = api.get(path).json
    answer = api.send("PATCH", path, values)
    assert (answer.status, answer.error["code"]) == (400, "bad_request")
    assert {one.partition("[")[0] for one in answer.paths} == bad
    assert api.get(path).json == before


@given(spoilt())
def test_a_moderators_command_names_one(given: tuple[dict[str, Any], set[str]]) -> None:
    values, bad = given
    values.pop("owners", None)
    if not bad - {"owners"}:
        return
    command = {"t": "moderate", "room": "r", "action": "settings", **values}
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(command, Moderate)
    assert any(f"`$.{name}" in str(refused.value) for name in bad)


@pytest.mark.parametrize("name", ["slow_s", "messages_per_s", "shown_per_s"])
def test_a_whole_number_may_be_written_as_a_float(api: Api, name: str) -> None:
    path = f"{path_of(new_room())}/settings"
    answer = api.send("PATCH", path, {name: 3.0})
    assert (answer.status, answer.json[name]) == (200, 3)
