"""Centrifugo's HTTP API: its own Python library as it is, and what it does not send, by hand."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import cent
import pytest

from chat.config.sections import ApiKey
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.conftest import KEY
from tests.chat.api.rig import Answer, Api, new_room
from tests.chat.rig import Shard

DOCUMENT = (Path(__file__).parents[3] / "docs" / "api.md").read_text("utf-8")
DIALECTS = ("danmaku", "sse", "centrifugal")
ASCII_KEY = "a-key-of-theirs"
METHODS = [
    *("publish", "broadcast", "disconnect", "presence_stats", "history", "channels", "info"),
]


@pytest.fixture(scope="module")
def theirs(valkey: EmbeddedEngine) -> Iterator[Api]:
    keys = (
        ApiKey("reader", ("read",), key="read-only"),
        ApiKey("slow", ("publish",), key="slowly", per_s=1, burst=1),
    )
    api = Api(
        valkey.url,
        server={"dialects": DIALECTS},
        api={"key": ASCII_KEY, "keys": keys, "body_bytes": 4096},
    )
    yield api
    api.close()


@pytest.fixture(scope="module")
def client(theirs: Api) -> Iterator[cent.Client]:
    client = cent.Client(f"http://127.0.0.1:{theirs.port}/api", api_key=ASCII_KEY)
    yield client
    client.close()


def call(api: Api, method: str, body: bytes, **headers: str) -> Answer:
    given = headers or {"X-API-Key": ASCII_KEY}
    return api.call("POST", f"/api/{method}", body, headers=given)


def error_of(api: Api, method: str, body: bytes) -> tuple[int, str]:
    answer = call(api, method, body)
    assert answer.status == 200
    assert answer.json.keys() == {"error"}
    return answer.error["code"], answer.error["message"]


class TestCent:
    def test_what_it_publishes_is_in_the_history(self, client: cent.Client) -> None:
        room = new_room("live")
        published = [
            client.publish(cent.PublishRequest(channel=room, data=data))
            for data in ({"text": "one", "color": 255, "name": "阿花", "uid": "u7"}, "two")
        ]
        assert [one.offset for one in published] == [1, 2]
        found = client.history(cent.HistoryRequest(channel=room, limit=10))
        assert (found.offset, found.epoch) == (2, published[0].epoch)
        assert [one.offset for one in found.publications] == [1, 2]
        first = found.publications[0].data
        assert (first["text"], first["color"], first["name"]) == ("one", 255, "阿花")
        assert found.publications[1].data["text"] == "two"

    def test_the_same_key_is_published_once(self, client: cent.Client) -> None:
        room = new_room("live")
        asked = cent.PublishRequest(channel=room, data="once", idempotency_key="k-1")
        assert client.publish(asked) == client.publish(asked)
        other = cent.PublishRequest(channel=room, data="not it", idempotency_key="k-1")
        with pytest.raises(cent.CentApiResponseError) as refused:
            client.publish(other)
        assert refused.value.code == 107

    def test_to_many_channels_each_is_answered(self, client: cent.Client) -> None:
        room = new_room("live")
        asked = cent.BroadcastRequest(channels=[room, "no room!", room], data="hi")
        answers = client.broadcast(asked).responses
        assert [one.result and one.result.offset for one in answers] == [1, None, 2]
        assert answers[1].error is not None
        assert answers[1].error.code == 107

    def test_a_history_by_place_and_direction(self, client: cent.Client) -> None:
        room = new_room("live")
        for text in "abcd":
            client.publish(cent.PublishRequest(channel=room, data=text))

        def texts(**asked: Any) -> list[str]:
            found = client.history(cent.HistoryRequest(channel=room, **asked))
            assert found.offset == 4
            return [one.data["text"] for one in found.publications]

        epoch = client.history(cent.HistoryRequest(channel=room)).epoch
        here = cent.StreamPosition(offset=2, epoch=epoch)
        assert texts() == []
        assert texts(limit=0) == []
        assert texts(limit=2) == ["a", "b"]
        assert texts(limit=-1) == ["a", "b", "c", "d"]
        assert texts(limit=9, since=here) == ["c", "d"]
        assert texts(limit=2, reverse=True) == ["d", "c"]
        assert texts(limit=9, reverse=True, since=here) == ["a"]
        with pytest.raises(cent.CentApiResponseError) as refused:
            texts(limit=9, since=cent.StreamPosition(offset=2, epoch="gone"))
        assert refused.value.code == 112

    def test_a_channel_nobody_was_in_is_empty(self, client: cent.Client) -> None:
        room = new_room("live")
        found = client.history(cent.HistoryRequest(channel=room, limit=5))
        assert (found.publications, found.offset, found.epoch) == ([], 0, "")
        stats = client.presence_stats(cent.PresenceStatsRequest(channel=room))
        assert (stats.num_clients, stats.num_users) == (0, 0)

    def test_what_a_moderator_takes_back_is_gone(self, theirs: Api, client: cent.Client) -> None:
        room = new_room("live")
        for text in "ab":
            client.publish(cent.PublishRequest(channel=room, data=text))
        bearer = {"Authorization": f"Bearer {ASCII_KEY}"}
        theirs.call("DELETE", f"/v1/rooms/{room}/messages/1", headers=bearer)
        found = client.history(cent.HistoryRequest(channel=room, limit=5)).publications
        assert [(one.offset, one.data["t"]) for one in found] == [(2, "msg"), (3, "delete")]

    def test_it_says_of_which_node(self, client: cent.Client) -> None:
        [node] = client.info(cent.InfoRequest()).nodes
        assert len(node.uid) == 16
        assert (node.num_clients, node.num_channels) == (0, 0)

    def test_what_is_not_to_be_had_is_an_error(self, client: cent.Client) -> None:
        for asked in (
            cent.PublishRequest(channel="a", data="x", skip_history=True),
            cent.PublishRequest(channel="a", data="x", tags={"a": "b"}),
            cent.PublishRequest(channel="a", data="x", b64data="eA=="),
        ):
            with pytest.raises(cent.CentApiResponseError) as refused:
                client.publish(asked)
            assert refused.value.code == 108
        with pytest.raises(cent.CentApiResponseError) as refused:
            client.disconnect(cent.DisconnectRequest(user="u7", client="c"))
        assert refused.value.code == 108

    def test_without_the_key_it_is_unauthorized(self, theirs: Api) -> None:
        url = f"http://127.0.0.1:{theirs.port}/api"
        stranger = cent.Client(url, api_key="wrong")
        with pytest.raises(cent.CentUnauthorizedError):
            stranger.info(cent.InfoRequest())
        stranger.close()


class TestDocs:
    def test_the_example_does_what_it_says(self, theirs: Api) -> None:
        [example] = re.findall(r"```python\n# centrifugo\.py\n(.*?)```", DOCUMENT, re.DOTALL)
        url = f"http://127.0.0.1:{theirs.port}"
        environment = {**os.environ, "DANMAKU_API": url, "DANMAKU_KEY": ASCII_KEY}
        ran = subprocess.run(
            [sys.executable, "-c", example],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (ran.stdout, ran.returncode) == ("published 1\n1 server hi\n", 0), ran.stderr


class TestViewers:
    @pytest.fixture
    async def shard(self, theirs: Api) -> AsyncIterator[Shard]:
        prefix = theirs.config.bus.prefix
        async with Shard(theirs.url, prefix) as shard:
            yield shard

    async def test_are_counted_listed_reached_and_disconnected(
        self, theirs: Api, shard: Shard
    ) -> None:
        room = new_room("live")
        client = cent.AsyncClient(f"http://127.0.0.1:{theirs.port}/api", api_key=ASCII_KEY)
        async with shard.viewer() as one, shard.viewer() as two:
            for viewer in (one, two):
                await viewer.join(room)
            await shard.let_pass(6)
            stats = await client.presence_stats(cent.PresenceStatsRequest(channel=room))
            assert (stats.num_clients, stats.num_users) == (2, 2)
            pattern = f"live:*{room[-4:]}"
            listed = await client.channels(cent.ChannelsRequest(pattern=pattern))
            assert {name: found.num_clients for name, found in listed.channels.items()} == {room: 2}
            none = await client.channels(cent.ChannelsRequest(pattern="nothing-*"))
            assert none.channels == {}
            await client.publish(cent.PublishRequest(channel=room, data="hi"))
            await one.hear("msg", text="hi")
            uid = one.of("welcome")[0]["uid"]
            why = cent.Disconnect(code=4000, reason="late")
            await client.disconnect(cent.DisconnectRequest(user=uid, disconnect=why))
            assert await one.closed() == 4505
            assert two.close_code == 0
        await client.close()


class TestByHand:
    @pytest.mark.parametrize(
        "headers",
        [
            {"X-API-Key": ASCII_KEY},
            {"Authorization": f"apikey {ASCII_KEY}"},
            {"Authorization": f"Bearer {ASCII_KEY}"},
            {"X-API-Key": ASCII_KEY, "Authorization": "Basic eA=="},
            {"X-API-Key": "", "Authorization": f"apikey {ASCII_KEY}"},
            {"X-API-Key": " ", "Authorization": f"Bearer {ASCII_KEY}"},
        ],
    )
    def test_a_key_is_given_in_several_ways(self, theirs: Api, headers: dict[str, str]) -> None:
        assert call(theirs, "info", b"{}", **headers).status == 200

    @pytest.mark.parametrize("method", METHODS)
    def test_without_one_nothing_is_done(self, theirs: Api, method: str) -> None:
        answer = call(theirs, method, b"{}", Authorization="apikey wrong")
        assert (answer.status, answer.error["code"]) == (401, 101)
        assert answer.headers["www-authenticate"] == "Bearer"
        for way in ("X-API-Key: <key>", "Authorization: apikey <key>", "Bearer <key>"):
            assert way in answer.error["message"]

    @pytest.mark.parametrize("path", ["/v1/rooms", "/metrics"])
    def test_elsewhere_keys_are_given_as_ever(self, theirs: Api, path: str) -> None:
        for headers in ({"X-API-Key": ASCII_KEY}, {"Authorization": f"apikey {ASCII_KEY}"}):
            assert theirs.get(path, **headers).status == 401

    def test_a_key_opens_what_its_scopes_say(self, theirs: Api) -> None:
        reader = {"X-API-Key": "read-only"}
        assert call(theirs, "channels", b"{}", **reader).status == 200
        for method in ("publish", "broadcast", "disconnect"):
            answer = call(theirs, method, b"{}", **reader)
            assert (answer.status, answer.error["code"]) == (403, 103)
            got = theirs.call("GET", f"/api/{method}", headers=reader)
            assert (got.status, got.error["message"]) == (403, answer.error["message"])
        assert theirs.call("GET", "/api/channels", headers=reader).status == 405

    def test_and_no_oftener_than_its_rate(self, theirs: Api) -> None:
        slow = {"X-API-Key": "slowly"}
        body = b'{"channel": "a", "data": "x"}'
        answers = [call(theirs, "publish", body, **slow) for _ in range(3)]
        assert answers[0].status == 200
        assert (answers[-1].status, answers[-1].error["code"]) == (429, 111)
        assert int(answers[-1].headers["retry-after"]) >= 1

    @pytest.mark.parametrize(
        ("method", "body", "words"),
        [
            ("publish", b"", "channel: this field is needed"),
            ("publish", b"[]", "expected an object"),
            ("publish", b'{"channel":', "not JSON"),
            ("publish", b'{"channel": "a"}', "data: Expected `object`"),
            ("publish", b'{"channel": "a", "data": {"value": 1}}', "data: Object missing required"),
            ("publish", b'{"channel": "a", "data": {"text": ""}}', "data.text"),
            ("publish", b'{"channel": "a b", "data": "x"}', "channel: a room's name"),
            ("publish", b'{"channel": "a", "data": "x", "more": 1}', "more: there is no such"),
            ("broadcast", b'{"channels": [], "data": "x"}', "channels: Expected"),
            ("history", b'{"channel": "a", "limit": -2}', "limit: Expected"),
            ("history", b'{"channel": "a", "since": {"offset": -1}}', "since"),
            ("disconnect", b'{"user": ""}', "user: a uid is"),
            ("channels", b'{"pattern": 5}', "pattern: Expected"),
        ],
    )
    def test_what_makes_no_sense_is_told(
        self, theirs: Api, method: str, body: bytes, words: str
    ) -> None:
        code, message = error_of(theirs, method, body)
        assert code == 107
        assert words in message

    def test_a_body_has_a_bound(self, theirs: Api) -> None:
        answer = call(theirs, "publish", b'{"channel":"' + b"x" * 5000 + b'"}')
        assert (answer.status, answer.error["code"]) == (413, 107)

    @pytest.mark.parametrize("method", [*METHODS, "nothing"])
    def test_what_is_off_is_not_there(self, api: Api, keyed: Api, method: str) -> None:
        assert api.call("POST", f"/api/{method}", b"{}").status == 404
        bearer = f"Bearer {KEY}".encode().decode("latin-1")
        for headers in ({}, {"Authorization": bearer}):
            assert keyed.call("POST", f"/api/{method}", b"{}", headers=headers).status == 404

    def test_nor_is_what_nobody_knows(self, theirs: Api) -> None:
        for name in ("batch", "info/", ""):
            answer = call(theirs, name, b"{}")
            assert (answer.status, answer.error["code"]) == (404, 108)

    def test_nor_is_a_call_that_is_no_post(self, theirs: Api) -> None:
        for method in ("GET", "PUT"):
            answer = theirs.call(method, "/api/info", headers={"X-API-Key": ASCII_KEY})
            assert (answer.status, answer.error["code"]) == (405, 107)
            assert answer.headers["allow"] == "POST"

    def test_without_the_bus_it_says_so(self, own_valkey: EmbeddedEngine) -> None:
        api = Api(own_valkey.url, server={"dialects": DIALECTS}, bus={"timeout_ms": 1000})
        try:
            body = b'{"channel": "a", "data": "x"}'
            assert api.call("POST", "/api/publish", body).status == 200
            own_valkey.stop()
            for method in ("publish", "history", "presence_stats", "channels"):
                asked = body if method == "publish" else b'{"channel": "a"}'
                if method == "channels":
                    asked = b"{}"
                answer = api.call("POST", f"/api/{method}", asked)
                assert (answer.status, answer.error["code"]) == (200, 100)
            many = api.call("POST", "/api/broadcast", b'{"channels": ["a", "b"], "data": "x"}')
            codes = [one["error"]["code"] for one in many.json["result"]["responses"]]
            assert codes == [100, 100]
        finally:
            api.close()
