"""Bad values of every key: each is told by its path, all of them at once."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.inspect import BoolType, IntType, LiteralType, StrType, VarTupleType

from chat.config.sections import TYPES
from tests.chat.config.refusals import problems_of

WHOLE = st.integers(-(2**63), 2**63 - 1)
WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=20)
FRACTIONS = st.sampled_from((0.5, -1.5, 1e300, float("inf"), float("nan")))


def bad_values(path: str) -> st.SearchStrategy[Any]:
    """Values that a key may not have, by its type and bounds."""
    match kind := msgspec.inspect.type_info(TYPES[path]):
        case IntType(ge=int(least), le=int(most)):
            outside = WHOLE.filter(lambda n: not least <= n <= most)
            return st.one_of(
                *(outside, st.just(least - 1), st.just(most + 1), st.booleans(), WORDS, FRACTIONS),
                st.lists(WHOLE, max_size=2),
            )
        case BoolType():
            return st.one_of(WHOLE, WORDS, FRACTIONS, st.just("true"))
        case LiteralType(values=values):
            others = WORDS.filter(lambda word: word not in values)
            return st.one_of(others, WHOLE, st.booleans(), st.just(str(values[0]).upper()))
        case StrType():
            return st.one_of(WHOLE, st.booleans(), FRACTIONS, st.lists(WORDS, max_size=1))
        case VarTupleType():
            items = st.one_of(WHOLE, st.booleans(), FRACTIONS)
            return st.one_of(WHOLE, WORDS, st.booleans(), st.lists(items, min_size=1, max_size=3))
    raise AssertionError(f"{path} has a type that is new here: {kind}")


def toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value) if isinstance(value, bool | str) else str(value)


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    paths = draw(st.sets(st.sampled_from(sorted(TYPES)), min_size=1, max_size=5))
    return {path: draw(bad_values(path)) for path in sorted(paths)}


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(spoilt())
def test_every_bad_value_is_told_by_its_path_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    tables: dict[str, list[str]] = {}
    for path, value in values.items():
        section, _, key = path.partition(".")
        tables.setdefault(section, [f"[{section}]"]).append(f"{key} = {toml(value)}")
    file = tmp_path_factory.getbasetemp() / "values.toml"
    file.write_text("\n".join("\n".join(lines) for lines in tables.values()))
    told = [problem.partition(":")[0] for problem in problems_of(file)]
    assert sorted({one.partition("[")[0] for one in told}) == sorted(values), told


@pytest.mark.parametrize("path", TYPES)
def test_every_key_has_values_it_may_not_have(path: str) -> None:
    """Otherwise nothing is tested of it."""
    assert not bad_values(path).is_empty


class TestLists:
    @pytest.mark.parametrize(
        ("path", "value", "problem"),
        [
            ("rooms.like_kinds", ["like", "no way"], "rooms.like_kinds"),
            ("rooms.like_kinds", [""], "rooms.like_kinds"),
            ("rooms.like_kinds", ["x" * 17], "rooms.like_kinds"),
            ("rooms.like_kinds", [f"k{i}" for i in range(9)], "rooms.like_kinds"),
            ("auth.kind_roles", [""], "auth.kind_roles"),
            ("webhooks.events", ["messages"], "webhooks.events"),
            ("server.dialects", ["danmaku", "irc"], "server.dialects"),
        ],
    )
    def test_one_bad_item_is_told(self, path: str, value: list[str], problem: str) -> None:
        variable = "DANMAKU_" + path.replace(".", "_").upper()
        [told] = problems_of(environ={variable: json.dumps(value)})
        assert told.startswith(problem)
