"""What moderators look at by HTTP: users, the audit, reports; the shards played by the test."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from chat.api.observing import merged
from chat.bus.audit import Audit
from chat.bus.entries import Inquired, read_broadcast
from chat.bus.inquiry import Answers, Connection, Found, Inquiry, Seen
from chat.bus.keys import Keys
from chat.bus.reports import Report, Reports
from chat.bus.store import Store, open_store
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Msg
from tests.chat.api.rig import Answer, Api, new_room, path_of, quoted
from tests.chat.api.test_app_failures import assert_unavailable, stopped

ACTOR = "X-Danmaku-Actor"


def with_store(api: Api, work: Callable[[Store], Awaitable[Any]]) -> Any:
    """What somebody else does on the same Redis."""

    async def run() -> Any:
        store = open_store(api.config, api.url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def said(room: str, seq: int = 1, uid: str = "u9") -> Msg:
    return Msg(room, seq, f"e1-{seq}", uid, "n", "rude", 1, "scroll", 25, 1_000)


def report(api: Api, message: Msg, uid: str = "u1", **fields: Any) -> None:
    with_store(api, lambda store: Reports(store).add(Report(2_000, uid, message, **fields)))


def everything(api: Api, path: str, what: str, limit: int = 3) -> list[Any]:
    """A log, page by page."""
    found: list[Any] = []
    after: str | None = "0-0"
    while after is not None:
        page = api.get(f"{path}?limit={limit}&after={after}").json
        assert len(page[what]) <= limit
        found += page[what]
        after = page["next"]
    return found


def newest(api: Api) -> dict[str, Any]:
    """The last entry of the audit."""
    found: dict[str, Any] = everything(api, "/v1/audit", "entries", 500)[-1]
    return found


class TestUsers:
    def test_one_that_is_nowhere_has_nothing(self, api: Api) -> None:
        uid = new_room("u")
        assert api.get(f"/v1/users/{uid}").json == {
            "uid": uid, "count": 0, "connections": [], "rooms": [], "mutes": [], "bans": [],
            "complete": True, "answered": 0, "known": 0,
        }  # fmt: skip

    def test_connections_are_those_that_shards_tell_of(self, keyless: Api, room: str) -> None:
        one = Connection("s1-1-a", "vip", [room])

        def ask(store: Store) -> Awaitable[Answer]:
            return while_a_shard_answers(keyless, store, "/v1/users/a%2Fb", Found(3, [one]))

        user = with_store(keyless, ask).json
        assert (user["uid"], user["count"]) == ("a/b", 3)
        listed = {"conn": "s1-1-a", "shard": "s1", "role": "vip", "rooms": [room]}
        assert (user["connections"], user["rooms"]) == ([listed], [room])
        assert (user["complete"], user["answered"], user["known"]) == (True, 1, 1)

    def test_addresses_are_told_to_who_asks_for_them_which_is_written_down(
        self, keyless: Api
    ) -> None:
        one = Connection("s1-1-a", "user", [], "192.0.2.7")
        uid = new_room("u")

        def ask(store: Store) -> Awaitable[Answer]:
            path = f"/v1/users/{uid}?addresses=true"
            return while_a_shard_answers(keyless, store, path, Found(1, [one]))

        user = with_store(keyless, ask).json
        assert [one["address"] for one in user["connections"]] == ["192.0.2.7"]
        assert (newest(keyless)["action"], newest(keyless)["uid"]) == ("addresses", uid)
        for query in ("?addresses=", "?addresses=yes"):
            assert keyless.get(f"/v1/users/{uid}{query}").paths == ["addresses"]

    def test_who_has_not_answered_makes_it_incomplete(self, stoppable: Api) -> None:
        with_store(stoppable, lambda store: Inquiry(store, 0.0).alive("frozen"))
        user = stoppable.get("/v1/users/u1").json
        assert (user["complete"], user["answered"], user["known"]) == (False, 0, 1)
        done = stoppable.send("DELETE", "/v1/users/u1/connections").json
        assert done == {"uid": "u1", "count": 0, "complete": False, "answered": 0, "known": 1}

    def test_mutes_and_bans_are_those_of_everywhere_and_of_its_rooms(
        self, keyless: Api, room: str
    ) -> None:
        uid, elsewhere = new_room("u"), new_room()
        for path in ("/v1/mutes", f"{path_of(room)}/bans", f"{path_of(elsewhere)}/bans"):
            assert keyless.send("PUT", f"{path}/{uid}", {"reason": path}).status == 200

        def ask(store: Store) -> Awaitable[Answer]:
            found = Found(1, [Connection("s1-1-a", "user", [room])])
            return while_a_shard_answers(keyless, store, f"/v1/users/{uid}", found)

        user = with_store(keyless, ask).json
        assert user["mutes"] == [{"until": 0, "reason": "/v1/mutes", "by": "api"}]
        where = f"{path_of(room)}/bans"
        assert user["bans"] == [{"until": 0, "room": room, "reason": where, "by": "api"}]

    def test_closing_connections_is_told_to_all_shards_and_audited(self, api: Api) -> None:
        uid = new_room("u")
        answer = api.send("DELETE", f"/v1/users/{uid}/connections", **{ACTOR: "eve"})
        assert (answer.status, answer.json["count"]) == (200, 0)
        assert any(uid.encode() in entry for entry in api.notices())
        assert (newest(api)["action"], newest(api)["uid"]) == ("kick", uid)

    @pytest.mark.parametrize("uid", ["", " u", "u" * 65])
    def test_what_is_no_uid_is_refused(self, api: Api, uid: str) -> None:
        for method, path in (("GET", ""), ("DELETE", "/connections")):
            answer = api.send(method, f"/v1/users/{quoted(uid)}{path}")
            if uid:
                assert (answer.status, answer.paths) == (400, ["uid"])
            else:
                assert answer.status == 404


async def while_a_shard_answers(api: Api, store: Store, path: str, found: Found) -> Answer:
    """The answer to a GET, the question of which the shard s1 answers."""
    inquiry = Inquiry(store, 0.0)
    await inquiry.alive("s1")
    loop = asyncio.get_running_loop()
    [before] = await store.last_ids([store.keys.broadcast])
    asking = loop.run_in_executor(None, api.get, path)
    stream = store.keys.broadcast
    while True:
        new = await store.servers.ask(
            stream, lambda pipe, on: pipe.xrange(stream, b"(" + before, "+")
        )
        if new:
            break
        await asyncio.sleep(0.001)
    asked = read_broadcast(new[0][1][b"m"])
    assert isinstance(asked, Inquired)
    await inquiry.answer(asked.inquiry, "s1", found)
    answer = await asking
    await inquiry.gone("s1")
    return answer


class TestSearch:
    def test_who_is_on_several_shards_is_one(self) -> None:
        found = {
            "s1": Found(0, [], [Seen("u2", "b", "user", 1, ["r2"]), Seen("u1", "A", "vip", 2, [])]),
            "s2": Found(0, [], [Seen("u2", "b", "user", 3, ["r1", "r2"])]),
        }
        users = [(one.uid, one.count, one.rooms) for one in merged(Answers(found, 2, 2))]
        assert users == [("u1", 2, []), ("u2", 4, ["r1", "r2"])]

    def test_more_than_were_asked_for_are_said(self, keyless: Api) -> None:
        seen = [Seen(f"u{i}", f"n{i}", "user", 1, []) for i in range(3)]

        def ask(store: Store) -> Awaitable[Answer]:
            return while_a_shard_answers(
                keyless, store, "/v1/users?q=u&limit=2", Found(0, [], seen)
            )

        told = with_store(keyless, ask).json
        assert ([one["uid"] for one in told["users"]], told["more"]) == (["u0", "u1"], True)
        assert (told["complete"], told["answered"], told["known"]) == (True, 1, 1)

    @pytest.mark.parametrize("query", ["", "?q=", "?q=%20", f"?q={'x' * 65}", f"?q=x{'%20' * 64}"])
    def test_something_has_to_be_looked_for(self, keyless: Api, query: str) -> None:
        assert keyless.get(f"/v1/users{query}").paths == ["q"]


class TestAudit:
    def test_the_newest_come_first_where_that_is_asked(self, api: Api) -> None:
        for uid in ("n1", "n2", "n3"):
            api.send("PUT", f"/v1/mutes/{uid}", {})
        page = api.get("/v1/audit?before=end&limit=2").json
        assert [one["uid"] for one in page["entries"]] == ["n3", "n2"]
        after = api.get(f"/v1/audit?before={page['next']}&limit=1").json
        assert [one["uid"] for one in after["entries"]] == ["n1"]

        between = api.get(f"/v1/audit?before=end&after={page['next']}").json
        assert ([one["uid"] for one in between["entries"]], between["next"]) == (["n3"], None)

    def test_a_place_may_be_a_time(self, api: Api) -> None:
        for uid in ("n1", "n2"):
            api.send("PUT", f"/v1/mutes/{uid}", {})
        older, newest = api.get("/v1/audit?limit=1000").json["entries"][-2:]
        for beginning in ("0", "0-0", ""):
            assert api.get(f"/v1/audit?after={beginning}").json == api.get("/v1/audit").json
        behind = newest["id"].split("-")[0]
        assert api.get(f"/v1/audit?after={int(behind) + 1}").json["entries"] == []
        assert older in api.get(f"/v1/audit?before={int(behind) + 1}").json["entries"]
        assert newest in api.get(f"/v1/audit?after={int(behind) - 1}&limit=1000").json["entries"]

    @pytest.mark.parametrize("query", ["before=", "before=x", "before=end&before=0-0"])
    def test_before_is_the_end_or_an_id(self, api: Api, query: str) -> None:
        assert api.get(f"/v1/audit?{query}").paths == ["before"]

    def test_what_was_done_to_whom_and_by_whom(self, api: Api, room: str) -> None:
        here = path_of(room)
        for method, path, body, entry in (
            ("PUT", f"{here}/mutes/u1", {"seconds": 60, "reason": "rude"},
             {"action": "mute", "room": room, "uid": "u1", "seconds": 60, "reason": "rude"}),
            ("DELETE", f"{here}/mutes/u1", None, {"action": "unmute", "room": room, "uid": "u1"}),
            ("PUT", "/v1/bans/u1", {}, {"action": "ban", "uid": "u1"}),
            ("PUT", "/v1/bans/addresses/10.0.0.0%2F8", {"seconds": 9},
             {"action": "ban", "address": "10.0.0.0/8", "seconds": 9}),
            ("POST", f"{here}/kicks", {"uid": "u1"}, {"action": "kick", "room": room, "uid": "u1"}),
            ("PATCH", f"{here}/settings", {"slow_s": 5, "announcement": None},
             {"action": "settings", "room": room, "settings": {"slow_s": 5, "announcement": None}}),
            ("PATCH", f"{here}/settings", {"owners": ["u2"]},
             {"action": "owners", "room": room, "owners": ["u2"]}),
        ):  # fmt: skip
            answer = api.send(method, path, body, **{ACTOR: "Eve"})
            assert answer.status == 200
            found = newest(api)
            assert found.pop("request") == answer.headers["x-request-id"]
            assert found.pop("id").endswith(("-0", "-1"))
            assert found.pop("ts") > 1_700_000_000_000
            by = {"actor": "api", "name": "Eve", "role": "backend", "via": "api"}
            assert found == entry | by

    def test_why_is_told_with_whatever_is_done(self, api: Api, room: str) -> None:
        here, why = path_of(room), "?reason=%E8%AF%AF%E4%BC%A4"
        api.post(room, {"text": "x"})
        for method, path, body, action in (
            ("DELETE", f"/v1/mutes/u1{why}", None, "unmute"),
            ("DELETE", f"{here}/mutes/u1{why}", None, "unmute"),
            ("DELETE", f"/v1/bans/u1{why}", None, "unban"),
            ("DELETE", f"{here}/bans/u1{why}", None, "unban"),
            ("DELETE", f"/v1/bans/addresses/192.0.2.1{why}", None, "unban"),
            ("DELETE", f"/v1/users/u1/connections{why}", None, "kick"),
            ("DELETE", f"{here}/messages/1{why}", None, "delete"),
            ("DELETE", f"{here}/messages{why}", None, "clear"),
            ("PATCH", f"{here}/settings", {"slow_s": 5, "reason": "误伤"}, "settings"),
            ("PATCH", f"{here}/settings", {"owners": ["u"], "reason": "误伤"}, "owners"),
            ("PATCH", f"{here}/settings", {"words": {}, "reason": "误伤"}, "words"),
            ("PUT", f"/v1/words{why}", {}, "words"),
            ("PUT", f"{here}/words{why}", {}, "words"),
        ):
            assert api.send(method, path, body).status == 200
            assert (newest(api)["action"], newest(api)["reason"]) == (action, "误伤")
        report(api, said(room))
        newest_report = everything(api, "/v1/reports", "reports")[-1]["id"]
        assert api.send("DELETE", f"/v1/reports/{newest_report}{why}").status == 200
        assert (newest(api)["action"], newest(api)["reason"]) == ("dealt", "误伤")

    @pytest.mark.parametrize("query", [f"reason={'x' * 201}", "reason=a&reason=b"])
    def test_a_reason_is_one_and_short(self, api: Api, room: str, query: str) -> None:
        for method, path in (
            ("DELETE", "/v1/mutes/u1"),
            ("DELETE", "/v1/bans/addresses/192.0.2.1"),
            ("DELETE", "/v1/users/u1/connections"),
            ("DELETE", f"{path_of(room)}/messages"),
            ("PUT", f"{path_of(room)}/words"),
        ):
            answer = api.send(method, f"{path}?{query}", {} if method == "PUT" else None)
            assert (answer.status, answer.paths) == (400, ["reason"])

    def test_of_words_it_says_how_many_not_which(self, api: Api, room: str) -> None:
        path = f"{path_of(room)}/words"
        none = {"added": 0, "removed": 0, "now": 0}
        for lists, mask in (
            ({"mask": ["a", "b", "c"]}, {"added": 3, "removed": 0, "now": 3}),
            ({"mask": ["b", "c", "d", "e"]}, {"added": 2, "removed": 1, "now": 4}),
            ({}, {"added": 0, "removed": 4, "now": 0}),
        ):
            assert api.send("PUT", path, lists).status == 200
            assert newest(api)["words"] == {"refuse": none, "mask": mask, "shadow": none}

    def test_it_comes_in_pages_the_newest_last(self, api: Api) -> None:
        uids = [new_room("u") for _ in range(7)]
        for uid in uids:
            api.send("PUT", f"/v1/mutes/{uid}")
        for limit in (1, 3, 500):
            found = [one.get("uid") for one in everything(api, "/v1/audit", "entries", limit)]
            assert [uid for uid in found if uid in uids] == uids

    def test_what_cannot_be_read_is_passed_over(self, api: Api) -> None:
        async def write(store: Store) -> None:
            for entry in (b"\xff", b"[]", b'{"ts": "now", "action": "mute"}', b"{}"):
                await Audit(store, 100).write(entry)

        with_store(api, write)
        uid = new_room("u")
        api.send("PUT", f"/v1/mutes/{uid}")
        assert newest(api)["uid"] == uid

    @pytest.mark.parametrize("after", ["x", "-1", "1-", "-", "+", f"{2**63}-0", "1-1 "])
    def test_what_is_no_next_is_refused(self, api: Api, after: str) -> None:
        for path in ("/v1/audit", "/v1/reports"):
            answer = api.get(f"{path}?after={quoted(after)}")
            assert (answer.status, answer.paths) == (400, ["after"])
            assert api.get(f"{path}?limit=1001").paths == ["limit"]


class TestActors:
    @pytest.mark.parametrize(("given", "name"), [("Eve", "Eve"), ("阿花", "阿花"), ("", "api")])
    def test_the_header_names_the_human(self, api: Api, given: str, name: str) -> None:
        header = given.encode().decode("latin-1")
        assert api.send("PUT", "/v1/mutes/u1", **{ACTOR: header}).status == 200
        assert newest(api)["name"] == name

    @pytest.mark.parametrize(
        "given", ["x" * 33, "\xff", "a\tb", "\u200b".encode().decode("latin-1")]
    )
    def test_what_is_no_name_is_refused_and_nothing_done(
        self, api: Api, room: str, given: str
    ) -> None:
        for method, path in (("PUT", f"{path_of(room)}/mutes/u1"), ("DELETE", "/v1/reports/1-1")):
            answer = api.send(method, path, **{ACTOR: given})
            assert (answer.status, answer.paths) == (400, [ACTOR])
        assert api.get(f"{path_of(room)}/mutes").json["mutes"] == []


class TestReports:
    def test_one_names_who_reported_what_as_it_was(self, api: Api, room: str) -> None:
        report(api, said(room, 7), reason="粗话")
        found = everything(api, "/v1/reports", "reports", 500)[-1]
        assert found.pop("id")
        assert found == {
            "ts": 2_000, "reporter": "u1", "room": room, "seq": 7, "reason": "粗话",
            "message": {
                "t": "msg", "room": room, "seq": 7, "id": "e1-7", "uid": "u9", "name": "n",
                "text": "rude", "color": 1, "mode": "scroll", "size": 25, "ts": 1_000,
            },
        }  # fmt: skip

    def test_one_that_is_dealt_with_is_gone_and_in_the_audit(self, api: Api, room: str) -> None:
        for uid in ("u1", "u2", "u3"):
            report(api, said(room), uid)
        mine = [one for one in everything(api, "/v1/reports", "reports", 2) if one["room"] == room]
        assert [one["reporter"] for one in mine] == ["u1", "u2", "u3"]
        path = f"/v1/reports/{mine[1]['id']}"
        assert api.send("DELETE", path, **{ACTOR: "Eve"}).json == {
            "id": mine[1]["id"],
            "found": True,
        }
        entry = newest(api)
        assert (entry["action"], entry["room"], entry["seq"]) == ("dealt", room, 1)
        assert (entry["uid"], entry["name"]) == ("u9", "Eve")
        answer = api.send("DELETE", path)
        assert (answer.status, answer.json["found"]) == (200, False)
        left = everything(api, "/v1/reports", "reports", 500)
        assert [one["reporter"] for one in left if one["room"] == room] == ["u1", "u3"]

    def test_what_is_no_id_is_refused(self, api: Api) -> None:
        for report_id in ("x", "1", "0-x", "9" * 30 + "-0"):
            answer = api.send("DELETE", f"/v1/reports/{report_id}")
            assert (answer.status, answer.paths) == (400, ["id"])


class TestRedisIsAway:
    def test_all_of_it_is_refused(self, stoppable: Api, own_valkey: EmbeddedEngine) -> None:
        asked = (
            *(("GET", "/v1/users/u1"), ("DELETE", "/v1/users/u1/connections")),
            *(("GET", "/v1/audit"), ("GET", "/v1/reports"), ("DELETE", "/v1/reports/1-1")),
        )
        with stopped(own_valkey):
            for method, path in asked:
                assert_unavailable(stoppable.send(method, path))

    def test_a_report_stays_when_it_cannot_be_written_down_that_it_was_dealt_with(
        self, stoppable: Api, room: str
    ) -> None:
        report(stoppable, said(room))
        [one] = everything(stoppable, "/v1/reports", "reports")
        keys = Keys(stoppable.config.bus.prefix, stoppable.config.bus.partitions)
        with redis.Redis.from_url(stoppable.url, protocol=2) as client:
            client.set(keys.audit, "no stream")
            assert_unavailable(stoppable.send("DELETE", f"/v1/reports/{one['id']}"))
            assert len(everything(stoppable, "/v1/reports", "reports")) == 1
            client.delete(keys.audit)
        assert stoppable.send("DELETE", f"/v1/reports/{one['id']}").json["found"] is True
