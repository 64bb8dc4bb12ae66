"""Moderation by HTTP on a real Valkey: what is true afterwards, what is listed, what is refused."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from chat.config.sections import ApiKey, Scope
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import Answer, Api, messages_of, new_room, path_of, quoted
from tests.chat.api.test_app_failures import assert_unavailable, stopped

ACTOR = "X-Danmaku-Actor"
KEYS: dict[str, tuple[Scope, ...]] = {"reader": ("read",), "staff": ("read", "moderate")}
UIDS = ["u1", "guest:4pkus34bfa8cfc37711b3", "阿花", "a/b", "addresses/10.0.0.1", "%2F", "?x=1#y"]

DEFAULTS: dict[str, Any] = {
    "slow_s": 0, "silence": "none", "no_repeats_s": 0, "min_role": "guest", "pinned": None,
    "announcement": None, "messages_per_s": 0, "shown_per_s": 0,
    "merge_duplicates": False, "join_notices": False, "owners": [],
    "words": {"refuse": [], "mask": [], "shadow": []},
}  # fmt: skip


@pytest.fixture(scope="module")
def scoped(valkey: EmbeddedEngine) -> Iterator[Api]:
    """With a key for those who look, and one for those who moderate."""
    keys = tuple(ApiKey(name, scopes, f"{name}-0123456789abcdef") for name, scopes in KEYS.items())
    api = Api(valkey.url, api={"keys": keys})
    yield api
    api.close()


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-0123456789abcdef"}


def new_uid() -> str:
    return new_room("u")


def everything(api: Api, path: str, what: str, limit: int = 2) -> list[Any]:
    """A list, page by page."""
    found: list[Any] = []
    after: str | None = ""
    while after is not None:
        page = api.get(f"{path}?limit={limit}&after={quoted(after)}").json
        assert len(page[what]) <= limit
        found += page[what]
        after = page["next"]
    return found


def now_ms() -> float:
    return time.time() * 1000


class TestMutesAndBans:
    """Of a room and of everywhere they are the same but for their place."""

    @pytest.fixture(params=["room", "everywhere"])
    def place(self, request: pytest.FixtureRequest, room: str) -> str:
        return path_of(room) if request.param == "room" else "/v1"

    @pytest.mark.parametrize(("kind", "word"), [("mutes", "muted"), ("bans", "banned")])
    @pytest.mark.parametrize("uid", UIDS)
    def test_one_is_made_listed_and_lifted(
        self, api: Api, place: str, kind: str, word: str, uid: str
    ) -> None:
        path = f"{place}/{kind}/{quoted(uid)}"
        answer = api.send("PUT", path, {"reason": "粗话"}, **{ACTOR: "eve"})
        assert (answer.status, answer.json[word], answer.json["until"]) == (200, True, 0)
        assert answer.json["uid"] == uid
        assert ("room" in answer.json) == ("rooms" in place)
        listed = [one for one in everything(api, f"{place}/{kind}", kind) if one["uid"] == uid]
        assert listed == [{"uid": uid, "until": 0, "reason": "粗话", "by": "api"}]
        for _ in range(2):  # again is the same
            answer = api.send("DELETE", path)
            assert (answer.status, answer.json[word]) == (200, False)
            assert "until" not in answer.json
        assert uid not in [one["uid"] for one in everything(api, f"{place}/{kind}", kind)]

    @pytest.mark.parametrize("kind", ["mutes", "bans"])
    def test_one_for_a_time_says_until_when(self, api: Api, place: str, kind: str) -> None:
        path = f"{place}/{kind}/{new_uid()}"
        for seconds in (60, 3600, 315_360_000):
            before = now_ms()
            until = api.send("PUT", path, {"seconds": seconds}).json["until"]
            assert before - 1 <= until - 1000 * seconds <= now_ms()
        assert api.send("PUT", path).json["until"] == 0  # what is said last holds

    def test_one_that_has_ended_is_listed_no_more(self, api: Api, room: str) -> None:
        path = f"{path_of(room)}/mutes"
        until = api.send("PUT", f"{path}/u1", {"seconds": 1}).json["until"]
        api.send("PUT", f"{path}/u2", {})
        while now_ms() <= until:
            time.sleep(0.02)
        assert [one["uid"] for one in everything(api, path, "mutes")] == ["u2"]

    def test_rooms_and_everywhere_and_kinds_are_apart(self, api: Api, room: str) -> None:
        uid = new_uid()
        api.send("PUT", f"{path_of(room)}/mutes/{uid}")
        for path, what in (
            (f"{path_of(room)}/bans", "bans"),
            (f"{path_of(new_room())}/mutes", "mutes"),
            ("/v1/mutes", "mutes"),
        ):
            assert uid not in [one["uid"] for one in everything(api, path, what, 100)]

    @pytest.mark.parametrize("limit", [1, 3, 5, 1000])
    def test_lists_come_in_pages_by_name(self, api: Api, room: str, limit: int) -> None:
        path = f"{path_of(room)}/mutes"
        for uid in ("d", "b", "e", "a", "c"):
            api.send("PUT", f"{path}/{uid}")
        found = [one["uid"] for one in everything(api, path, "mutes", limit)]
        assert found == ["a", "b", "c", "d", "e"]


class TestAddresses:
    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.9/32", "192.0.2.9"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8:7::/48", "2001:db8:7::/48"),
            ("::ffff:192.0.2.8", "192.0.2.8"),
        ],
    )
    def test_one_is_banned_listed_and_let_in_again(self, api: Api, given: str, name: str) -> None:
        path = f"/v1/bans/addresses/{quoted(given)}"
        answer = api.send("PUT", path, {"seconds": 60, "reason": "bots"})
        assert answer.status == 200
        until = answer.json["until"]
        assert answer.json == {"address": name, "banned": True, "until": until}
        listed = everything(api, "/v1/bans/addresses", "bans")
        assert {"address": name, "until": until, "reason": "bots", "by": "api"} in listed
        for _ in range(2):
            assert api.send("DELETE", path).json == {"address": name, "banned": False}
        assert name not in [one["address"] for one in everything(api, "/v1/bans/addresses", "bans")]

    @pytest.mark.parametrize(
        "address",
        ["x", "192.0.2.7/24", "192.0.2.0/33", "1.2.3", "::1/129", "1" * 300, "192.0.2.7 "],
    )
    def test_what_is_none_is_refused(self, api: Api, address: str) -> None:
        for method in ("PUT", "DELETE"):
            answer = api.send(method, f"/v1/bans/addresses/{quoted(address)}")
            assert (answer.status, answer.paths) == (400, ["address"])


class TestKicks:
    def test_a_user_is_kicked(self, api: Api, room: str) -> None:
        answer = api.send("POST", f"{path_of(room)}/kicks", {"uid": "u1", "reason": "rude"})
        assert (answer.status, answer.json) == (200, {"room": room, "uid": "u1", "kicked": True})

    @pytest.mark.parametrize(
        ("body", "paths"),
        [
            ({}, ["uid"]),
            ({"uid": ""}, ["uid"]),
            ({"uid": " u"}, ["uid"]),
            ({"uid": "u" * 65}, ["uid"]),
            ({"uid": 7, "reason": 8, "seconds": 9}, ["seconds", "uid", "reason"]),
            ([], [""]),
        ],
    )
    def test_a_bad_order_is_refused_with_every_field(
        self, api: Api, room: str, body: Any, paths: list[str]
    ) -> None:
        answer = api.send("POST", f"{path_of(room)}/kicks", body)
        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        assert answer.paths == paths


class TestSettings:
    def test_a_room_nobody_has_set_anything_in_has_the_usual_ones(
        self, api: Api, room: str
    ) -> None:
        answer = api.get(f"{path_of(room)}/settings")
        assert (answer.status, answer.json) == (200, {"room": room} | DEFAULTS)

    def test_what_is_named_changes_and_the_rest_stays(self, api: Api, room: str) -> None:
        path = f"{path_of(room)}/settings"
        changes: list[dict[str, Any]] = [
            {"slow_s": 30, "silence": "vip"},
            {"no_repeats_s": 60, "min_role": "user", "messages_per_s": 5, "shown_per_s": 9},
            {"announcement": "今晚九点"},
            {"merge_duplicates": True, "join_notices": True},
            {"slow_s": 0},
            {"owners": ["u2", "u1"]},
        ]
        expected: dict[str, Any] = {"room": room} | DEFAULTS
        for change in changes:
            expected |= change
            expected["owners"] = sorted(expected["owners"])
            answer = api.send("PATCH", path, change)
            assert (answer.status, answer.json) == (200, expected)
        assert api.get(path).json == expected

    def test_a_message_is_pinned_whole_and_null_takes_things_down(
        self, api: Api, room: str
    ) -> None:
        path = f"{path_of(room)}/settings"
        api.post(room, [{"text": "a"}, {"text": "置顶", "uid": "u1"}])
        changed = api.send("PATCH", path, {"pinned": 2, "announcement": "x"}).json
        assert (changed["pinned"]["seq"], changed["pinned"]["text"]) == (2, "置顶")
        cleared = api.send("PATCH", path, {"pinned": None, "announcement": None}).json
        assert (cleared["pinned"], cleared["announcement"]) == (None, None)

    def test_viewers_are_told_in_the_rooms_history(self, api: Api, room: str) -> None:
        api.post(room, {"text": "a"})
        api.send("PATCH", f"{path_of(room)}/settings", {"slow_s": 5})
        assert api.get(path_of(room)).json["seq"] == 2

    @pytest.mark.parametrize(
        ("body", "paths"),
        [
            ({"slow_s": -1, "silence": "some"}, ["slow_s", "silence"]),
            ({"slow_s": None}, ["slow_s"]),
            ({"min_role": "admin"}, ["min_role"]),
            ({"no_repeats_s": 86_401}, ["no_repeats_s"]),
            ({"announcement": "x" * 501}, ["announcement"]),
            ({"pinned": 0}, ["pinned"]),
            ({"announcement": "\u200b"}, ["announcement"]),
            ({"owners": ["u" * 65]}, ["owners[0]"]),
            ({"owners": [" u"]}, ["owners"]),
            ({"owners": ["u"] * 101}, ["owners"]),
            ({"slow": 1}, ["slow"]),
            ({"reason": "x" * 201, "slow_s": 1}, ["reason"]),
            ({"words": None}, ["words"]),
            ({"words": ["x"]}, ["words"]),
            (
                {"slow_s": 1, "words": {"mask": ["ok", "..."], "hide": [], "refuse": "x"}},
                ["words.hide", "words.refuse", "words.mask[1]"],
            ),
        ],
    )
    def test_what_cannot_be_set_is_refused_and_nothing_is_changed(
        self, api: Api, room: str, body: Any, paths: list[str]
    ) -> None:
        path = f"{path_of(room)}/settings"
        answer = api.send("PATCH", path, body)
        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        assert answer.paths == paths
        assert api.get(path).json == {"room": room} | DEFAULTS

    def test_what_is_not_there_is_not_found(self, api: Api, room: str) -> None:
        pin = api.send("PATCH", f"{path_of(room)}/settings", {"pinned": 99})
        assert (pin.status, pin.error["code"], pin.paths) == (404, "not_found", ["pinned"])
        gone = api.send("DELETE", f"{messages_of(room)}/99")
        assert (gone.status, gone.error["code"], gone.paths) == (404, "not_found", ["seq"])

    def test_words_are_set_whole_and_are_the_rooms(self, api: Api, room: str) -> None:
        path = f"{path_of(room)}/settings"
        many: tuple[dict[str, Any], ...] = ({"mask": ["x"], "refuse": None}, {"shadow": ["y"]}, {})
        for words in many:
            now = {kind: words.get(kind) or [] for kind in ("refuse", "mask", "shadow")}
            assert api.send("PATCH", path, {"words": words}).json["words"] == now
            assert api.get(path).json["words"] == now
            assert api.get(f"{path_of(room)}/words").json == now | {"room": room}

    def test_who_may_only_read_is_told_no_words(self, scoped: Api, room: str) -> None:
        path, mask = f"{path_of(room)}/settings", {"words": {"mask": ["x"]}}
        answer = scoped.send("PATCH", path, mask, **bearer("reader"))
        assert (answer.status, answer.error["code"]) == (403, "forbidden")
        assert scoped.send("PATCH", path, mask, **bearer("staff")).json["words"]["mask"] == ["x"]
        read = scoped.get(path, **bearer("reader")).json
        assert read == {name: one for name, one in DEFAULTS.items() if name != "words"} | {
            "room": room
        }
        assert scoped.get(path, **bearer("staff")).json["words"]["mask"] == ["x"]

    def test_bad_owners_spoil_the_settings_beside_them(self, api: Api, room: str) -> None:
        path = f"{path_of(room)}/settings"
        assert api.send("PATCH", path, {"slow_s": 9, "owners": [" u"]}).status == 400
        assert api.get(path).json["slow_s"] == 0


class TestRequests:
    PATHS = ("/mutes/u1", "/bans/u1")

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize(
        ("body", "paths"),
        [
            ({"seconds": 0}, ["seconds"]),
            ({"seconds": 315_360_001}, ["seconds"]),
            ({"seconds": "60", "reason": "x" * 201}, ["seconds", "reason"]),
            ({"second": 60}, ["second"]),
            ("u1", [""]),
        ],
    )
    def test_a_bad_body_names_its_fields(
        self, api: Api, room: str, path: str, body: Any, paths: list[str]
    ) -> None:
        for place in (path_of(room), "/v1"):
            answer = api.send("PUT", f"{place}{path}", body)
            assert (answer.status, answer.paths) == (400, paths)

    @pytest.mark.parametrize("uid", [" u", "u\n", "u" * 65, "\u200b", ".", ".."])
    def test_what_is_no_uid_is_refused(self, api: Api, room: str, uid: str) -> None:
        for place in (path_of(room), "/v1"):
            for method in ("PUT", "DELETE"):
                answer = api.send(method, f"{place}/mutes/{quoted(uid)}")
                assert (answer.status, answer.paths) == (400, ["uid"])

    @pytest.mark.parametrize("room", ["a b", ".", ".."])
    def test_what_is_no_room_is_refused(self, api: Api, room: str) -> None:
        here = path_of(room)
        for method, path in (
            ("GET", "mutes"),
            ("PUT", "mutes/u"),
            ("DELETE", "bans/u"),
            ("POST", "kicks"),
            ("GET", "settings"),
            ("PATCH", "settings"),
            ("DELETE", "messages"),
            ("DELETE", "messages/1"),
        ):
            answer = api.send(method, f"{here}/{path}", {} if method in ("PATCH", "POST") else None)
            assert (answer.status, answer.paths) == (400, ["room"]), path

    @pytest.mark.parametrize(
        ("query", "path"),
        [("user=u1", "user"), ("uid=", "uid"), ("uid=u1&uid=u2", "uid"), ("uid=u1&UID=u2", "UID")],
    )
    def test_nobody_clears_a_whole_room_by_a_slip(
        self, api: Api, room: str, query: str, path: str
    ) -> None:
        answer = api.send("DELETE", f"{messages_of(room)}?{query}")
        assert (answer.status, answer.paths) == (400, [path])

    @pytest.mark.parametrize("seq", ["0", "x", "-1", "9" * 30, "٣"])
    def test_what_is_no_seq_is_refused(self, api: Api, room: str, seq: str) -> None:
        answer = api.send("DELETE", f"{messages_of(room)}/{quoted(seq)}")
        assert (answer.status, answer.paths) == (400, ["seq"])

    def test_another_kind_of_body_is_refused(self, api: Api, room: str) -> None:
        for path in (f"{path_of(room)}/mutes/u1", "/v1/bans/addresses/192.0.2.1"):
            answer = api.call("PUT", path, b'{"seconds": 60}', "text/plain")
            assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")

    def test_a_body_that_is_too_large_is_refused(self, api: Api, room: str) -> None:
        answer = api.call("PUT", f"{path_of(room)}/mutes/u1", b" " * 5000)
        assert answer.status == 413

    def test_limits_and_methods(self, api: Api) -> None:
        for query in ("limit=0", "limit=1001", "limit=x"):
            assert api.get(f"/v1/mutes?{query}").paths == ["limit"]
        answer = api.send("POST", "/v1/mutes/u1")
        assert answer.status == 405
        assert set(answer.headers["allow"].split(", ")) == {"PUT", "DELETE"}

    def test_they_are_counted_by_their_route_not_by_their_names(self, api: Api, room: str) -> None:
        api.send("PUT", f"{path_of(room)}/mutes/u1")
        line = 'danmaku_api_requests_total{route="/v1/rooms/{room}/mutes/{uid}",status="200"}'
        metrics = api.get("/metrics").body.decode()
        assert line in metrics
        assert quoted(room) not in metrics
        assert room not in metrics

    def test_a_key_is_wanted_where_there_is_one(self, keyed: Api) -> None:
        for method, path in (("PUT", "/v1/mutes/u1"), ("GET", "/v1/bans"), ("GET", "/v1/audit")):
            assert keyed.send(method, path).status == 401


class TestRedisIsAway:
    def test_orders_and_lists_are_refused_and_work_again_afterwards(
        self, stoppable: Api, own_valkey: EmbeddedEngine, room: str
    ) -> None:
        def all_of_it() -> list[Answer]:
            return [
                stoppable.send(method, path, body)
                for method, path, body in (
                    ("PUT", f"{path_of(room)}/mutes/u1", None),
                    ("DELETE", "/v1/bans/u1", None),
                    ("POST", f"{path_of(room)}/kicks", {"uid": "u1"}),
                    ("PATCH", f"{path_of(room)}/settings", {"slow_s": 5}),
                    ("GET", "/v1/bans/addresses", None),
                    ("GET", f"{path_of(room)}/settings", None),
                )
            ]

        with stopped(own_valkey):
            for answer in all_of_it():
                assert_unavailable(answer)
        assert [answer.status for answer in all_of_it()] == [200] * 6
