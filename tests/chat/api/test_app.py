"""Publishing one message or an array: what arrives in the room, and what is refused."""

import json
from typing import Any

import pytest

from tests.chat.api.rig import Api, messages_of, new_room, quoted

HUGE = 4096 + 1
"""More than `api.body_bytes` of these tests."""


class TestPublish:
    def test_a_message_stands_in_the_rooms_history_with_its_defaults(
        self, api: Api, room: str
    ) -> None:
        answer = api.post(room, {"text": "前方高能"})
        assert answer.status == 200
        published = answer.json
        assert published == {
            "accepted": 1,
            "duplicates": 0,
            "epoch": published["epoch"],
            "first": 1,
            "last": 1,
        }
        [message] = api.history(room)
        assert message == {
            "t": "msg",
            "room": room,
            "seq": 1,
            "id": f"{published['epoch']}-1",
            "uid": "system",
            "name": "system",
            "text": "前方高能",
            "color": 0xFFFFFF,
            "mode": "scroll",
            "size": 25,
            "ts": message["ts"],
        }

    def test_every_field_arrives_as_given(self, api: Api, room: str) -> None:
        given: dict[str, Any] = {
            "text": "hi",
            "name": "阿花",
            "uid": "u7",
            "color": 0xFF0000,
            "mode": "top",
            "size": 64,
            "kind": "gift",
            "avatar": "https://a.example/7.png",
            "level": 7,
            "badges": ["fan"],
        }
        assert api.post(room, given).status == 200
        [message] = api.history(room)
        assert {name: message[name] for name in given} == given

    def test_an_array_is_published_in_order(self, api: Api, room: str) -> None:
        answer = api.post(room, [{"text": f"{i}"} for i in range(100)])
        assert (answer.json["accepted"], answer.json["first"], answer.json["last"]) == (100, 1, 100)
        assert api.texts(room) == [f"{i}" for i in range(100)]

    def test_a_media_type_may_have_parameters_and_capitals(self, api: Api, room: str) -> None:
        kind = "Application/JSON; charset=utf-8"
        assert api.call("POST", messages_of(room), b'{"text":"x"}', kind).status == 200

    def test_a_body_may_come_in_chunks(self, api: Api, room: str) -> None:
        parts = [b'{"te', b'xt":"\xe5\xbc', b'\xb9"}']
        assert api.call("POST", messages_of(room), parts).json["accepted"] == 1
        assert api.texts(room) == ["弹"]

    def test_line_breaks_and_controls_do_not_get_into_the_room(self, api: Api, room: str) -> None:
        assert api.post(room, {"text": " a\n\x1b[31mb\u2028", "name": "\x00x\r"}).status == 200
        [message] = api.history(room)
        assert (message["text"], message["name"]) == ("a [31mb", "x")


class TestMessageIds:
    def test_the_same_id_is_published_once_and_says_where(self, api: Api, room: str) -> None:
        first = api.post(room, {"text": "x", "id": "a"}).json
        api.post(room, {"text": "between"})
        again = api.post(room, {"text": "x", "id": "a"}).json
        assert (again["accepted"], again["duplicates"]) == (0, 1)
        assert (again["epoch"], again["first"], again["last"]) == (first["epoch"], 1, 1)
        assert api.texts(room) == ["x", "between"]

    def test_ids_belong_to_a_uid_and_a_room(self, api: Api, room: str) -> None:
        for message in ({"uid": "u1"}, {"uid": "u2"}):
            assert api.post(room, {"text": "x", "id": "a"} | message).json["accepted"] == 1
        assert api.post(new_room(), {"text": "x", "id": "a", "uid": "u1"}).json["accepted"] == 1

    def test_an_id_twice_in_one_array_counts_once(self, api: Api, room: str) -> None:
        answer = api.post(room, [{"text": "x", "id": "a"}, {"text": "y"}, {"text": "x", "id": "a"}])
        assert (answer.json["accepted"], answer.json["duplicates"]) == (2, 1)
        assert api.texts(room) == ["x", "y"]

    def test_an_id_that_another_message_has_is_refused(self, api: Api, room: str) -> None:
        answer = api.post(room, [{"text": "x", "id": "a"}, {"text": "z", "id": "a"}])
        assert (answer.status, answer.json["error"]["code"]) == (409, "id_reused")
        assert answer.json["error"]["accepted"] == 1
        assert api.texts(room) == ["x"]


WRONG_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"text": None}, "text"),
    ({"text": 7}, "text"),
    ({"text": ""}, "text"),
    ({"text": " \n\u2029 "}, "text"),
    ({"text": "\u3164"}, "text"),
    ({"text": "\u2800\ufe0f\U000e0100"}, "text"),
    ({"text": "x" * 301}, "text"),
    ({"text": "弹" * 301}, "text"),
    ({"text": "x", "name": ""}, "name"),
    ({"text": "x", "name": "\u3164"}, "name"),
    ({"text": "x", "name": "n" * 33}, "name"),
    ({"text": "x", "uid": ""}, "uid"),
    ({"text": "x", "uid": "u" * 65}, "uid"),
    ({"text": "x", "uid": "a\nb"}, "uid"),
    ({"text": "x", "uid": "\x1b[2J"}, "uid"),
    ({"text": "x", "color": -1}, "color"),
    ({"text": "x", "color": 0x1000000}, "color"),
    ({"text": "x", "color": 10**18}, "color"),
    ({"text": "x", "color": 1.5}, "color"),
    ({"text": "x", "color": "red"}, "color"),
    ({"text": "x", "mode": "diagonal"}, "mode"),
    ({"text": "x", "size": 11}, "size"),
    ({"text": "x", "size": 65}, "size"),
    ({"text": "x", "kind": "chat"}, "kind"),
    ({"text": "x", "id": ""}, "id"),
    ({"text": "x", "id": "i" * 65}, "id"),
    ({"text": "x", "id": 7}, "id"),
]


class TestWrongFields:
    @pytest.mark.parametrize(("message", "path"), WRONG_FIELDS)
    def test_the_field_is_named_and_nothing_published(
        self, api: Api, room: str, message: dict[str, Any], path: str
    ) -> None:
        answer = api.post(room, message)
        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        assert answer.paths == [path]
        assert api.history(room) == []

    def test_an_unknown_field_is_refused_by_name(self, api: Api, room: str) -> None:
        answer = api.post(room, {"text": "x", "colour": 1})
        assert answer.status == 400
        assert "colour" in answer.error["problems"][0]["message"]

    def test_one_bad_message_refuses_the_whole_array(self, api: Api, room: str) -> None:
        answer = api.post(room, [{"text": "ok"}, {"text": ""}, {"text": "x", "size": 1}, 7])
        assert answer.status == 400
        assert answer.paths == ["[1].text", "[2].size", "[3]"]
        assert api.history(room) == []

    def test_everything_wrong_with_a_message_is_told_at_once(self, api: Api, room: str) -> None:
        answer = api.post(room, {"color": -1, "mode": "up", "size": 0})
        assert answer.paths == ["color", "mode", "size", ""]


class TestBrokenBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"null",
            b"7",
            b'"text"',
            b"[]",
            b"[[]]",
            b'{"text":"\xff\xfe"}',
            b"\xef\xbb\xbf",
            b'{"text":\xef\xbb\xbf"x"}',
            b'\xef\xbb\xbf\xef\xbb\xbf{"text":"x"}',
            '{"text":"x"}'.encode("utf-16"),
            b'{"text":"\\ud800"}',
            b'{"text":"x"} {"text":"y"}',
            b'{"text":"x","color":NaN}',
            b'{"text":"x","color":' + b"9" * 4000 + b"}",
            b"[" * 4000,
            b'{"a":' * 800,
            b'[{"text":' + b"[" * 1000 + b"]" * 1000 + b"}]",
            b"\x00" * 100,
        ],
        ids=lambda body: repr(body[:24]),
    )
    def test_what_is_no_message_is_refused(self, api: Api, room: str, body: bytes) -> None:
        answer = api.call("POST", messages_of(room), body)
        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        assert answer.error["problems"]
        assert api.history(room) == []

    @pytest.mark.parametrize(
        "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "json", "a/json"]
    )
    def test_another_content_type_is_refused(self, api: Api, room: str, kind: str | None) -> None:
        # What a page may send to another site without asking first is among them.
        answer = api.call("POST", messages_of(room), b'{"text":"x"}', kind)
        assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
        assert api.history(room) == []


class TestHugeBodies:
    def test_one_byte_too_many_is_refused(self, api: Api, room: str) -> None:
        fits = json.dumps({"text": "x"}).encode().ljust(HUGE - 1)
        assert api.call("POST", messages_of(room), fits).status == 200
        answer = api.call("POST", messages_of(room), fits + b" ")
        assert (answer.status, answer.error["code"]) == (413, "too_large")
        assert answer.error["message"].endswith("stream more as lines, application/x-ndjson")

    def test_only_messages_may_come_as_lines(self, api: Api) -> None:
        answer = api.call("POST", "/v1/broadcast", b" " * HUGE)
        assert (answer.status, answer.error["message"]) == (
            413,
            f"a body is at most {HUGE - 1} bytes",
        )

    def test_a_huge_body_in_chunks_is_refused(self, api: Api, room: str) -> None:
        chunks = (b" " * 1000 for _ in range(1000))
        assert api.call("POST", messages_of(room), chunks).status == 413

    def test_a_length_nobody_means_is_refused_before_it_comes(self, api: Api, room: str) -> None:
        with api.connection() as connection:
            connection.putrequest("POST", messages_of(room))
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(2**40))
            connection.endheaders(b" ")
            assert connection.getresponse().status == 413


class TestRoomNames:
    @pytest.mark.parametrize("name", ["a", "live:42", "直播间:7", "Зал_1", "a.b-c", "x" * 64])
    def test_a_good_name_is_taken(self, api: Api, name: str) -> None:
        assert api.post(name, {"text": "x"}).status == 200
        assert api.get(f"/v1/rooms/{quoted(name)}").json["room"] == name

    @pytest.mark.parametrize(
        "quoted_name",
        ["a%20b", "%20", "a%00", "a%0A", "a%0Ab", "a!", "x" * 65, "%FF", "%F0%9F%98%80", "a%3Fb"],
    )
    @pytest.mark.parametrize("tail", ["", "/messages"])
    def test_a_bad_name_is_a_400_that_says_so(self, api: Api, quoted_name: str, tail: str) -> None:
        answer = api.get(f"/v1/rooms/{quoted_name}{tail}")
        assert (answer.status, answer.paths) == (400, ["room"])

    def test_a_bad_name_is_told_before_the_body_is(self, api: Api) -> None:
        assert api.post("a b", {"nothing": "right"}).paths == ["room"]
