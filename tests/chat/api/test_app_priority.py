"""What backends say of their messages: how much they matter, how long, and data for the page."""

import json
from typing import Any

import pytest

from chat.bus.entries import Said
from tests.chat.api.rig import Api, lines, messages_of, path_of, until


def limited(api: Api, room: str, per_s: int) -> None:
    """Set how many messages a second a room takes."""
    answer = api.send("PATCH", f"{path_of(room)}/settings", {"messages_per_s": per_s})
    assert answer.status == 200, answer


class TestData:
    @pytest.mark.parametrize(
        "data", [{"amount": 9.5, "of": ["¥", None, True]}, [], 0, "", False, {"a": {"b": [1, 2.0]}}]
    )
    def test_it_is_delivered_as_it_is(self, api: Api, room: str, data: Any) -> None:
        assert api.post(room, {"text": "gift", "kind": "gift", "data": data}).status == 200
        [found] = api.history(room)
        assert found["data"] == data
        assert type(found["data"]) is type(data)

    def test_null_is_none(self, api: Api, room: str) -> None:
        api.post(room, {"text": "x", "data": None, "priority": None, "ttl_s": None})
        [found] = api.history(room)
        assert not {"data", "priority", "until"} & found.keys()

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (json.loads("[" * 33 + "]" * 33), "data is nested deeper than 32"),
            ([[[]]] * 2 + [10**30], "data cannot be written"),
        ],
    )
    def test_what_cannot_be_is_named(self, api: Api, room: str, data: Any, why: str) -> None:
        answer = api.post(room, [{"text": "x"}, {"text": "x", "data": data}])
        assert answer.status == 400
        [problem] = answer.error["problems"]
        assert problem["path"] == "[1].data"
        assert problem["message"].startswith(why)

    def test_the_same_id_with_other_data_is_another_message(self, api: Api, room: str) -> None:
        first = {"text": "x", "id": "i", "data": {"n": 1}}
        assert api.post(room, first).json["accepted"] == 1
        assert api.post(room, {**first, "priority": 9}).json["duplicates"] == 1
        assert api.post(room, {**first, "data": {"n": 2}}).status == 409


class TestTime:
    @pytest.mark.parametrize("ttl_s", [0, -1, 31_536_001, "1"])
    def test_it_is_some_seconds(self, api: Api, room: str, ttl_s: Any) -> None:
        assert api.post(room, {"text": "x", "ttl_s": ttl_s}).paths == ["ttl_s"]

    def test_after_it_the_place_is_left(self, api: Api, room: str) -> None:
        api.post(room, [{"text": "short", "ttl_s": 0.05}, {"text": "long", "ttl_s": 3600}])

        def gone() -> bool:
            return [one["t"] for one in api.get(messages_of(room)).json["messages"]] == [
                "removed",
                "msg",
            ]

        until(gone, "the end of its time")
        [removed, kept] = api.get(messages_of(room)).json["messages"]
        assert removed == {"t": "removed", "seq": 1, "removed": True}
        assert kept["until"] - kept["ts"] == 3_600_000


class TestPriority:
    @pytest.mark.parametrize(
        ("said", "found"),
        [({}, None), ({"kind": "gift"}, 8), ({"kind": "system", "priority": 2}, 2),
         ({"priority": 0}, 0), ({"priority": 5}, None)],
    )  # fmt: skip
    def test_it_is_what_is_said_or_that_of_its_kind(
        self, api: Api, room: str, said: dict[str, Any], found: int | None
    ) -> None:
        api.post(room, {"text": "x", **said})
        assert api.history(room)[0].get("priority") == found

    @pytest.mark.parametrize("priority", [-1, 10, 1.5, "5"])
    def test_it_is_0_to_9(self, api: Api, room: str, priority: Any) -> None:
        assert api.post(room, {"text": "x", "priority": priority}).paths == ["priority"]

    def test_a_busy_room_refuses_what_matters_less(self, api: Api, room: str) -> None:
        limited(api, room, 4)
        some = [{"text": f"{i}", "priority": 1} for i in range(4)]
        answer = api.post(room, some)
        assert (answer.status, answer.error["code"]) == (429, "room_busy")
        assert answer.error["accepted"] == 2
        assert 0 < answer.error["retry_after"] <= 0.5
        assert answer.error["retry_after"] == round(answer.error["retry_after"], 2)
        assert int(answer.headers["retry-after"]) == 1

    def test_but_not_what_says_nothing_or_matters_more(self, api: Api, room: str) -> None:
        limited(api, room, 1)
        for message in ({"text": "x"}, {"text": "x", "priority": 6}, {"text": "x", "kind": "gift"}):
            assert api.post(room, [message] * 20).json["accepted"] == 20
        assert api.post(room, {"text": "x", "priority": 5}).status == 429

    def test_of_a_stream_the_others_are_published(self, api: Api, room: str) -> None:
        limited(api, room, 2)
        some = [{"text": f"{i}", "priority": 9 if i % 2 else 1} for i in range(10)]
        answer = api.stream(room, lines(*some)).json
        assert (answer["accepted"], answer["rejected"]) == (6, 4)
        assert answer["problems"][0]["line"] == 3
        assert answer["problems"][0]["message"].startswith("more is said in the room")
        assert api.texts(room) == ["0", "1", "3", "5", "7", "9"]


def test_an_entry_without_any_is_chat(api: Api, room: str) -> None:
    api.put(room, Said("u", "n", "x", 1, "top", 25, 9))
    [found] = api.history(room)
    assert not {"data", "priority", "until"} & found.keys()
