"""Notices: to all, to users, to guests; never dropped."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.bus.entries import Disconnected, Noticed, pack
from chat.counters import ChatCount
from chat.hub import notices
from chat.hub.replies import NO_ROOM
from chat.ops.engine import EmbeddedEngine
from shard import lanes, outbox
from shard.backlog import Keep
from tests.chat.hub.test_hub_admission import SECRET, token
from tests.chat.rig import Shard, until

ROOM = "live:42"


def lanes_of(shard: Shard) -> dict[Any, Any]:
    """What is not fanned out yet."""
    return shard.group._outbox._lanes._lanes


def notice(users: list[str] | None, *fields: Any) -> bytes:
    return pack(Noticed(users, *fields))


@pytest.fixture
async def shard(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Shard]:
    async with Shard(valkey.url, prefix, auth={"secret": SECRET}) as shard:
        yield shard


class TestNotices:
    async def test_to_all_reach_all_in_any_room_or_none(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer(f"?room={ROOM}", binary=True) as two:
            await one.hear("welcome")
            await two.hear("welcome")
            await shard.store.notify(notice(None, "sys", "hi", 1, 2, "gift"))
            for viewer in (one, two):
                heard = await viewer.hear("notice")
                assert heard == {
                    "t": "notice", "id": heard["id"], "scope": "all", "name": "sys",
                    "text": "hi", "color": 1, "ts": 2, "kind": "gift",
                }  # fmt: skip
        assert shard.count(ChatCount.NOTICES_DELIVERED) == 2

    async def test_to_users_reach_every_connection_of_theirs(self, shard: Shard) -> None:
        async with (
            shard.viewer(token("u1")) as first,
            shard.viewer(token("u1"), binary=True) as second,
            shard.viewer(token("u2")) as other,
            shard.viewer() as guest,
        ):
            for viewer in (first, second, other, guest):
                await viewer.hear("welcome")
            await shard.store.notify(notice(["u1", "u1", "u9"], "sys", "to u1", 1, 2))
            await shard.store.notify(notice(None, "sys", "to all", 1, 2))
            for viewer in (first, second, other, guest):
                await viewer.hear("notice", text="to all")
            for viewer in (first, second):
                assert [n["text"] for n in viewer.of("notice")] == ["to u1", "to all"]
                assert viewer.of("notice")[0]["scope"] == "user"
            for viewer in (other, guest):
                assert [n["text"] for n in viewer.of("notice")] == ["to all"]

    async def test_to_a_guest_reach_that_connection_only(self, shard: Shard) -> None:
        async with shard.viewer() as one, shard.viewer() as two, shard.viewer(token("u1")) as user:
            uid = (await one.hear("welcome"))["uid"]
            conn = (await user.hear("welcome"))["conn"]
            code = uid.removeprefix(f"guest:{shard.name}")
            another = f"{(int(code, 16) + 1) % 16**13:013x}"
            strangers = ["guest:", "guest:x", "guest:" + "f" * 13, "guest:" + "-1".rjust(21, "0")]
            strangers += [
                f"guest:other{code}",
                f"guest:{shard.name}{another}",
                f"{uid}0",
                "guest:-é",
            ]
            strangers += [
                uid.removeprefix("guest:"),
                f"guest:{conn}",
                f"guest: {uid[7:]}",
                "guest:-é",
            ]
            strangers += [f"guest:{shard.name}{'é' * 13}", f"guest:{shard.name}{code.upper()}0"]
            await shard.store.notify(notice(strangers, "sys", "to nobody", 1, 2))
            await shard.store.notify(notice([uid], "sys", "to one", 1, 2))
            await shard.store.notify(notice(None, "sys", "to all", 1, 2))
            for viewer in (one, two, user):
                await viewer.hear("notice", text="to all")
            assert [n["text"] for n in one.of("notice")] == ["to one", "to all"]
            assert len(two.of("notice")) == len(user.of("notice")) == 1

    async def test_are_not_dropped_before_slow_readers(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with shard.viewer() as viewer:
            await viewer.hear("welcome")
            kept: list[Keep] = []
            fan_out = shard.group.fan_out

            def noting(fds: list[int], data: bytes, keep: Keep, lane: str) -> None:
                kept.append(keep)
                fan_out(fds, data, keep, lane)

            monkeypatch.setattr(shard.group, "fan_out", noting)
            await shard.store.notify(notice(None, "sys", "hi", 1, 2))
            await viewer.hear("notice")
            assert set(kept) == {Keep.ALWAYS}

    async def test_to_who_is_ended_right_behind_it_come_before_that(self, shard: Shard) -> None:
        async with shard.viewer(token("u1")) as viewer:
            await viewer.hear("welcome")
            said = [notice(["u1"], "sys", "why", 1, 2), pack(Disconnected("u1", "enough", 3.0))]
            read = [(b"%d-0" % i, [b"m", entry]) for i, entry in enumerate(said, 1)]
            shard.service._notices.deliver(read)
            await viewer.closed()
            assert [one["text"] for one in viewer.of("notice")] == ["why"]

    async def test_what_is_none_is_counted_and_skipped(self, shard: Shard) -> None:
        async with shard.viewer() as viewer:
            await viewer.hear("welcome")
            for entry in (b"", b"\xc1", notice(None, "sys", "hi", 1, 2)[:-2]):
                await shard.store.notify(entry)
            await shard.store.notify(notice(None, "sys", "hi", 1, 2))
            await viewer.hear("notice", text="hi")
            assert len(viewer.of("notice")) == 1
        assert shard.count(ChatCount.BAD_ENTRIES) == 3


class TestVeryMany:
    async def test_come_in_order_and_whole(self, shard: Shard) -> None:
        async with shard.viewer(token("u1")) as user, shard.viewer() as guest:
            for viewer in (user, guest):
                await viewer.hear("welcome")
            for i in range(300):
                users = ["u1"] if i % 7 == 0 else None
                await shard.store.notify(notice(users, "sys", f"{i} " + "x" * 300, 1, 2))
            await guest.hear("notice", text="299 " + "x" * 300)
            await user.settle()
            heard = [int(one["text"].split()[0]) for one in user.of("notice")]
            assert heard == list(range(300))
            heard = [int(one["text"].split()[0]) for one in guest.of("notice")]
            assert heard == [i for i in range(300) if i % 7]

    async def test_a_rooms_message_waits_for_one_frame_of_them_only(self, shard: Shard) -> None:
        """What was said before and after a thousand of them are all read at once."""
        async with shard.viewer(f"?room={ROOM}") as viewer:
            await viewer.hear("joined")
            entries = [
                (b"%d-0" % i, (b"m", notice(None, "sys", f"{i} " + "x" * 300, 1, 2)))
                for i in range(1, 1_001)
            ]
            shard.service._notices.deliver(entries)
            await viewer.say(ROOM, "hi")
            await viewer.hear("msg", text="hi")
            before = len(viewer.of("notice"))
            assert 0 < before < 500
            await until(lambda: len(viewer.of("notice")) == 1_000)

    async def test_a_room_is_read_and_written_between_the_slices_of_a_frame(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A frame of notices to very many takes very many turns; a room's message waits for some
        writes of it, however many are left."""
        monkeypatch.setattr(outbox, "SLICE", 8)
        monkeypatch.setattr(lanes, "QUANTUM", 4)
        async with shard.viewer(f"?room={ROOM}") as viewer:
            await viewer.hear("joined")
            [fd] = shard.group.open_connections()
            written: list[int] = []
            fan_out = shard.group.fan_out

            def noting(fds: Any, data: bytes, keep: Keep, lane: object) -> None:
                if lane != NO_ROOM:
                    written.append(lanes_of(shard)[NO_ROOM][0].left)
                fan_out(fds, data, keep, lane)

            monkeypatch.setattr(shard.group, "fan_out", noting)
            # Pongs that nobody asked for: as if the connection were very many.
            shard.group.fan_out([fd] * 100_000, b"\x8a\x00", Keep.ALWAYS, NO_ROOM)
            for number in range(3):
                await viewer.say(ROOM, f"hi {number}")
                await viewer.hear("msg", text=f"hi {number}")
            left = lanes_of(shard)[NO_ROOM][0].left
            assert 100_000 > written[0] > written[1] > written[2] > left > 0
            shard.group._outbox._lanes.clear()

    async def test_a_frame_is_written_before_the_next_is_made(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with shard.viewer() as viewer:
            await viewer.hear("welcome")
            asked: list[bool] = []

            def busy(lane: object) -> bool:
                assert lane == NO_ROOM
                asked.append(True)
                return True

            monkeypatch.setattr(shard.group, "fanning_out_in", busy)
            entries = [
                (b"%d-0" % i, (b"m", notice(None, "sys", "x" * 300, 1, 2))) for i in range(1, 201)
            ]
            shard.service._notices.deliver(entries)
            held = len(shard.service._notices._waiting)
            assert held > 100
            await until(lambda: len(asked) == 3)
            assert len(shard.service._notices._waiting) == held
            monkeypatch.undo()
            await until(lambda: len(viewer.of("notice")) == 200)

    async def test_what_waits_is_bounded_and_the_rest_counted(
        self, shard: Shard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notices, "MOST", 100)
        entries = [
            (b"%d-0" % i, (b"m", notice(None, "sys", "x" * 300, 1, 2))) for i in range(1, 201)
        ]
        shard.service._notices.deliver(entries)
        assert shard.count(ChatCount.NOTICES_DROPPED) == 100
        await until(lambda: not shard.service._notices._waiting)
