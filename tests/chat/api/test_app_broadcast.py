"""Publishing to many rooms, to everyone, to users."""

from typing import Any

import pytest

from tests.chat.api.rig import Api, new_room
from tests.chat.rig import read_notice

HI = {"text": "hi"}


class TestRooms:
    def test_each_room_gets_each_message(self, api: Api) -> None:
        rooms = [new_room(), new_room()]
        answer = api.broadcast({"rooms": rooms, "messages": [{"text": "a"}, {"text": "b"}]})
        assert (answer.status, answer.json["accepted"]) == (200, 4)
        assert [api.texts(room) for room in rooms] == [["a", "b"]] * 2

    def test_a_room_named_twice_gets_it_once(self, api: Api, room: str) -> None:
        assert api.broadcast({"rooms": [room, room], "message": HI}).json["accepted"] == 1
        assert api.texts(room) == ["hi"]

    def test_an_id_guards_every_room_by_itself(self, api: Api) -> None:
        one, other = new_room(), new_room()
        message = HI | {"id": "a"}
        api.broadcast({"rooms": [one], "message": message})
        done = api.broadcast({"rooms": [one, other], "message": message}).json
        assert (done["accepted"], done["duplicates"]) == (1, 1)
        assert [api.texts(room) for room in (one, other)] == [["hi"]] * 2

    def test_one_bad_room_refuses_them_all(self, api: Api, room: str) -> None:
        answer = api.broadcast({"rooms": [room, "a b", "", "x" * 65], "message": HI})
        assert (answer.status, answer.paths) == (400, ["rooms[1]", "rooms[2]", "rooms[3]"])
        assert api.history(room) == []


class TestNotices:
    def test_everyone_gets_a_notice(self, api: Api) -> None:
        message = {"text": "维护", "name": "运营", "color": 255, "kind": "system"}
        answer = api.broadcast({"all": True, "message": message})
        assert (answer.status, len(answer.json["notices"])) == (200, 1)
        [notice_id] = answer.json["notices"]
        noticed = read_notice(api.notices()[-1])
        notice = noticed.event(notice_id)
        assert noticed.users is None
        assert (notice.text, notice.name, notice.color, notice.kind) == (
            "维护",
            "运营",
            255,
            "system",
        )

    def test_users_get_notices_of_their_own(self, api: Api) -> None:
        document = {"users": ["u1", "u2"], "messages": [{"text": "a"}, {"text": "b"}]}
        notices = api.broadcast(document).json["notices"]
        assert notices == sorted(notices)
        last = [read_notice(entry) for entry in api.notices()[-2:]]
        assert [(noticed.users, noticed.text) for noticed in last] == [
            (["u1", "u2"], "a"),
            (["u1", "u2"], "b"),
        ]


WRONG: list[tuple[Any, list[str]]] = [
    (7, [""]),
    ([], [""]),
    ({}, ["", ""]),
    ({"message": HI}, [""]),
    ({"all": True}, [""]),
    ({"all": True, "rooms": ["a"], "message": HI}, [""]),
    ({"rooms": ["a"], "users": ["u"], "message": HI}, [""]),
    ({"all": False, "message": HI}, [""]),
    ({"all": "yes", "message": HI}, ["all"]),
    ({"all": True, "message": HI, "messages": [HI]}, [""]),
    ({"all": True, "messages": []}, ["messages"]),
    ({"all": True, "messages": HI}, ["messages"]),
    ({"all": True, "messages": [HI, {"text": ""}]}, ["messages[1].text"]),
    ({"all": True, "message": {"text": "x", "size": 1}}, ["message.size"]),
    ({"all": True, "message": [HI]}, ["message"]),
    ({"rooms": "a", "message": HI}, ["rooms"]),
    ({"rooms": ["a", 7], "message": HI}, ["rooms[1]"]),
    ({"rooms": ["a"] * 1001, "message": HI}, ["rooms"]),
    ({"users": [], "message": HI}, ["", "users"]),
    ({"users": ["a"] * 1001, "message": HI}, ["users"]),
]


class TestWrongBroadcasts:
    @pytest.mark.parametrize(("document", "paths"), WRONG, ids=lambda value: repr(value)[:40])
    def test_what_is_wrong_is_named(self, keyless: Api, document: Any, paths: list[str]) -> None:
        before = len(keyless.notices())
        answer = keyless.broadcast(document)
        assert (answer.status, answer.paths) == (400, paths)
        assert len(keyless.notices()) == before

    def test_an_unknown_field_is_refused(self, api: Api) -> None:
        answer = api.broadcast({"all": True, "message": HI, "when": "now"})
        assert "when" in answer.error["problems"][0]["message"]

    def test_lines_are_not_taken(self, api: Api) -> None:
        assert api.call("POST", "/v1/broadcast", b"{}", "application/x-ndjson").status == 415

    def test_too_many_notices_are_refused_whole(self, keyless: Api) -> None:
        before = len(keyless.notices())
        answer = keyless.broadcast({"all": True, "messages": [HI] * 1001})
        assert (answer.status, answer.paths) == (400, ["messages"])
        assert len(keyless.notices()) == before
