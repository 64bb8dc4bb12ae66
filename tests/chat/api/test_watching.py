"""What goes on, asked for and followed: by scopes, bounded, made once for all."""

from collections.abc import Iterator

import pytest

from chat.bus.nodes import TELL_S, Nodes
from chat.config.sections import ApiKey, Scope
from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from shard.counters import Count
from tests.chat.api.live import following
from tests.chat.api.rig import WS_PORT, Api, new_room, until
from tests.chat.api.test_app_failures import assert_unavailable, stopped
from tests.chat.api.test_observing import with_store

KEYS: dict[str, tuple[Scope, ...]] = {
    "reader": ("read",),
    "board": ("metrics",),
    "staff": ("moderate",),
    "poster": ("publish",),
    "most": ("read", "metrics", "moderate"),
}


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-0123456789abcdef"}


@pytest.fixture(scope="module")
def api(valkey: EmbeddedEngine) -> Iterator[Api]:
    keys = tuple(ApiKey(name, scopes, f"{name}-0123456789abcdef") for name, scopes in KEYS.items())
    api = Api(valkey.url, api={"keys": keys, "live_streams": 3})
    yield api
    api.close()


@pytest.fixture(autouse=True)
def _nobody_follows(api: Api) -> None:
    until(lambda: streams(api) == 0, "the end of what a test before followed")


class TestKey:
    @pytest.mark.parametrize("name", KEYS)
    def test_any_key_is_told_what_it_opens(self, api: Api, name: str) -> None:
        answer = api.get("/v1/key", **bearer(name))
        assert answer.json == {"key": name, "scopes": sorted(KEYS[name])}

    def test_no_key_is_told_nothing(self, api: Api) -> None:
        for path in ("/v1/key", "/v1/live", "/v1/nodes", "/v1/rooms/r/live"):
            assert api.get(path).status == 401
            assert api.get(path, **bearer("nobody")).status == 401

    def test_this_machine_opens_everything_where_there_are_none(self, keyless: Api) -> None:
        scopes = ["metrics", "moderate", "publish", "read"]
        assert keyless.get("/v1/key").json == {"key": "local", "scopes": scopes}


class TestNodes:
    def test_this_node_is_one_with_all_its_shards(self, api: Api) -> None:
        api.board.row(1)[Count.CONNECTIONS] = 5
        until(lambda: connections(api) == [0, 5], "the look")
        [node] = api.get("/v1/nodes", **bearer("board")).json["nodes"]
        assert node["node"].endswith(f":{WS_PORT}")
        assert [one["shard"] for one in node["shards"]] == [0, 1]
        assert (node["most_streams"], node["rates"]["dropped"]) == (3, {})

    def test_what_others_told_is_there_and_what_nobody_can_read_is_not(self, keyless: Api) -> None:
        async def tell(store: object) -> None:
            nodes = Nodes(store)  # type: ignore[arg-type]
            told = keyless.get("/v1/nodes").body.partition(b"[")[2].rpartition(b"]")[0]
            await nodes.tell("other", told.replace(b'"node":"', b'"node":"other '))
            await nodes.tell("junk", b"{}")
            await nodes.tell("junk2", b"\xff")

        with_store(keyless, tell)
        names = [node["node"] for node in keyless.get("/v1/nodes").json["nodes"]]
        assert len(names) == 2
        assert any(name.startswith("other ") for name in names)


def connections(api: Api) -> list[int]:
    [node] = api.get("/v1/nodes", **bearer("board")).json["nodes"]
    return [one["connections"] for one in node["shards"]]


class TestLive:
    def test_figures_come_as_they_change(self, api: Api) -> None:
        with following(api, **bearer("board")) as stream:
            hello = {"key": "board", "scopes": ["metrics"], **hello_of(api)}
            assert stream.next() == ("hello", hello)
            before = stream.until("nodes", bus=True)["nodes"][0]
            assert before["streams"] == 1
            api.board.row(0)[ChatCount.MESSAGES_DELIVERED] += 1000
            while not stream.until("nodes")["nodes"][0]["rates"]["delivered"]:
                pass

    def test_rooms_come_by_size_with_how_far_they_are(self, api: Api) -> None:
        small, large = new_room("small"), new_room("large")
        api.report_online(small, 2, "u1")
        api.report_online(large, 9_000_000, "u1")
        api.post(small, [{"text": "a"}, {"text": "b"}], **bearer("poster"))
        with following(api, **bearer("reader")) as stream:
            rooms = stream.until("rooms")["rooms"]
            found = {one["room"]: one for one in rooms}
            assert rooms[0]["room"] == large
            assert (found[small]["online"], found[small]["seq"], found[large]["seq"]) == (2, 2, 0)

    def test_what_moderators_do_is_told_once_from_when_it_began(self, api: Api) -> None:
        api.send("PUT", "/v1/mutes/before", {}, **bearer("staff"))
        with following(api, **bearer("staff")) as stream:
            assert stream.until("hello")["scopes"] == ["moderate"]
            api.send("PUT", "/v1/mutes/after", {"seconds": 9}, **bearer("staff"))
            seen: list[str] = []
            while not seen:
                told = stream.until("audit")
                seen += [one["uid"] for one in told["entries"]]
            assert (seen, told["reports"]) == (["after"], 0)
            assert stream.until("audit")["entries"] == []

    def test_a_key_is_told_what_its_scopes_open_and_nothing_else(self, api: Api) -> None:
        with following(api, **bearer("most")) as all_of_it:
            kinds: set[str] = set()
            while kinds != {"hello", "nodes", "rooms", "audit"}:
                event = all_of_it.next()
                assert event is not None
                kinds.add(event[0])
        with following(api, **bearer("board")) as stream:
            kinds = {event[0] for event in (stream.next() for _ in range(3)) if event}
            assert kinds == {"hello", "nodes"}

    def test_one_too_many_is_refused_until_one_has_gone(self, api: Api) -> None:
        def refused() -> bool:
            answer = api.get("/v1/live", **bearer("board"))
            return answer.status == 503 and answer.error["code"] == "too_many_streams"

        with following(api, **bearer("board")), following(api, **bearer("board")):
            with following(api, "/v1/rooms/r/live", **bearer("reader")):
                assert refused()
                answer = api.get("/v1/rooms/r/live", **bearer("reader"))
                assert answer.error["code"] == "too_many_streams"
                assert int(answer.headers["retry-after"]) > 0
            until(lambda: streams(api) == 2, "the end of one")
        until(lambda: streams(api) == 0, "the end of all")

    def test_a_proxy_neither_keeps_nor_holds_it_back(self, api: Api) -> None:
        with following(api, **bearer("board")) as stream:
            assert stream.answer.getheader("Cache-Control") == "no-store"
            assert stream.answer.getheader("X-Accel-Buffering") == "no"

    def test_it_ends_with_a_word_when_the_process_does(self, valkey: EmbeddedEngine) -> None:
        api = Api(valkey.url)
        try:
            with following(api) as stream, following(api, "/v1/rooms/r/live") as room:
                api.end()
                assert stream.until("end") == {"reason": "draining"}
                assert room.until("end") == {"reason": "draining"}
                assert stream.next() is None
        finally:
            api.close()

    def test_without_redis_there_are_this_nodes_figures_and_it_is_said(
        self, stoppable: Api, own_valkey: EmbeddedEngine
    ) -> None:
        with following(stoppable) as stream:
            stream.until("nodes", bus=True)
            with stopped(own_valkey):
                assert len(stream.until("nodes", bus=False)["nodes"]) == 1
                assert_unavailable(stoppable.get("/v1/nodes"))
                assert_unavailable(stoppable.get("/v1/rooms/r/live"))
            stream.until("nodes", bus=True)
            stream.until("rooms")
        with stopped(own_valkey), following(stoppable) as stream:
            stream.until("nodes", bus=False)


def streams(api: Api) -> int:
    """How many are open, as a node tells."""
    [node] = api.get("/v1/nodes", **bearer("board")).json["nodes"]
    found: int = node["streams"]
    return found


def hello_of(api: Api) -> dict[str, object]:
    [node] = api.get("/v1/nodes", **bearer("board")).json["nodes"]
    return {"node": node["node"], "version": node["version"], "every_s": TELL_S}
