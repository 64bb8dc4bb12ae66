"""How `danmaku top` asks nodes, and what it makes of those that do not answer as nodes do."""

from collections.abc import Iterator
from itertools import count

import pytest

from bench.local import free_port
from chat.api.families import NODE, SHARDS
from chat.api.family import PREFIX, Family
from chat.client import top_nodes
from chat.client.link import ClientError
from chat.client.top_nodes import NAMES, Node, Rooms, address
from tests.chat.client.apis import CannedApi, api, metrics

KEY = "a-key-that-nobody-may-see"
JOINS = "danmaku_joins_total"


@pytest.fixture
def server() -> Iterator[CannedApi]:
    with api() as server:
        yield server


def node(url: str, key: str = "") -> Node:
    """One whose clock goes on by a second a look."""
    clock = count(1)
    return Node(url, key, lambda: float(next(clock)))


def rooms(most: int = 10) -> Rooms:
    clock = count(0, 2)
    return Rooms(most, lambda: float(next(clock)))


class TestAddresses:
    @pytest.mark.parametrize(
        ("typed", "url"),
        [
            ("10.0.0.2:8001", "http://10.0.0.2:8001"),
            ("https://live.example/danmaku/", "https://live.example/danmaku"),
            ("node-1", "http://node-1"),
        ],
    )
    def test_a_scheme_may_be_left_out(self, typed: str, url: str) -> None:
        assert address(typed) == url

    @pytest.mark.parametrize("typed", ["", "ftp://x", "http://", "unix:///run/s.sock"])
    def test_what_is_none_is_said(self, typed: str) -> None:
        with pytest.raises(ClientError, match="no address"):
            address(typed)

    def test_a_key_that_cannot_be_one_is_said_without_it(self) -> None:
        with pytest.raises(ClientError, match="control character"):
            address("node-1", "a\nb")


class TestNames:
    def test_all_are_names_that_metrics_has(self) -> None:
        shown = set()
        for one in (*SHARDS, *NODE):
            full = isinstance(one, Family)
            shown.add(one.full_name if isinstance(one, Family) else f"{PREFIX}{one.name}_bucket")
            assert full or one.name
        assert shown >= NAMES


class TestLooking:
    async def test_two_looks_make_rates(self, server: CannedApi) -> None:
        async with node(server.url) as one:
            server.will_say("/metrics", metrics({"viewers": 7, "joins": 10}))
            await one.look()
            assert one.why == ""
            assert one.between is not None
            assert one.between.rate(JOINS) is None
            server.will_say("/metrics", metrics({"viewers": 7, "joins": 13}))
            await one.look()
            assert one.between.rate(JOINS) == 3
            assert one.between.now.total("danmaku_connections") == 7

    async def test_the_key_goes_along(self, server: CannedApi) -> None:
        async with node(server.url, KEY) as one:
            await one.look()
        assert server.asked == [("/metrics", f"Bearer {KEY}")]

    async def test_one_that_is_back_begins_its_rates_anew(self, server: CannedApi) -> None:
        async with node(server.url) as one:
            server.will_say("/metrics", metrics({"joins": 1000}))
            await one.look()
            server.will_say("/metrics", "", 502)
            await one.look()
            assert one.between is None
            assert one.why == "answers HTTP 502; is it the API's address?"
            server.will_say("/metrics", metrics({"joins": 1}))
            await one.look()
            assert (one.why, one.between and one.between.rate(JOINS)) == ("", None)

    @pytest.mark.parametrize(
        ("status", "body", "why"),
        [
            (200, "<html>welcome</html>", "it answers, but not with a node's metrics"),
            (200, 'danmaku_connections{shard="0" 7', "not metrics: "),
            (404, "Not Found", "answers HTTP 404: give the API's address, or a key"),
            (401, {"error": {"message": "no"}}, "a key is needed here: give one with --key"),
            (403, {"error": {"message": "metrics\x1b[2J"}}, "metrics [2J"),
            (302, "", "answers HTTP 302; is it the API's address?"),
        ],
    )
    async def test_why_one_cannot_be_looked_at(
        self, server: CannedApi, status: int, body: object, why: str
    ) -> None:
        async with node(server.url) as one:
            server.will_say("/metrics", body, status)
            await one.look()
            assert one.between is None
            assert one.why.startswith(why)

    async def test_one_that_is_not_there(self) -> None:
        async with node(f"http://127.0.0.1:{free_port()}") as one:
            await one.look()
            assert one.why.startswith("cannot be reached (")
            assert one.why.endswith("; is a node up?")

    async def test_one_that_says_too_much(
        self, server: CannedApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(top_nodes, "MOST_BYTES", 1000)
        async with node(server.url) as one:
            server.will_say("/metrics", "#" * 1001)
            await one.look()
            assert one.why == "says far too much for a node"

    async def test_one_that_never_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(top_nodes, "TIMEOUT_S", 0.05)
        with CannedApi() as silent:  # it listens, and nobody serves
            async with node(silent.url) as one:
                await one.look()
                assert one.why == "did not answer within 0 s"


class TestRooms:
    async def test_the_rate_of_a_room_is_that_of_its_places(self, server: CannedApi) -> None:
        found = rooms()
        async with node(server.url) as one:
            server.will_say("/metrics", metrics({}))
            await one.look()
            server.will_say("/v1/rooms?top=10", {"rooms": [{"room": "lobby"}]})
            for seq in (100, 110):
                server.has_room("lobby", seq)
                await found.look([one])
            [line] = found.lines
            assert (line.room, line.online, line.seq, line.rate) == ("lobby", 3, 110, 5)

    @pytest.mark.parametrize(("seq", "epoch"), [(99, "e1"), (500, "e2")])
    async def test_a_room_that_began_anew_has_no_rate(
        self, server: CannedApi, seq: int, epoch: str
    ) -> None:
        found = rooms()
        async with node(server.url) as one:
            server.will_say("/metrics", metrics({}))
            await one.look()
            server.will_say("/v1/rooms?top=10", {"rooms": [{"room": "lobby"}]})
            server.has_room("lobby", 100)
            await found.look([one])
            server.has_room("lobby", seq, epoch)
            await found.look([one])
            assert [line.rate for line in found.lines] == [None]

    async def test_the_first_node_that_answers_is_asked(self, server: CannedApi) -> None:
        found = rooms(2)
        server.will_say("/metrics", metrics({}))
        server.will_say("/v1/rooms?top=2", {"rooms": [{"room": "a"}, {"room": "gone"}]})
        server.has_room("a", 1)
        async with node(f"http://127.0.0.1:{free_port()}") as away, node(server.url) as here:
            for one in (away, here):
                await one.look()
            await found.look([away, here])
            assert [line.room for line in found.lines] == ["a"]
            await found.look([away])
            assert (found.lines, found.why) == ([], "no node answers")

    async def test_a_key_that_may_not_read_is_said(self, server: CannedApi) -> None:
        found = rooms()
        server.will_say("/metrics", metrics({}))
        server.will_say("/v1/rooms?top=10", {"error": {"message": "not for this key"}}, 403)
        async with node(server.url) as one:
            await one.look()
            await found.look([one])
            assert (found.lines, found.why) == ([], "not for this key")

    @pytest.mark.parametrize("body", ["no JSON", [], {"rooms": 3}, {"rooms": [{}]}, {}])
    async def test_nonsense_is_said(self, server: CannedApi, body: object) -> None:
        found = rooms()
        server.will_say("/metrics", metrics({}))
        server.will_say("/v1/rooms?top=10", body)
        async with node(server.url) as one:
            await one.look()
            await found.look([one])
            assert found.lines == []
            assert found.why

    async def test_none_are_asked_for_where_none_are_wanted(self, server: CannedApi) -> None:
        server.will_say("/metrics", metrics({}))
        async with node(server.url) as one:
            await one.look()
            await rooms(0).look([one])
        assert [path for path, _ in server.asked] == ["/metrics"]
