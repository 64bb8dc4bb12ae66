"""The JavaScript client on a real node, in Node and in Chromium: killed shards, a cut network."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from bench.local import Node
from tests.e2e.browsers import CHROMIUM
from tests.e2e.cuttable import Cuttable
from tests.e2e.jsclient import (
    INSTALLED,
    NODE,
    PACKAGE,
    Client,
    Runtime,
    in_chromium,
    in_node,
)
from tests.patience import PATIENCE_S, until

GONE = 600
"""More than `rooms.history` keeps."""
SECRET = "a secret of more than thirty-two bytes"
SETTINGS = {"auth_secret": SECRET}
SCRIPT = PACKAGE / "dist" / "danmaku.global.js"
QUEUE = 20
ROOMS = 50
"""`limits.rooms_per_connection`, and more than `limits.commands_burst`."""
MISSED = [f"missed {n}" for n in range(80)]
"""More than the newest that a first visit is shown."""

Open = Callable[..., Client]

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="there is no node here"),
    pytest.mark.skipif(not INSTALLED, reason="npm has not installed ws: run `make test`"),
]
rooms = count()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(in_node, id="node"),
        pytest.param(
            in_chromium,
            id="chromium",
            marks=[
                pytest.mark.browser,
                pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium"),
            ],
        ),
    ],
)
def runtime(request: pytest.FixtureRequest, node: Node) -> Iterator[Runtime]:
    with request.param(node) as runtime:
        yield runtime


@pytest.fixture
def network(node: Node) -> Iterator[Cuttable]:
    with Cuttable(node.port) as network:
        yield network


@pytest.fixture
def room() -> str:
    return f"js:房间:{next(rooms)}"


@pytest.fixture
def open_client(runtime: Runtime, network: Cuttable, room: str) -> Iterator[Open]:
    """Opens the client of a test, in its room, over the network that it can cut."""
    opened: list[Client] = []

    def open_one(**options: Any) -> Client:
        client = Client(runtime, network.ws, room, **options)
        opened.append(client)
        client.until("joined")
        return client

    yield open_one
    for client in opened:
        client.close()


def token(uid: str, seconds: int = 3600, **claims: Any) -> str:
    return jwt.encode({"sub": uid, "exp": int(time.time()) + seconds, **claims}, SECRET, "HS256")


def order(node: Node, method: str, path: str, body: Any = None) -> Any:
    status, answer = node.request(method, f"/v1{path}", body)
    assert status == 200, answer
    return answer


def say(node: Node, room: str, *texts: str) -> None:
    order(node, "POST", f"/rooms/{quote(room)}/messages", [{"text": text} for text in texts])


def said(node: Node, room: str) -> list[str]:
    status, answer = node.request("GET", f"/v1/rooms/{quote(room)}/messages")
    return [one["text"] for one in answer["messages"]] if status == 200 else []


class TestLive:
    @pytest.mark.parametrize("codec", [None, "MSGPACK"])
    def test_it_hears_and_is_heard(
        self, node: Node, open_client: Open, room: str, codec: str | None
    ) -> None:
        client = open_client(codec=codec)
        ack = client.send(room, "前方高能 🎉")
        say(node, room, "from afar")
        client.until_said("前方高能 🎉", "from afar")
        [own, other] = client.messages()
        assert (own["seq"], own["id"]) == (ack["seq"], ack["id"])
        assert client.run("return d.client.isOwn(args[0]);", own["uid"])
        assert not client.run("return d.client.isOwn(args[0]);", other["uid"])
        assert [own["color"], own["mode"], own["size"]] == [0xFFFFFF, "scroll", 25]

    def test_what_is_taken_back_ruled_and_liked_is_told(
        self, node: Node, open_client: Open, room: str
    ) -> None:
        client = open_client()
        say(node, room, "vile", "fine")
        client.until_said("vile", "fine")
        path = f"/rooms/{quote(room)}"
        order(node, "DELETE", f"{path}/messages/1")
        assert client.until("delete")["target"] == 1
        order(node, "DELETE", f"{path}/messages")
        client.until("clear")
        order(node, "PATCH", f"{path}/settings", {"announcement": "Be nice", "shown_per_s": 5})
        client.until("state", lambda event: event["state"]["announcement"] == "Be nice")
        assert client.run("return d.client.like(args[0], { count: 3 });", room)["t"] == "done"
        assert client.until("likes")["counts"] == {"like": 3}
        say(node, room, *(f"crowd {n}" for n in range(60)))
        shed = client.until("shed")
        assert 0 < shed["count"] < 60
        page = client.run("return d.client.history(args[0], { limit: 3 });", room)
        assert [one["text"] for one in page["messages"]] == ["crowd 57", "crowd 58", "crowd 59"]
        assert page["more"]
        assert client.events("gap") == []
        assert len(client.events("joined")) == 1

    def test_it_may_be_in_as_many_rooms_as_one_may_have_though_commands_have_a_rate(
        self, network: Cuttable, runtime: Runtime, room: str
    ) -> None:
        names = [f"{room}:{n}" for n in range(ROOMS)]
        client = Client(runtime, network.ws, *names)
        try:
            entered = "return args.filter((room) => d.client.isIn(room)).length;"
            until(lambda: client.run(entered, *names) == ROOMS, "the last room")
            assert len(client.events("joined")) == ROOMS
            assert {one["code"] for one in client.events("refused")} <= {"rate_limited"}
            assert len(client.events("welcome")) == 1
        finally:
            client.close()


class TestComingBack:
    def test_over_a_killed_shard_without_a_hole_and_none_twice(
        self, node: Node, open_client: Open, room: str
    ) -> None:
        client = open_client()
        assert client.send(room, "before")["seq"] == 1
        for pid in node.pids("shard"):
            os.kill(pid, signal.SIGKILL)
        say(node, room, *MISSED)
        client.until_said("before", *MISSED)
        assert client.send(room, "after")["seq"] == len(MISSED) + 2
        client.until_said("before", *MISSED, "after")
        assert client.events("gap") == []
        uids = {event["uid"] for event in client.events("welcome")}
        assert len(uids) == 1, "a guest comes back as itself"

    def test_over_a_cut_network_and_what_is_said_meanwhile_waits(
        self, node: Node, network: Cuttable, open_client: Open, room: str
    ) -> None:
        client = open_client()
        network.cut()
        until(lambda: client.state == "connecting", "the loss")
        say(node, room, *MISSED)
        waiting = [f"waits {n}" for n in range(QUEUE)]
        client.send_soon(room, *waiting, "one too many")
        until(lambda: client.sent, "the refusal")
        assert client.sent == {"one too many": "queue_full"}
        assert client.run("return d.client.queued;") == QUEUE
        client.run("globalThis.window?.dispatchEvent(new Event('offline'));")
        assert client.state == "connecting", "a browser that is offline has not given up"
        network.mend()
        client.run("globalThis.window?.dispatchEvent(new Event('online')) ?? d.client.retry();")
        client.until_said(*MISSED, *waiting)
        until(lambda: len(client.sent) == QUEUE + 1, "the last ack")
        assert client.events("gap") == []

    def test_what_is_gone_for_good_is_told_and_nothing_else_is_missing(
        self, node: Node, network: Cuttable, open_client: Open, room: str
    ) -> None:
        client = open_client()
        say(node, room, "before")
        client.until_said("before")
        network.cut()
        for _ in range(GONE // 100):
            say(node, room, *(f"{n}" for n in range(100)))
        network.mend()
        gap = client.until("gap")
        until(lambda: client.messages()[-1]["seq"] == GONE + 1, "the newest")
        assert not gap["anew"]
        assert gap["lost"] + len(client.messages()) == GONE + 1
        seqs = [one["seq"] for one in client.messages()]
        assert seqs == [1, *range(gap["lost"] + 2, GONE + 2)]
        found = client.run("return d.client.missed(args[0]);", gap)
        first = gap["lost"] + 2 - len(found["messages"])
        assert [one["seq"] for one in found["messages"]] == list(range(first, gap["lost"] + 2))
        assert (found["lost"], found["removals"]) == (first - 2, [])
        assert len(found["messages"]) > 100, "more than one page was still kept"

    def test_what_is_in_doubt_is_sent_again_under_its_id_and_is_there_once(
        self, node: Node, network: Cuttable, open_client: Open, room: str
    ) -> None:
        client = open_client()
        network.mute = True
        client.send_soon(room, "in doubt")
        until(lambda: said(node, room) == ["in doubt"], "the message")
        assert client.sent == {}
        network.cut()
        network.mend()
        until(lambda: client.sent, "the ack")
        assert client.sent["in doubt"]["seq"] == 1
        client.send(room, "behind it")
        client.until_said("in doubt", "behind it")
        assert said(node, room) == ["in doubt", "behind it"]


class TestWhoOneIs:
    def test_a_token_is_renewed_before_it_ends(self, network: Cuttable, open_client: Open) -> None:
        client = open_client(tokens=[token("u7", 50), token("u7")])
        authed = client.until("authed")
        assert client.events("expiring")
        assert authed["expires"] > client.run("return Date.now() / 1000;") + 1000
        assert client.run("return d.client.me.uid;") == "u7"
        assert network.accepted == 1

    def test_who_is_not_let_in_comes_back_with_another(self, open_client: Open, room: str) -> None:
        client = open_client(tokens=[token("u8") + "x", token("u8")])
        closed = client.until("connection", lambda change: change.get("code"))
        assert (closed["state"], closed["code"]) == ("connecting", 4500)
        assert client.send(room, "let in")["t"] == "ack"
        assert client.run("return d.client.me.uid;") == "u8"


class TestBeingSentAway:
    def test_who_is_banned_does_not_come_back(
        self, node: Node, network: Cuttable, open_client: Open
    ) -> None:
        client = open_client(tokens=[token("vandal")])
        order(node, "PUT", "/bans/vandal", {"reason": "spam"})
        change = client.until("connection", lambda change: change["state"] == "closed")
        assert (change["code"], change["reason"]) == (4504, "You are banned: spam")
        assert client.send("anywhere", "?") == "not_joined"
        assert network.accepted == 1
        order(node, "DELETE", "/bans/vandal")

    def test_who_is_kicked_comes_back_when_told_and_not_before(
        self, node: Node, network: Cuttable, open_client: Open
    ) -> None:
        client = open_client(tokens=[token("rude")])
        order(node, "DELETE", "/users/rude/connections")
        change = client.until("connection", lambda change: change.get("code") == 4505)
        [bye] = client.events("bye")
        told_at = client.run("return d.seen.find(([name]) => name === 'bye')[2];")
        assert bye["reconnect_in"] > 0
        assert change["returnAt"] >= told_at + bye["reconnect_in"] * 1000
        assert network.accepted == 1

    def test_who_is_sent_out_of_a_room_is_told_and_may_ask_again(
        self, node: Node, open_client: Open, room: str
    ) -> None:
        client = open_client(tokens=[token("loud")])
        path = f"/rooms/{quote(room)}/bans/loud"
        order(node, "PUT", path, {"reason": "loud"})
        assert client.until("left")["reason"] == "banned: loud"
        assert client.send(room, "?") == "not_joined"
        client.run("d.client.join(args[0]);", room)
        refused = client.until("refused")
        assert (refused["code"], refused["again"]) == ("banned", False)
        order(node, "DELETE", path)

        def is_in() -> object:
            client.run("d.client.join(args[0]);", room)
            return client.run("return d.client.isIn(args[0]);", room)

        until(is_in, "being let in")
        assert client.send(room, "sorry")["t"] == "ack"


class TestReadme:
    def test_its_example_runs_and_does_what_it_says(self, node: Node, tmp_path: Path) -> None:
        [example] = [
            block.partition("```")[0]
            for block in (PACKAGE / "README.md").read_text("utf-8").split("```js\n")[1:]
        ]
        assert example.count("\n") <= 10
        example = example.replace("ws://127.0.0.1:8000/ws", node.ws)
        end = """
            const heard = new Promise((resolve) => {
              client.on("message", ({ text }) => text === "the end" && resolve());
            });
            await client.send("lobby", "the end");
            await heard;
            client.close();
        """
        shim = "import WebSocket from 'ws'; globalThis.WebSocket ??= WebSocket;"
        example = example.replace('"danmaku-client"', '"./src/index.js"')
        running = subprocess.Popen(
            [str(NODE), "--input-type=module", "-e", f"{shim}\n{example}\n{end}"],
            cwd=PACKAGE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            printed, _ = running.communicate(timeout=PATIENCE_S)
        finally:
            running.kill()
        assert running.returncode == 0, "nothing keeps it alive that was closed"
        lines = [line.strip() for line in printed.splitlines()]
        assert {"connecting", "open", "1 watch lobby"} <= set(lines)
        assert any(line.startswith("published as ") for line in lines)
        assert any(line.endswith(" says: hello from JavaScript") for line in lines)


class TestPlainScript:
    @pytest.mark.skipif(not SCRIPT.exists(), reason="npm has not built it: run `make test`")
    def test_it_is_one_name(self, node: Node, runtime: Runtime, room: str) -> None:
        ack = runtime.run(
            """
            const [script, url, room] = args;
            const place = globalThis.document?.createElement("script");
            if (place) document.documentElement.append(Object.assign(place, { text: script }));
            else globalThis.Danmaku = new Function(`${script}; return Danmaku;`)();
            const client = globalThis.Danmaku.connect(url, { rooms: [room] });
            try {
              return await client.send(room, "hi");
            } finally {
              client.close();
            }
            """,
            *(SCRIPT.read_text("utf-8"), node.ws, room),
        )
        assert ack["seq"] == 1
