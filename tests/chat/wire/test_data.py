"""What may be attached to a message: any JSON, within bounds; and every dialect can write it."""

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.wire.batch import batches
from chat.wire.data import MAX_DATA_BYTES, MAX_DATA_DEPTH, data_problem
from chat.wire.dialects.native import JSON, MSGPACK
from chat.wire.schema import Msg

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
ANY = st.recursive(
    LEAVES, lambda deeper: st.lists(deeper) | st.dictionaries(TEXT, deeper), max_leaves=20
)


def nested(depth: int) -> Any:
    data: Any = 1
    for _ in range(depth):
        data = [data]
    return data


@given(ANY)
def test_what_passes_is_delivered_as_it_is(data: Any) -> None:
    if data_problem(data) is not None:
        assert len(json.dumps(data)) > MAX_DATA_BYTES // 2
        return
    message = Msg("r", 1, "e-1", "u", "u", "x", 0, "top", 12, 5, data=data)
    [batch] = batches("r", "e", [message])
    assert json.loads(JSON.event(batch))["m"][0]["data"] == data
    assert msgpack.unpackb(MSGPACK.event(batch))["m"][0]["data"] == data


def test_bytes_count_as_they_are_written() -> None:
    assert data_problem("x" * (MAX_DATA_BYTES - 2)) is None
    assert data_problem("x" * (MAX_DATA_BYTES - 1)) == "data is longer than 4096 bytes"
    assert data_problem("幕" * (MAX_DATA_BYTES // 2)) is not None


def test_it_is_so_deep_and_no_deeper() -> None:
    assert data_problem(nested(MAX_DATA_DEPTH)) is None
    assert data_problem(nested(MAX_DATA_DEPTH + 1)) == "data is nested deeper than 32"
    assert data_problem({"a": nested(MAX_DATA_DEPTH)}) == "data is nested deeper than 32"


@pytest.mark.parametrize(
    "data", [2**64, -(2**63) - 1, float("inf"), float("nan"), {1: 2}, b"x", [object()], "\ud83d"]
)
def test_what_some_dialect_cannot_say_is_refused(data: Any) -> None:
    assert data_problem(data) is not None
