"""Server-sent events: where a client says it was, and what it is sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.wire.commands import Join, Since
from chat.wire.dialects.eventstream import EVENT_STREAM, RETRY
from chat.wire.dialects.native import JSON
from chat.wire.schema import Bye, Msgs, Online, ServerEvent
from shard.handshake import Request


def opening(rooms: list[str], last_id: str | None = None, query: str | None = None) -> list[Join]:
    headers = {} if last_id is None else {"last-event-id": last_id}
    values = {"room": rooms} | ({} if query is None else {"lastEventId": [query]})
    return EVENT_STREAM.opening(Request("/sse", values, headers))


class TestOpening:
    def test_without_a_position_the_newest_is_asked_for(self) -> None:
        assert opening(["a", "b", "a"]) == [Join("a"), Join("b")]
        assert opening([]) == []

    @pytest.mark.parametrize("how", ["header", "query"])
    def test_each_room_has_its_own_position(self, how: str) -> None:
        told = "k3f9x2-17,e2-0"
        joins = opening(["a", "b"], **{"last_id" if how == "header" else "query": told})
        assert joins == [Join("a", Since("k3f9x2", 17)), Join("b", Since("e2", 0))]

    def test_it_may_have_a_time(self) -> None:
        joins = opening(["a", "b"], "k3f9x2-17-1764000000123,e2-0")
        assert joins == [Join("a", Since("k3f9x2", 17, 1764000000123)), Join("b", Since("e2", 0))]

    def test_the_header_is_newer_than_the_address(self) -> None:
        assert opening(["a"], "e2-9", "e1-3") == [Join("a", Since("e2", 9))]
        assert opening(["a"], "nonsense", "e1-3") == [Join("a")]
        assert opening(["a"], "", "e1-3") == [Join("a", Since("e1", 3))]

    @pytest.mark.parametrize(
        "told",
        ["", "x", "-", "-5", "-00", "e-", "e-1,e-2", "e--1", "e-1x",
         "e-1-", "e-1-x", "e-1-1-1", "-0-1", "e 1-1", "e-1 ", "é-1", "e-１",
         f"{'e' * 33}-1", f"e-{'9' * 17}", f"e-1-{'9' * 17}", "e-1,", ",e-1"],
    )  # fmt: skip
    def test_anything_else_is_as_good_as_none(self, told: str) -> None:
        assert opening(["a"], told) == opening(["a"], query=told) == [Join("a")]
        assert opening(["a", "b"], f"{told},e-1") in (
            [Join("a"), Join("b")],
            [Join("a"), Join("b", Since("e", 1))],
        )

    def test_one_for_other_rooms_is_none_for_any(self) -> None:
        assert opening(["a", "b"], "e-1") == [Join("a"), Join("b")]
        assert opening(["a", "b"], "e-1,e-2,e-3") == [Join("a"), Join("b")]
        assert opening(["a", "b", "a"], "e-1,e-2") == [
            *(Join("a", Since("e", 1)), Join("b", Since("e", 2)))
        ]
        assert opening([], "e-1") == []

    def test_one_room_it_does_not_know_does_not_harm_the_others(self) -> None:
        assert opening(["a", "b"], "e-1,-") == [Join("a", Since("e", 1)), Join("b")]

    def test_a_room_that_nobody_had_spoken_in_has_one_too(self) -> None:
        assert opening(["a", "b"], "-0,e-1") == [
            *(Join("a", Since("", 0)), Join("b", Since("e", 1)))
        ]

    @pytest.mark.parametrize("place", [f"{'e' * 32}-{'9' * 16}", "Az09-0", "e-007"])
    def test_the_longest_and_the_strangest_are_positions(self, place: str) -> None:
        epoch, _, seq = place.partition("-")
        assert opening(["a"], place) == [Join("a", Since(epoch, int(seq)))]

    @given(st.text(max_size=60), st.lists(st.sampled_from("abc"), unique=True))
    def test_whatever_is_told_every_room_is_joined(self, told: str, rooms: list[str]) -> None:
        assert [join.room for join in opening(rooms, told)] == rooms


class TestPayloads:
    def test_a_batch_is_one_event_on_one_line(self) -> None:
        events = [
            EVENT_STREAM.event(Msgs("a", "k", 1, 1, [])),
            EVENT_STREAM.event(Online("a\nb\r\u2028", 3)),
        ]
        payload = EVENT_STREAM.payload([one for one in events if one], "k-1,e-2")
        name, data, *rest = payload.split(b"\n")
        assert (name, rest) == (b"id: k-1,e-2", [b"", b""])
        assert b"\r" not in payload
        found = json.loads(data.removeprefix(b"data: "))
        assert [event["t"] for event in found] == ["msgs", "online"]

    def test_without_a_position_the_last_one_stands(self) -> None:
        assert EVENT_STREAM.payload([b"{}"]) == b"data: [{}]\n\n"

    def test_it_begins_with_when_to_come_back(self) -> None:
        assert EVENT_STREAM.greeting() == RETRY == b"retry: 2000\n\n"

    def test_a_bye_says_when_to_come_back_in_milliseconds(self) -> None:
        retry, data, *rest = EVENT_STREAM.farewell(Bye("restart", 2.345)).split(b"\n")
        assert retry == b"retry: 2345"
        [bye] = json.loads(data.removeprefix(b"data: "))
        assert bye == {"t": "bye", "reason": "restart", "reconnect_in": 2.345}
        assert rest == [b"", b""]

    def test_a_payload_has_no_words_but_the_native_ones(self) -> None:
        events: list[ServerEvent] = [Msgs("幕", "k", 1, 1, []), Online("a", 3), Bye("x", 1)]
        for event in events:
            assert EVENT_STREAM.event(event) == JSON.event(event)

    def test_it_only_watches_and_has_its_position_told(self) -> None:
        assert EVENT_STREAM.watches
        assert EVENT_STREAM.places
        assert not any((EVENT_STREAM.introduces, EVENT_STREAM.binary, EVENT_STREAM.name))

    def test_nothing_is_taken_in(self) -> None:
        with pytest.raises(AssertionError):
            EVENT_STREAM.decode(b"{}")
