"""A shard as viewers see it: joining, typing, leaving, and everything that is refused.

Real sockets, a real Valkey, an independent client.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.counters import ChatCount
from chat.ops.engine import EmbeddedEngine
from tests.chat.rig import Shard, Viewer, publish

ROOM = "live:42"
COLORS = {"color": 0xFF0000, "mode": "top", "size": 36}


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix) as shard:
        yield shard


@pytest.fixture(params=["json", "msgpack", "json, compressed", "msgpack, compressed"])
async def viewer(shard: Shard, request: pytest.FixtureRequest) -> AsyncIterator[Viewer]:
    how: str = request.param
    made = shard.viewer(binary=how.startswith("msgpack"), compressed=how.endswith("compressed"))
    async with made as viewer:
        yield viewer


class TestWelcome:
    async def test_is_the_first_event_and_says_who_one_is(
        self, shard: Shard, viewer: Viewer
    ) -> None:
        welcome = await viewer.hear("welcome")
        assert viewer.events[0] == welcome
        assert re.fullmatch(f"guest:{shard.name}[0-9a-f]{{13}}", welcome["uid"])
        assert welcome["name"] == f"guest-{welcome['uid'][-4:]}"
        assert welcome["conn"].startswith(f"{shard.name}-")
        assert (welcome["role"], welcome["heartbeat"], welcome["v"]) == ("guest", 30, 1)

    async def test_no_two_connections_are_the_same(self, shard: Shard) -> None:
        names = set()
        for _ in range(5):
            async with shard.viewer() as one, shard.viewer() as two:
                names |= {(await one.hear("welcome"))["conn"], (await two.hear("welcome"))["conn"]}
        assert len(names) == 10

    async def test_rooms_in_the_address_are_joined(self, shard: Shard) -> None:
        await publish(shard.store, "a", "hi")
        async with shard.viewer("?room=a&room=%E5%B9%95&room=a") as viewer:
            assert (await viewer.hear("joined", room="a"))["history"][0]["text"] == "hi"
            await viewer.hear("joined", room="幕")
            await viewer.settle()
            assert len(viewer.of("joined")) == 2
            assert "ref" not in viewer.of("joined")[0]

    async def test_a_bad_room_in_the_address_is_told(self, shard: Shard) -> None:
        async with shard.viewer("?room=a%20b&room=ok") as viewer:
            await viewer.hear("joined", room="ok")
            assert [error["code"] for error in viewer.of("error")] == ["bad_room"]


class TestJoining:
    async def test_tells_where_the_room_is(self, viewer: Viewer) -> None:
        joined = await viewer.ask("join", room=ROOM)
        assert joined == {
            "t": "joined", "room": ROOM, "epoch": joined["epoch"], "seq": 0, "online": 1,
            "recovered": False, "history": [], "ref": joined["ref"], "state": joined["state"],
        }  # fmt: skip

    async def test_shows_the_newest_messages_whole(self, shard: Shard, viewer: Viewer) -> None:
        await publish(shard.store, ROOM, *map(str, range(100)))
        joined = await viewer.join(ROOM)
        assert [message["text"] for message in joined["history"]] == list(map(str, range(70, 100)))
        assert joined["seq"] == 100
        assert joined["history"][-1] == {
            "t": "msg", "room": ROOM, "seq": 100, "id": "e00001-100", "uid": "u", "name": "n",
            "text": "99", "color": 1, "mode": "scroll", "size": 25,
            "ts": joined["history"][-2]["ts"] + 1,
        }  # fmt: skip

    async def test_counts_everyone(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer(binary=True) as two:
            assert (await one.join(ROOM))["online"] == 1
            assert (await two.join(ROOM))["online"] == 2

    async def test_is_open_to_names_of_every_script(self, viewer: Viewer) -> None:
        for name in (
            "a",
            "x" * 64,
            "弹幕:房间_1.2-3",
            "кімната",
            "ก",
            "हिन्दी",
            "ห้องแชท",
            "e\u0301",
        ):
            assert (await viewer.join(name))["room"] == name

    @pytest.mark.parametrize(
        "name",
        ["", " ", "a b", "a\n", "a/b", "{1}", "😀", "x" * 65, "x" * 300, "幕" * 65, "a\x00",
         "\u3164", "\ufe0f", "Z" + "\u0301" * 9],
    )  # fmt: skip
    async def test_a_bad_name_is_refused(self, shard: Shard, name: str) -> None:
        async with shard.viewer() as viewer:
            error = await viewer.ask("join", room=name)
            assert (error["t"], error["code"]) == ("error", "bad_room")
            assert "retry_after" not in error
            assert shard.service.rooms.by_name == {}

    async def test_a_thousand_rooms_are_too_many(self, valkey: EmbeddedEngine, prefix: str) -> None:
        limits = {"commands_burst": 2_000, "rooms_per_connection": 50}
        async with Shard(valkey.url, prefix, limits=limits) as shard, shard.viewer() as viewer:
            for i in range(1_000):
                await viewer.do("join", room=f"r{i}", ref=i)
            answers = [await viewer.hear("joined", ref=i) for i in range(50)]
            assert [answer["room"] for answer in answers] == [f"r{i}" for i in range(50)]
            await viewer.settle()
            errors = viewer.of("error")
            assert [error["ref"] for error in errors] == list(range(50, 1_000))
            assert {error["code"] for error in errors} == {"too_many_rooms"}
            assert len(shard.service.rooms.by_name) == 50
            assert (await viewer.join("r7"))["room"] == "r7"  # one it is in
            assert (await viewer.ask("leave", room="r7"))["t"] == "left"
            await viewer.join("r50")

    async def test_again_is_answered_again_and_counts_once(self, viewer: Viewer) -> None:
        for _ in range(3):
            assert (await viewer.join(ROOM))["online"] == 1
        await viewer.say(ROOM, "once")
        await viewer.hear("msg", text="once")
        await viewer.settle()
        assert viewer.texts == ["once"]


class TestTyping:
    async def test_is_acknowledged_and_seen_by_everyone(self, shard: Shard, viewer: Viewer) -> None:
        async with shard.viewer() as other, shard.viewer(binary=True) as third:
            for one in (viewer, other, third):
                await one.join(ROOM)
            ack = await viewer.ask("send", room=ROOM, text="前方高能", **COLORS)
            me = await viewer.hear("welcome")
            for one in (viewer, other, third):
                message = await one.hear("msg")
                assert message == {
                    "t": "msg", "room": ROOM, "seq": 1, "id": ack["id"], "uid": me["uid"],
                    "name": me["name"], "text": "前方高能", "ts": message["ts"], **COLORS,
                }  # fmt: skip
            assert ack == {
                "t": "ack", "room": ROOM, "seq": 1, "id": ack["id"], "ts": ack["ts"],
                "ref": ack["ref"],
            }  # fmt: skip

    async def test_everyone_sees_the_same_order(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer(binary=True) as two:
            await one.join(ROOM)
            await two.join(ROOM)
            for i in range(15):
                await one.do("send", room=ROOM, text=f"one {i}")
                await two.do("send", room=ROOM, text=f"two {i}")
            await one.hear("msg", seq=30)
            await two.hear("msg", seq=30)
            assert one.texts == two.texts
            assert [m["seq"] for m in one.of("msg")] == list(range(1, 31))
            assert [t for t in one.texts if t.startswith("one")] == [f"one {i}" for i in range(15)]

    async def test_control_characters_are_spaces_and_ends_are_trimmed(self, viewer: Viewer) -> None:
        await viewer.join(ROOM)
        await viewer.say(ROOM, " \n a\r\nb\tc\x00d\u2028e\x7f ")
        assert (await viewer.hear("msg"))["text"] == "a b c d e"

    async def test_a_tower_of_marks_is_cut(self, viewer: Viewer) -> None:
        await viewer.join(ROOM)
        await viewer.say(ROOM, "Z" + "\u0310\u0301\u0302\u0303" * 35)
        assert (await viewer.hear("msg"))["text"] == "Z" + "\u0310\u0301\u0302\u0303" * 2

    @pytest.mark.parametrize(
        "text",
        ["", " ", "\n\t\x00", "\u2028\u3000", "\u3164", "\u115f", "\u2800", "\u200c", "\u00ad",
         "\ufe0f", "\U000e0100", " \u3164 \u200b"],
    )  # fmt: skip
    async def test_nothing_is_no_message(self, shard: Shard, text: str) -> None:
        async with shard.viewer() as viewer:
            await viewer.join(ROOM)
            assert (await viewer.ask("send", room=ROOM, text=text))["code"] == "text_empty"

    async def test_the_longest_text_is_counted_in_characters(self, viewer: Viewer) -> None:
        await viewer.join(ROOM)
        await viewer.say(ROOM, "幕" * 300)
        error = await viewer.ask("send", room=ROOM, text="幕" * 301)
        assert (error["code"], "300" in error["message"]) == ("text_too_long", True)

    async def test_one_has_to_be_in_the_room(self, shard: Shard, viewer: Viewer) -> None:
        async with shard.viewer() as other:
            await other.join(ROOM)
            for room in (ROOM, "nowhere", "a b", ""):
                error = await viewer.ask("send", room=room, text="x")
                assert error["code"] == "not_joined"
            await other.settle()
            assert other.texts == []

    async def test_the_same_id_is_delivered_once(self, shard: Shard, viewer: Viewer) -> None:
        await viewer.join(ROOM)
        first = await viewer.say(ROOM, "hi", id="c1-7")
        again = await viewer.say(ROOM, "hi", id="c1-7")
        assert {**again, "ref": 0} == {**first, "ref": 0}
        await viewer.say(ROOM, "end")
        await viewer.hear("msg", text="end")
        assert viewer.texts == ["hi", "end"]
        assert shard.count(ChatCount.DUPLICATES_PUBLISHED) == 1
        async with shard.viewer() as other:
            await other.join(ROOM)
            assert (await other.say(ROOM, "mine", id="c1-7"))["seq"] == 3

    async def test_an_id_that_another_message_has_is_refused(
        self, shard: Shard, viewer: Viewer
    ) -> None:
        await viewer.join(ROOM)
        await viewer.say(ROOM, "hi", id="c1-7")
        for other in ({"text": "ho"}, {"text": "hi", "color": 5}):
            error = await viewer.ask("send", room=ROOM, id="c1-7", **other)
            assert (error["code"], error.get("retry_after")) == ("id_reused", None)
        await viewer.say(ROOM, "end")
        await viewer.hear("msg", text="end")
        assert viewer.texts == ["hi", "end"]
        assert shard.count(ChatCount.REFUSED_ID_REUSED) == 2
        assert shard.count(ChatCount.REFUSED_UNAVAILABLE) == 0


class TestLeaving:
    async def test_ends_the_messages(self, shard: Shard, viewer: Viewer) -> None:
        async with shard.viewer() as other:
            await viewer.join(ROOM)
            await viewer.join("other")
            await other.join(ROOM)
            assert (await viewer.ask("leave", room=ROOM))["room"] == ROOM
            await other.say(ROOM, "unheard")
            await other.hear("msg")
            await viewer.say("other", "heard")
            await viewer.hear("msg")
            assert viewer.texts == ["heard"]

    async def test_a_room_one_is_not_in_is_refused(self, viewer: Viewer) -> None:
        assert (await viewer.ask("leave", room=ROOM))["code"] == "not_joined"
        await viewer.join(ROOM)
        await viewer.ask("leave", room=ROOM)
        assert (await viewer.ask("leave", room=ROOM))["code"] == "not_joined"
        assert (await viewer.ask("send", room=ROOM, text="x"))["code"] == "not_joined"

    async def test_before_being_let_in_is_leaving(self, shard: Shard) -> None:
        async with shard.viewer() as viewer, shard.viewer() as other:
            await viewer.do("join", room=ROOM, ref=1)
            await viewer.do("leave", room=ROOM, ref=2)
            await viewer.do("join", room=ROOM, ref=3)
            await viewer.do("leave", room=ROOM, ref=4)
            await viewer.hear("left", ref=4)
            await other.join(ROOM)
            await other.say(ROOM, "unheard")
            await other.hear("msg")
            await viewer.settle()
            # The joins may have been answered before they were taken back, nothing else.
            assert {event["t"] for event in viewer.events} <= {
                "welcome",
                "joined",
                "left",
                "pong",
                "online",
            }
            assert shard.service.rooms.by_name[ROOM].local == 1

    async def test_going_away_is_leaving_everything(self, shard: Shard) -> None:
        async with shard.viewer("?room=a&room=b") as viewer:
            await viewer.hear("joined", room="b")
            await viewer.hear("joined", room="a")
            assert sum(room.local for room in shard.service.rooms.by_name.values()) == 2
        assert sum(room.local for room in shard.service.rooms.by_name.values()) == 0


class TestPing:
    async def test_is_answered(self, viewer: Viewer) -> None:
        pong = await viewer.ask("ping")
        assert pong == {"t": "pong", "ref": pong["ref"]}
        await viewer.do("ping")
        await viewer.hear("pong", ref=None)


class TestNonsense:
    @pytest.mark.parametrize(
        ("frame", "code", "ref"),
        [
            ("{", "bad_request", None),
            ("[]", "bad_request", None),
            ("null", "bad_request", None),
            ('{"t":"shout","ref":7}', "unknown_command", 7),
            ('{"ref":"x"}', "bad_request", "x"),
            ('{"t":"join","room":5,"ref":7}', "bad_request", 7),
            ('{"t":"send","room":"a","text":null,"ref":7}', "bad_request", 7),
            ('{"t":"send","room":"a","text":"x","color":-1,"ref":7}', "bad_request", 7),
            ('{"t":"join","room":"a","since":{"epoch":"e","seq":1e99},"ref":7}', "bad_request", 7),
            ('{"t":"send","room":1,"x":' + "[" * 7_000 + "]" * 7_000 + "}", "bad_request", None),
        ],
    )
    async def test_is_answered_and_survived(
        self, shard: Shard, frame: str, code: str, ref: Any
    ) -> None:
        async with shard.viewer() as viewer:
            await viewer.raw(frame)
            error = await viewer.hear("error")
            assert (error["code"], error.get("ref")) == (code, ref)
            await viewer.settle()
            assert shard.count(ChatCount.REFUSED_BAD_REQUEST) == 1

    async def test_the_other_kind_of_frame_is_not_this_subprotocols(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.raw(b'{"t":"ping"}')
            assert await viewer.closed() == 1003
        async with shard.viewer(binary=True) as viewer:
            await viewer.raw('{"t":"ping"}')
            assert await viewer.closed() == 1003


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ({"t": "join", "room": "a b"}, ChatCount.REFUSED_BAD_ROOM),
        ({"t": "join", "room": "third"}, ChatCount.REFUSED_TOO_MANY_ROOMS),
        ({"t": "send", "room": "elsewhere", "text": "x"}, ChatCount.REFUSED_NOT_JOINED),
        ({"t": "leave", "room": "elsewhere"}, ChatCount.REFUSED_NOT_JOINED),
        ({"t": "history", "room": "elsewhere"}, ChatCount.REFUSED_NOT_JOINED),
        ({"t": "report", "room": "elsewhere", "seq": 1}, ChatCount.REFUSED_NOT_JOINED),
        ({"t": "like", "room": "elsewhere"}, ChatCount.REFUSED_NOT_JOINED),
        ({"t": "report", "room": ROOM, "seq": 9}, ChatCount.REFUSED_BAD_REQUEST),
        ({"t": "like", "room": ROOM, "kind": "ninth"}, ChatCount.REFUSED_BAD_REQUEST),
        ({"t": "send", "room": ROOM, "text": "\u3164"}, ChatCount.REFUSED_TEXT_EMPTY),
        ({"t": "send", "room": ROOM, "text": "x" * 301}, ChatCount.REFUSED_TEXT_TOO_LONG),
        ({"t": "send", "room": ROOM, "text": "x", "kind": "gift"}, ChatCount.REFUSED_ROLE),
        ({"t": "auth", "name": "\u3164"}, ChatCount.REFUSED_NAME),
        ({"t": "auth", "token": "none"}, ChatCount.REFUSED_TOKEN),
        ({"t": "nothing"}, ChatCount.REFUSED_BAD_REQUEST),
    ],
)
async def test_what_is_refused_is_counted_by_why(
    command: dict[str, Any], reason: ChatCount, valkey: EmbeddedEngine, prefix: str
) -> None:
    limits = {"rooms_per_connection": 2}
    more: dict[str, Any] = {"rooms": {"like_kinds": ["like"]}, "limits": limits}
    async with Shard(valkey.url, prefix, **more) as shard, shard.viewer() as viewer:
        for room in (ROOM, "other"):
            await viewer.ask("join", room=room)
        refused = [one for one in ChatCount if one.name.startswith("REFUSED_")]
        before = {one: shard.count(one) for one in refused}
        asked = dict(command)
        assert (await viewer.ask(asked.pop("t"), **asked))["t"] == "error"
        now = {one: shard.count(one) - before[one] for one in refused}
        assert {one: count for one, count in now.items() if count} == {reason: 1}
