"""Bodies in, messages out. Whatever bytes come, they are messages or BadBody, nothing else; and
however lines are cut into chunks, they are the same lines, while no more than one is held."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Struct, UnsetType

from chat.api import bodies
from chat.api.bodies import (
    MAX_LISTED,
    MAX_QUOTED,
    STEP,
    BadBody,
    LineSplitter,
    Steps,
    read_fields,
    read_line,
)
from chat.api.models import MessageIn, Problem
from chat.api.rulings import SanctionIn
from chat.config.sections import Limits
from chat.policy.text import is_clean, room_problem
from tests.chat.api.reading import read_broadcast, read_messages

LIMITS = Limits(text_chars=10, room_chars=8)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
fields = st.sampled_from([*MessageIn.__struct_fields__, "extra"])
near_messages = st.dictionaries(
    fields,
    json_values | st.sampled_from(["x", "\n", "top", "gift", 0, 25, 12, 64, 2**63, 2**64, -1]),
    max_size=5,
)
near_broadcasts = st.fixed_dictionaries(
    {},
    optional={
        "rooms": st.lists(st.text(max_size=10), max_size=3) | json_values,
        "all": st.booleans() | json_values,
        "users": st.lists(st.text(max_size=3), max_size=3) | json_values,
        "message": near_messages | json_values,
        "messages": st.lists(near_messages, max_size=3) | json_values,
        "extra": json_values,
    },
)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def problems_of(value: object) -> list[str]:
    """Where a document is wrong."""
    with pytest.raises(BadBody) as caught:
        read_messages(encoded(value), LIMITS)
    return [problem.path for problem in caught.value.problems]


def assert_sound(message: MessageIn) -> None:
    """Nobody downstream has to look at it again."""
    assert 1 <= len(message.text) <= LIMITS.text_chars
    assert is_clean(message.text)
    assert message.name
    assert is_clean(message.name)
    assert message.uid
    assert is_clean(message.uid)
    assert msgspec.convert(msgspec.to_builtins(message), MessageIn) == message
    msgspec.json.encode(message)


class TestAnyBytes:
    @given(st.binary(max_size=60) | json_values.map(encoded) | near_messages.map(encoded))
    def test_a_document_is_sound_messages_or_bad(self, data: bytes) -> None:
        try:
            messages = read_messages(data, LIMITS)
        except BadBody as bad:
            assert bad.problems
            msgspec.json.encode(bad.problems)
        else:
            assert messages
            for message in messages:
                assert_sound(message)

    @given(st.binary(max_size=60) | near_messages.map(encoded))
    def test_a_line_is_a_sound_message_or_a_problem(self, line: bytes) -> None:
        found = read_line(line, LIMITS)
        if isinstance(found, MessageIn):
            assert_sound(found)
        else:
            assert isinstance(found, Problem)
            assert found.message

    @given(st.binary(max_size=60) | near_broadcasts.map(encoded))
    def test_a_broadcast_has_one_kind_of_target_or_is_bad(self, data: bytes) -> None:
        try:
            broadcast, messages = read_broadcast(data, LIMITS)
        except BadBody as bad:
            assert bad.problems
            msgspec.json.encode(bad.problems)
        else:
            assert [bool(broadcast.rooms), broadcast.all, bool(broadcast.users)].count(True) == 1
            for room in broadcast.rooms or ():
                assert room_problem(room, LIMITS.room_chars) is None
            assert messages
            for message in messages:
                assert_sound(message)

    @given(near_messages)
    def test_a_line_and_a_document_agree(self, message: dict[str, Any]) -> None:
        found = read_line(encoded(message), LIMITS)
        try:
            [alone] = read_messages(encoded(message), LIMITS)
            assert found == alone
        except BadBody as bad:
            assert found == bad.problems[0]

    def test_nesting_without_end_is_bad(self) -> None:
        for data in (b"[" * 10**6, b'{"a":' * 10**5, b'{"text":' + b"[" * 10**6):
            with pytest.raises(BadBody):
                read_messages(data, LIMITS)


class TestPaths:
    def test_a_single_message_names_its_field(self) -> None:
        assert problems_of({"text": "x", "size": 1}) == ["size"]
        assert problems_of({"text": ""}) == ["text"]
        assert problems_of({"text": "x" * 11}) == ["text"]

    def test_an_array_names_the_message_too(self) -> None:
        bad = [{"text": "ok"}, {"text": "x", "size": 1}, 7, {"text": ""}, {}]
        assert problems_of(bad) == ["[1].size", "[2]", "[3].text", "[4]"]

    def test_a_whole_number_is_one_however_it_is_written(self) -> None:
        for size in ("24.0", "2.4e1", "24", "240e-1"):
            [message] = read_messages(b'{"text":"x","size":%b}' % size.encode(), LIMITS)
            assert repr(message.size) == "24"
        assert repr(read_fields(b'{"seconds":60.0}', SanctionIn).seconds) == "60"
        for size in ("24.5", "1e300", "-1e300", "1e400", "9007199254740993.0", "true", '"24"'):
            with pytest.raises(BadBody) as caught:
                read_messages(b'[{"text":"x","size":%b}]' % size.encode(), LIMITS)
            assert len(caught.value.problems) == 1

    def test_every_field_that_is_wrong_is_named(self) -> None:
        names = [name for name in MessageIn.__struct_fields__ if name != "data"]
        assert problems_of({name: {} for name in names}) == names
        assert problems_of({"text": "", "data": "x" * 4_095}) == ["text", "data"]
        for uid in ("a\nb", ".", ".."):
            assert problems_of({"text": "", "uid": uid}) == ["uid", "text"]
        assert problems_of({"text": "", "badges": ["fan", " x"]}) == ["badges", "text"]
        assert problems_of([{"size": 1, "color": -1}]) == ["[0].size", "[0].color", "[0]"]

    def test_a_broadcast_is_refused_when_rooms_times_messages_are_too_many(self) -> None:
        rooms, messages = [f"r{i}" for i in range(1000)], [{"text": "x"}] * 21
        data = json.dumps({"rooms": rooms, "messages": messages[:20]}).encode()
        assert len(read_broadcast(data, LIMITS)[1]) == 20
        data = json.dumps({"rooms": rooms, "messages": messages}).encode()
        with pytest.raises(BadBody) as bad:
            read_broadcast(data, LIMITS)
        assert [problem.path for problem in bad.value.problems] == ["rooms"]

    def test_a_broadcast_names_rooms_and_messages(self) -> None:
        document = {"rooms": ["ok", "a b", "x" * 9], "messages": [{"text": "x"}, {"text": " "}]}
        with pytest.raises(BadBody) as caught:
            read_broadcast(encoded(document), LIMITS)
        paths = [problem.path for problem in caught.value.problems]
        assert paths == ["rooms[1]", "rooms[2]", "messages[1].text"]

    def test_no_more_than_a_hundred_are_listed(self) -> None:
        assert len(problems_of([{"text": ""}] * 150)) == MAX_LISTED
        assert len(problems_of({f"x{i}": 1 for i in range(150)})) == MAX_LISTED

    def test_nothing_is_checked_that_is_not_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        checked: list[str] = []
        real = bodies.message_of

        def counted(document: Any, path: str, limits: Limits) -> MessageIn:
            checked.append(path)
            return real(document, path, limits)

        monkeypatch.setattr(bodies, "message_of", counted)
        assert len(problems_of([{"text": ""}] * 1_000)) == MAX_LISTED
        assert len(checked) == MAX_LISTED

    @pytest.mark.parametrize("reading", [bodies.read_messages, bodies.read_broadcast])
    def test_others_have_a_turn_after_each_step(self, reading: Callable[..., Steps[Any]]) -> None:
        many: Any = [{"text": "x"}] * (3 * STEP)
        if reading is bodies.read_broadcast:
            many = {"rooms": ["r"], "messages": many}
        assert len(list(reading(encoded(many), LIMITS))) == 3

    def test_null_is_as_good_as_absent_in_a_broadcast(self) -> None:
        document = {"all": True, "rooms": None, "users": None, "messages": None}
        broadcast, [message] = read_broadcast(
            encoded(document | {"message": {"text": "x"}}), LIMITS
        )
        assert (broadcast.all, message.text) == (True, "x")


class TestCleaning:
    def test_text_and_name_are_one_line(self) -> None:
        [message] = read_messages(encoded({"text": "\na\tb ", "name": " \x9bn"}), LIMITS)
        assert (message.text, message.name) == ("a b", "n")

    def test_no_tower_of_marks_gets_in(self) -> None:
        tower = "Z" + "\u0310\u0301\u0302\u0303" * 7
        [message] = read_messages(encoded({"text": tower, "name": tower}), LIMITS)
        assert message.text == message.name == "Z" + "\u0310\u0301\u0302\u0303" * 2
        assert problems_of({"text": "x", "uid": tower}) == ["uid"]

    @pytest.mark.parametrize(
        "unseen",
        [
            "\n",
            " ",
            "\u3164",
            "\u115f",
            "\u2800",
            "\u200c",
            "\u00ad",
            "\ufe0f",
            "\U000e0100",
            "\ufffc",
        ],
    )
    def test_what_nobody_can_see_is_nothing(self, unseen: str) -> None:
        for field in ("text", "name", "uid"):
            for value in (unseen, unseen * 3, f"{unseen} {unseen}"):
                assert problems_of({"text": "x", field: value}) == [field]
        assert problems_of({"text": unseen, "name": unseen, "uid": unseen}) == [
            *("uid", "name", "text")
        ]

    def test_the_name_of_who_gives_none_is_the_systems(self) -> None:
        [message] = read_messages(encoded({"text": "x", "uid": "u7"}), LIMITS)
        assert message.name == "system"

    def test_length_is_counted_after_cleaning(self) -> None:
        [message] = read_messages(encoded({"text": " " * 50 + "x" * 10}), LIMITS)
        assert message.text == "x" * 10


def split(chunks: list[bytes], most: int) -> list[bytes | None]:
    splitter = LineSplitter(most)
    found: list[bytes | None] = []
    for chunk in chunks:
        found += splitter.feed(chunk)
        assert len(splitter._rest) <= most
    return found + list(splitter.finish())


text = st.lists(st.sampled_from([b"a", b"\n", b"bc", b"\r\n", b"d" * 7, b"\xff"])).map(b"".join)


class TestLineSplitter:
    @given(text, st.lists(st.integers(0, 60)), st.integers(1, 9))
    def test_chunks_make_no_difference(self, data: bytes, cuts: list[int], most: int) -> None:
        edges = [0, *sorted(cuts), len(data)]
        chunks = [data[a:b] for a, b in pairwise(edges)]
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        expected = [line if len(line) <= most else None for line in lines]
        assert split(chunks, most) == expected
        assert split([data[i : i + 1] for i in range(len(data))], most) == expected

    def test_a_long_line_is_given_up_before_it_ends(self) -> None:
        splitter = LineSplitter(4)
        assert list(splitter.feed(b"12345")) == [None]
        assert list(splitter.feed(b"6" * 1000)) == []
        assert list(splitter.feed(b"7\nok\n")) == [b"ok"]

    def test_nothing_is_left_after_the_end(self) -> None:
        splitter = LineSplitter(4)
        assert list(splitter.feed(b"ab")) == []
        assert list(splitter.finish()) == [b"ab"]
        assert list(splitter.finish()) == []


class Order(Struct, forbid_unknown_fields=True):
    """A body for these tests."""

    uid: Annotated[str, Meta(min_length=1)]
    seconds: Annotated[int, Meta(ge=1)] | None = None
    pinned: int | UnsetType | None = UNSET


class TestFields:
    def test_a_good_object_is_a_struct(self) -> None:
        assert read_fields(b'{"uid": "u", "pinned": null}', Order) == Order("u", pinned=None)

    @pytest.mark.parametrize(
        ("body", "paths"),
        [
            (b'{"seconds": 0, "pinned": "x", "more": 1, "any": 2}',
             ["any", "more", "uid", "seconds", "pinned"]),
            (b'{"uid": "u", "seconds": []}', ["seconds"]),
            (b"[]", [""]),
            (b"", [""]),
            (b'{"uid": "\xff"}', [""]),
            (b"[" * 10_000, [""]),
        ],
    )  # fmt: skip
    def test_everything_that_is_wrong_is_told_by_its_field(
        self, body: bytes, paths: list[str]
    ) -> None:
        with pytest.raises(BadBody) as caught:
            read_fields(body, Order)
        assert [problem.path for problem in caught.value.problems] == paths

    def test_little_of_what_was_sent_is_told_back(self) -> None:
        body = json.dumps({f"{i}" * 1_000: 1 for i in range(1_000, 1_500)}).encode()
        with pytest.raises(BadBody) as caught:
            read_fields(body, Order)
        assert len(caught.value.problems) == MAX_LISTED
        assert {len(problem.path) for problem in caught.value.problems} == {MAX_QUOTED}

    @given(st.binary(max_size=60) | json_values.map(lambda one: json.dumps(one).encode()))
    def test_whatever_it_is_it_is_an_order_or_refused(self, body: bytes) -> None:
        try:
            assert isinstance(read_fields(body, Order), Order)
        except BadBody as bad:
            assert bad.problems
