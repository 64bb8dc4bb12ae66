"""Reading back: a room, its history page by page, the fullest rooms; and what is nowhere."""

import time

import pytest

from chat.bus.entries import Cleared, Deleted, Ruled, Said
from tests.chat.api.rig import Api, messages_of, new_room, quoted

TOO_BIG = "9" * 5000
HIDDEN = "0" * 30 + TOO_BIG
"""A number whose beginning is within every bound."""


class TestRoom:
    def test_it_says_where_the_room_is(self, api: Api, room: str) -> None:
        published = api.post(room, [{"text": "a"}, {"text": "b"}]).json
        assert api.get(f"/v1/rooms/{quoted(room)}").json == {
            "room": room,
            "epoch": published["epoch"],
            "seq": 2,
            "online": 0,
            "peak": 0,
            "peak_at": None,
            "unique": 0,
            "likes": {},
        }

    def test_its_likes_are_those_of_all_shards(self, api: Api, room: str) -> None:
        api.post(room, {"text": "a"})
        api.like(room, {"like": 812, "heart": 3})
        assert api.get(f"/v1/rooms/{quoted(room)}").json["likes"] == {"like": 812, "heart": 3}

    def test_its_viewers_are_what_the_shards_report(self, api: Api, room: str) -> None:
        api.post(room, {"text": "a"})
        for viewers, *uids in ((812, "u1", "u2"), (900, "u2", "u3"), (7,)):
            api.report_online(room, viewers, *uids)
        found = api.get(f"/v1/rooms/{quoted(room)}").json
        assert (found["online"], found["peak"], found["unique"]) == (7, 900, 3)
        assert abs(found["peak_at"] / 1000 - time.time()) < 60

    def test_one_that_is_watched_and_not_spoken_in_is_at_its_beginning(
        self, api: Api, room: str
    ) -> None:
        api.report_online(room, 3)
        found = api.get(f"/v1/rooms/{quoted(room)}").json
        assert (found["epoch"], found["seq"], found["online"]) == ("", 0, 3)
        page = api.get(messages_of(room)).json
        assert (page["epoch"], page["messages"], page["next"]) == ("", [], None)

    @pytest.mark.parametrize("tail", ["", "/messages"])
    def test_a_room_nobody_was_in_is_a_404_and_is_not_made(
        self, api: Api, room: str, tail: str
    ) -> None:
        for _ in range(2):
            answer = api.get(f"/v1/rooms/{quoted(room)}{tail}")
            assert (answer.status, answer.error["code"]) == (404, "not_found")


class TestHistory:
    def test_pages_join_to_the_whole(self, api: Api, room: str) -> None:
        api.post(room, [{"text": f"{i}"} for i in range(10)])
        pages, after = [], 0
        while after is not None:
            page = api.get(f"{messages_of(room)}?limit=4&after={after}").json
            assert (page["room"], page["seq"]) == (room, 10)
            pages.append([message["text"] for message in page["messages"]])
            after = page["next"]
        assert pages == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]

    def test_the_last_page_is_known_by_itself_when_it_is_full(self, api: Api, room: str) -> None:
        api.post(room, [{"text": "a"}, {"text": "b"}])
        page = api.get(f"{messages_of(room)}?limit=1&after=1").json
        assert ([message["seq"] for message in page["messages"]], page["next"]) == ([2], None)

    def test_what_is_no_message_is_left_out_and_paged_over(self, api: Api, room: str) -> None:
        first, last = (Said("u7", "阿花", text, 1, "top", 25, 1764) for text in "ab")
        api.put(room, first, Deleted(1, 5), Cleared(None, 6), Ruled({"slow_s": 2}, 7), last)
        pages, after = [], 0
        while after is not None:
            page = api.get(f"{messages_of(room)}?limit=2&after={after}").json
            pages.append(([message["seq"] for message in page["messages"]], page["next"]))
            after = page["next"]
        assert pages == [([1], 2), ([], 4), ([5], None)]
        who = {"uid": "u7", "name": "阿花", "color": 1, "mode": "top", "size": 25, "ts": 1764}
        place = {"t": "msg", "room": room, "seq": 5, "id": "e1-5"}
        assert api.history(room)[1:] == [place | who | {"text": "b"}]

    def test_what_nobody_can_read_is_paged_over(self, api: Api, room: str) -> None:
        api.post(room, {"text": "first"})
        api.spoil(room, 2, 3, 4)
        api.post(room, {"text": "last"})
        pages, after = [], 0
        while after is not None:
            page = api.get(f"{messages_of(room)}?limit=1&after={after}").json
            pages.append(([message["seq"] for message in page["messages"]], page["next"]))
            after = page["next"]
        assert pages == [([1], 1), ([], 2), ([], 3), ([], 4), ([5], None)]

    def test_after_the_end_there_is_nothing(self, api: Api, room: str) -> None:
        api.post(room, {"text": "a"})
        assert api.history(room, "after=1") == []
        assert api.history(room, f"after={2**53}") == []

    @pytest.mark.parametrize(
        "value", ["", "x", "-1", "1.5", "+1", " 1", "٣", "0x1", TOO_BIG, HIDDEN]
    )
    @pytest.mark.parametrize("name", ["after", "limit"])
    def test_what_is_no_number_within_bounds_is_refused(
        self, api: Api, room: str, name: str, value: str
    ) -> None:
        api.post(room, {"text": "a"})
        answer = api.get(f"{messages_of(room)}?{name}={quoted(value)}")
        assert (answer.status, answer.paths) == (400, [name])

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=501", f"after={2**53 + 1}", "after=99999999999999999999"]
    )
    def test_bounds_hold(self, api: Api, room: str, query: str) -> None:
        api.post(room, {"text": "a"})
        answer = api.get(f"{messages_of(room)}?{query}")
        assert (answer.status, answer.paths) == (400, [query.partition("=")[0]])


class TestRooms:
    def test_the_fullest_come_first(self, api: Api) -> None:
        rooms = [new_room() for _ in range(3)]
        for room, viewers in zip(rooms, (2_000_005, 2_000_009, 2_000_007), strict=True):
            api.post(room, {"text": "a"})
            api.report_online(room, viewers)
        found = api.get("/v1/rooms?top=2").json["rooms"]
        assert [one.keys() for one in found] == [
            {"room", "online", "peak", "peak_at", "unique"}
        ] * 2
        told = [(one["room"], one["online"], one["peak"], one["unique"]) for one in found]
        assert told == [(rooms[1], 2_000_009, 2_000_009, 0), (rooms[2], 2_000_007, 2_000_007, 0)]

    @pytest.mark.parametrize("top", ["0", "1001", "-1", "all", TOO_BIG, "0" * 19 + "1" + TOO_BIG])
    def test_top_has_bounds(self, api: Api, top: str) -> None:
        answer = api.get(f"/v1/rooms?top={top}")
        assert (answer.status, answer.paths) == (400, ["top"])


class TestElsewhere:
    @pytest.mark.parametrize(
        "path",
        [
            *("/v1", "/v1/nothing", "/v2/rooms", "/web/", "/web/../chat", "/metrics/", "/healthz/"),
            *("/v1/rooms/", "/v1/rooms/a/", "/v1/rooms/a/messages/", "/docs/", "/openapi.json/"),
        ],
    )
    def test_what_is_not_there_is_a_404_in_json(self, api: Api, path: str) -> None:
        answer = api.get(path)
        assert (answer.status, answer.error["code"]) == (404, "not_found")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("PUT", "/v1/rooms/a/messages", {"DELETE", "GET", "HEAD", "POST"}),
            ("POST", "/v1/rooms/a", {"GET", "HEAD"}),
            ("GET", "/v1/broadcast", {"POST"}),
            ("PUT", "/", {"GET", "HEAD"}),
        ],
    )
    def test_another_method_is_refused_with_those_there_are(
        self, api: Api, method: str, path: str, allowed: set[str]
    ) -> None:
        answer = api.call(method, path)
        assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) == allowed

    def test_health_is_ok_while_the_bus_answers(self, api: Api) -> None:
        answer = api.get("/healthz")
        assert (answer.status, answer.body) == (200, b"ok\n")

    def test_it_is_ready_until_it_drains(self, api: Api) -> None:
        assert api.get("/readyz").status == 200
        drained = Api(api.url)
        try:
            drained._server._drain._began = 0.0
            assert drained.get("/readyz").status == 503
            assert drained.get("/healthz").status == 200
        finally:
            drained.close()
