"""Clients of another protocol, goim's, at a shard: what they ask for and what becomes of it."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import brotli
import pytest

from chat.counters import ChatCount
from chat.hub.hub import MAX_STRIKES
from chat.ops.engine import EmbeddedEngine
from chat.policy.gate import BEATS_BURST
from chat.policy.hooks import Refuse
from chat.policy.identity import Identity
from chat.policy.orders import Everywhere
from chat.wire.commands import Moderate
from shard.counters import Count
from tests.chat.goimclient import GoimClient, packet, packets
from tests.chat.hub.test_enforcement import order
from tests.chat.hub.test_hub_admission import SECRET
from tests.chat.hub.test_introductions import bearer
from tests.chat.rig import Shard, publish, until

ROOM = "live:42"


class Doorman:
    async def on_connect(self, who: Identity) -> Any:
        return Refuse("not you") if who.uid == "u9" else None

    async def on_join(self, who: Identity, room: str) -> Any:
        return Refuse("not here") if room == "live:13" else None


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(
        valkey.url,
        prefix,
        server={"dialects": ("danmaku", "goim")},
        auth={"secret": SECRET},
        heartbeat={"handshake_s": 3},
    ) as shard:
        shard.wall = time.time()
        yield shard


async def client(shard: Shard, **fields: Any) -> GoimClient:
    found = await GoimClient.open(shard.address.replace("/ws", "/sub"))
    return await found.enter(**fields) if fields else found


class TestRooms:
    @pytest.mark.parametrize("protover", [0, 1, 2, 3])
    async def test_one_sees_what_is_said_in_the_room_it_names(
        self, shard: Shard, protover: int
    ) -> None:
        async with await client(shard, roomid=42, protover=protover) as one:
            async with shard.viewer() as other:
                await one.word("ONLINE_RANK_COUNT")
                await other.join(ROOM)
                await other.say(ROOM, "前方高能")
                await one.text("前方高能")
            assert all(len(frame) > 0 for frame in one.frames)

    async def test_a_flush_is_compressed_once_for_all(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        packed: list[bytes] = []
        compress = brotli.compress

        def counting(plain: bytes, **how: Any) -> bytes:
            packed.append(plain)
            found: bytes = compress(plain, **how)
            return found

        monkeypatch.setattr(brotli, "compress", counting)
        async with AsyncExitStack() as stack:
            viewers = [
                await stack.enter_async_context(await client(shard, roomid=42, protover=3))
                for _ in range(5)
            ]
            for viewer in viewers:
                await viewer.word("ONLINE_RANK_COUNT")
            await publish(shard.store, ROOM, "前方高能")
            for viewer in viewers:
                await viewer.text("前方高能")
            assert len([one for one in packed if b"DANMU_MSG" in one]) == 1
            frames = [frame for one in viewers for frame in one.frames if frame[7] == 3]
            shown = [one for one in frames if any(b"DANMU_MSG" in two.body for two in packets(one))]
            assert len(shown) == len(viewers)
            assert len(set(shown)) == 1

    async def test_a_heartbeat_is_answered_alone_and_in_no_room_too(self, shard: Shard) -> None:
        async with await client(shard, uid=1) as one:
            await one.send(2, b"[object Object]", seq=5)
            assert (await one.op(3)).seq == 5
            await one.send(12, b"live://42", seq=6)
            await one.word("ONLINE_RANK_COUNT")
            await one.send(2, seq=7)
            await one.op(3, 1)
            beats = [frame for frame in one.frames if frame[11] == 3]
            assert [len(frame) for frame in beats] == [20, 20]
            assert [frame[-4:] for frame in beats] == [b"\0\0\0\1"] * 2

    async def test_another_room_is_instead_of_the_one_before(self, shard: Shard) -> None:
        async with await client(shard, roomid=42) as one, shard.viewer() as other:
            await one.word("ONLINE_RANK_COUNT")
            await one.send(12, b"chat://a", seq=8)
            changed = await one.op(13)
            assert (changed.body, changed.seq, changed.version) == (b"chat://a", 8, 1)
            for room in (ROOM, "chat:a"):
                await other.join(room)
                await other.say(room, f"in {room}")
            await one.text("in chat:a")
            assert one.texts == ["in chat:a"]
            assert shard.service.rooms.by_name[ROOM].local == 1

    async def test_what_is_subscribed_to_is_echoed(self, shard: Shard) -> None:
        async with await client(shard, roomid=42) as one:
            await one.send(14, b"1000,1001", seq=3)
            await one.send(16, b"1001", seq=4)
            assert await one.op(17) == (1, 17, 4, b"1001")
            assert await one.op(15) == (1, 15, 3, b"1000,1001")

    async def test_who_can_be_in_no_room_now_is_sent_away_to_come_back(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        server = {"dialects": ("danmaku", "goim")}
        async with (
            Shard(valkey.url, prefix, server=server, limits={"rooms": 1}) as full,
            full.viewer() as other,
            await client(full, uid=1) as one,
        ):
            await other.join("b")
            await one.send(12, b"live://42")
            assert (await one.closed())[0] == 4000

    async def test_who_opens_room_after_room_is_sent_away(
        self, valkey: EmbeddedEngine, prefix: str
    ) -> None:
        server, limits = {"dialects": ("danmaku", "goim")}, {"rooms_opened_per_s": 1}
        async with (
            Shard(valkey.url, prefix, server=server, limits=limits) as shard,
            await client(shard, roomid=42) as one,
        ):
            for number in range(18):
                await one.send(12, b"live://%d" % number)
            code, reason = await one.closed()
            assert (code, "too many rooms are being opened" in reason) == (4000, True)
            assert len(shard.service.rooms.by_name) < 18

    async def test_a_room_that_can_be_none_closes(self, shard: Shard) -> None:
        async with await client(shard) as one:
            await one.send(7, json.dumps({"room_id": "no such room!"}).encode(), seq=2)
            assert await one.closed() == (1008, "there can be no room of that name")
            assert one.packets == [(1, 8, 2, b'{"code":-101}')]
        assert shard.service.rooms.by_name == {}


class TestWhoItIs:
    async def test_a_key_is_a_token(self, shard: Shard) -> None:
        async with await client(shard, roomid=42, key=bearer("u7")) as one:
            assert [shard.service._rules.book.everywhere.sanctions, one.close] == [{}, None]
            assert len(shard.hub._users.find("u7")) == 1

    @pytest.mark.parametrize("key", ["nonsense", 5, ["x"], {"a": 1}])
    async def test_one_that_is_not_valid_is_answered_and_closed(
        self, shard: Shard, key: Any
    ) -> None:
        async with await client(shard) as one:
            await one.send(7, json.dumps({"roomid": 42, "key": key}).encode(), seq=3)
            code, reason = await one.closed()
            assert (code, "not valid" in reason) == (4500, True)
            assert one.packets == [(1, 8, 3, b'{"code":-101}')]
        assert shard.service.rooms.by_name == {}
        assert shard.count(ChatCount.REFUSED_TOKEN) == 1

    async def test_it_is_said_once(self, shard: Shard) -> None:
        async with await client(shard, roomid=42) as one:
            await one.send(7, json.dumps({"roomid": 43}).encode())
            assert (await one.closed())[0] == 1002
        assert "live:43" not in shard.service.rooms.by_name

    async def test_anything_else_first_closes(self, shard: Shard) -> None:
        async with await client(shard) as one:
            await one.send(2)
            assert (await one.closed())[0] == 1002

    async def test_so_does_silence(self, shard: Shard) -> None:
        async with await client(shard) as one:
            await until(lambda: shard.hub.introductions.waiting)
            shard.advance(4)
            assert (await one.closed())[0] == 4508


class TestModeration:
    async def test_who_is_muted_is_told(self, shard: Shard) -> None:
        async with await client(shard, roomid=42, key=bearer("1001")) as one:
            await one.word("ONLINE_RANK_COUNT")
            await order(shard, Moderate(ROOM, "mute", uid="1001", seconds=60))
            assert (await one.word("ROOM_BLOCK_MSG"))["uid"] == 1001

    async def test_who_is_banned_from_the_room_is_told_and_closed(self, shard: Shard) -> None:
        async with await client(shard, roomid=42, key=bearer("u7")) as one:
            await one.word("ONLINE_RANK_COUNT")
            await order(shard, Moderate(ROOM, "ban", uid="u7", reason="spam"))
            assert (await one.word("CUT_OFF"))["msg"] == "banned: spam"
            assert (await one.closed())[0] == 4504
        # Stock clients come back whatever the code; the second time they stay, in no room.
        async with await client(shard, roomid=42, key=bearer("u7")) as again:
            await again.word("CUT_OFF")
            await again.send(2)
            await again.op(3)
            assert again.close is None

    async def test_who_goes_where_it_is_banned_is_in_no_room(self, shard: Shard) -> None:
        async with (
            shard.viewer(f"?token={bearer('u7')}") as itself,
            shard.viewer() as other,
            await client(shard, roomid=42, key=bearer("u7")) as one,
        ):
            await one.word("ONLINE_RANK_COUNT")
            await itself.join("live:43")
            await other.join("live:43")  # so it stays open, and who is banned there is known
            await order(shard, Moderate("live:43", "ban", uid="u7", reason="spam"))
            await itself.hear("left")
            await one.send(12, b"live://43")
            assert "spam" in (await one.word("CUT_OFF"))["msg"]
            rooms = shard.service.rooms.by_name
            await until(lambda: ROOM not in rooms or rooms[ROOM].local == 0)
            await one.send(12, b"live://42")
            await one.op(13)

    async def test_who_is_sent_away_is_closed_without_an_empty_frame(self, shard: Shard) -> None:
        async with await client(shard, roomid=42, key=bearer("u7")) as one:
            await one.word("ONLINE_RANK_COUNT")
            await order(shard, Everywhere("kick", "u7"))
            assert (await one.closed())[0] == 4505
            assert all(one.frames)

    async def test_what_is_taken_back_and_silence_are_told(self, shard: Shard) -> None:
        async with await client(shard, roomid=42, protover=3) as one, shard.viewer() as other:
            await one.word("ONLINE_RANK_COUNT")
            await other.join(ROOM)
            ack = await other.say(ROOM, "spam")
            await one.text("spam")
            await order(shard, Moderate(ROOM, "delete", seq=ack["seq"]))
            taken = await one.word("RECALL_DANMU_MSG")
            assert taken["data"]["target_id"] == one.words("DANMU_MSG")[0]["info"][0][5]
            await order(shard, Moderate(ROOM, "settings", silence="all"))
            assert (await one.word("ROOM_SILENT_ON"))["roomid"] == 42
            async with await client(shard, roomid=42) as later:
                await later.word("ROOM_SILENT_ON")
            await order(shard, Moderate(ROOM, "settings", silence="none"))
            await one.word("ROOM_SILENT_OFF")


class TestHooks:
    @pytest.fixture
    async def asked(self, valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
        rooms = {"hooks": f"{__name__}:Doorman", "hooks_budget_ms": 5000}
        server, auth = {"dialects": ("danmaku", "goim")}, {"secret": SECRET}
        async with Shard(valkey.url, prefix, rooms=rooms, server=server, auth=auth) as shard:
            shard.wall = time.time()
            yield shard

    async def test_who_is_refused_is_answered_in_its_words(self, asked: Shard) -> None:
        async with await client(asked) as one:
            fields = {"roomid": 42, "key": bearer("u9")}
            await one.send(7, json.dumps(fields).encode(), seq=3)
            assert (await one.closed())[0] == 1008
            assert one.packets == [(1, 8, 3, b'{"code":-101}')]

    async def test_who_may_come_in_but_not_there_is_told(self, asked: Shard) -> None:
        async with await client(asked, roomid=13) as one:
            assert (await one.word("CUT_OFF"))["msg"] == "not here"
            await one.send(12, b"live://42")
            await one.op(13)

    async def test_who_may_not_go_there_stays_where_it_is(self, asked: Shard) -> None:
        async with await client(asked, roomid=42) as one, asked.viewer() as other:
            await one.word("ONLINE_RANK_COUNT")
            await other.join(ROOM)
            await one.send(12, b"live://13", seq=5)
            assert (await one.word("CUT_OFF"))["msg"] == "not here"
            await other.say(ROOM, "still here")
            await one.text("still here")
            assert [each for each in one.packets if each.op == 13] == []

    async def test_the_answers_come_in_order(self, asked: Shard) -> None:
        async with await client(asked) as one:
            await one.send(7, json.dumps({"roomid": 42}).encode())
            await one.send(2)
            await one.op(3)
            await one.word("ONLINE_RANK_COUNT")
            assert one.packets[0].op == 8


class TestHostileInput:
    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"", 1002),
            (b"\0" * 15, 1002),
            (packet(2)[:-1], 1002),
            (packet(2) + packet(2), 1002),
            (b"\xff\xff\xff\xff" + packet(2)[4:], 1002),
            (packet(12, b"\xff"), 1007),
            (packet(14, b"1" * 4097), 1009),
        ],
    )
    async def test_closes(self, shard: Shard, frame: bytes, code: int) -> None:
        async with await client(shard, roomid=42) as one:
            await one.socket.send(frame)
            assert (await one.closed())[0] == code
        assert shard.count(ChatCount.REFUSED_BAD_REQUEST) == 1

    async def test_text_is_not_spoken_here(self, shard: Shard) -> None:
        async with await client(shard, roomid=42) as one:
            await one.socket.send("{}")
            assert (await one.closed())[0] == 1003

    async def test_operations_nobody_knows_are_within_a_rate(self, shard: Shard) -> None:
        async with await client(shard, roomid=42) as one:
            for _ in range(200):
                await one.send(99)
            assert (await one.closed())[0] == 4503
            assert {one.op for one in one.packets} <= {8, 5}

    async def test_heartbeats_are_no_commands_unless_they_are_far_too_many(
        self, shard: Shard
    ) -> None:
        """All commands are spent, and it is answered all the same; those beyond count, too."""
        burst = shard.config.limits.commands_burst
        async with await client(shard, roomid=42) as one:
            for number in range(burst):
                await one.send(14, b"", seq=number)
            await one.op(15, burst - 2)
            for number in range(BEATS_BURST):
                await one.send(2, seq=number)
            assert (await one.op(3, BEATS_BURST - 1)).seq == BEATS_BURST - 1
            for _ in range(MAX_STRIKES + 1):
                await one.send(2)
            assert (await one.closed())[0] == 4503

    @pytest.mark.parametrize("left", [0, 1])
    async def test_a_change_of_rooms_is_done_whole_or_not_at_all(
        self, shard: Shard, left: int
    ) -> None:
        """Whatever is left of its rate, nobody is in no room because of it."""
        spent = shard.config.limits.commands_burst - 1 - left  # it has joined a room
        async with await client(shard, roomid=42) as one:
            await one.word("ONLINE_RANK_COUNT")
            for number in range(spent):
                await one.send(14, b"", seq=number)
            for _ in range(20):
                await one.send(12, b"live://43")
            await one.send(2, seq=99)
            assert (await one.op(3)).seq == 99
            rooms = shard.service.rooms.by_name
            there = "live:43" if left else ROOM
            await until(lambda: there in rooms and rooms[there].local == 1)
            assert sum(room.local for room in rooms.values()) == 1

    async def test_a_viewer_keeps_nothing_behind(self, shard: Shard) -> None:
        async with await client(shard, roomid=42):
            assert shard.hub.introductions.waiting == {}
        await until(lambda: shard.counts[Count.CONNECTIONS] == 0)
