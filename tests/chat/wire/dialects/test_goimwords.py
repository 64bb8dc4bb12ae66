"""What happens in a room, in the words of goim's clients."""

import json
import struct
from typing import Any
from zlib import crc32

import pytest
from msgspec import UNSET

from chat.wire.batch import batches
from chat.wire.dialects import goimwords
from chat.wire.dialects.goimpackets import RoomNames
from chat.wire.dialects.goimwords import Words, number_of
from chat.wire.foreign import Told
from chat.wire.schema import (
    Ack,
    Authed,
    Bye,
    Clear,
    Delete,
    Done,
    Error,
    ErrorCode,
    Expiring,
    Gap,
    Joined,
    Joins,
    Left,
    Likes,
    Msg,
    Msgs,
    Muted,
    Notice,
    Online,
    Paged,
    Removed,
    Shadowed,
    Shed,
    State,
)

ROOM = "live:42"


def words(event: Told, template: str = "live:{}") -> list[dict[str, Any]]:
    return read(Words(RoomNames(template)).packets(event) or b"")


def read(packets: bytes) -> list[dict[str, Any]]:
    found = []
    while packets:
        length, header, version, op, seq = struct.unpack_from(">IHHII", packets)
        assert (header, version, op, seq) == (16, 0, 5, 0)
        found.append(json.loads(packets[16:length]))
        packets = packets[length:]
    return found


def said(seq: int = 7, **fields: Any) -> Msg:
    usual: dict[str, Any] = {
        "uid": "1001",
        "name": "阿花",
        "text": "前方高能",
        "color": 0xFF0000,
        "mode": "scroll",
        "size": 25,
        "ts": 1764000000123,
    }
    return Msg(room=ROOM, seq=seq, id=f"k-{seq}", **usual | fields)


def batch(*places: Any) -> Msgs:
    first, last = places[0].seq, places[-1].seq
    shown = [one for one in places if not isinstance(one, Shadowed)]
    [made] = batches(ROOM, "k", shown, first, last)
    return made


class TestChatLines:
    def test_one_has_every_field_in_its_place(self) -> None:
        [line] = words(batch(said(level=21, avatar="https://a.example/a.png")))
        user = {"uid": 1001, "base": {"name": "阿花", "face": "https://a.example/a.png"}}
        crc = f"{crc32(b'1001'):x}"
        assert line == {
            "cmd": "DANMU_MSG",
            "info": [
                [
                    *(0, 1, 25, 0xFF0000, 1764000000123, 7, 0, crc, 0, 0, 0, "", 0, "{}", "{}"),
                    {"extra": "{}", "mode": 0, "show_player_type": 0, "user": user},
                    *({}, 0, None),
                ],
                "前方高能",
                [1001, "阿花", 0, 0, 0, 10000, 1, ""],
                [],
                [21, 0, 9868950, ">50000", 0],
                ["", ""],
                *(0, 0, None),
                {"ct": "00000000", "ts": 1764000000},
                *(0, 0, None, None, 0, 0, [0], None),
            ],
        }

    @pytest.mark.parametrize(
        ("mode", "number"), [("scroll", 1), ("bottom", 4), ("top", 5), ("reverse", 6), ("new", 1)]
    )
    def test_modes_are_numbers(self, mode: str, number: int) -> None:
        [line] = words(batch(said(mode=mode)))
        assert line["info"][0][1] == number

    def test_a_batch_is_a_packet_a_message_and_holes_are_none(self) -> None:
        found = words(batch(said(1), Removed(ROOM, 2), Shadowed(said(3)), said(4, text="b")))
        assert [line["info"][0][5] for line in found] == [1, 4]
        assert words(batch(Removed(ROOM, 2))) == []
        assert words(Msgs(ROOM, "k", 2, 1, [])) == []

    def test_one_batch_is_written_once_and_another_is_another(self) -> None:
        mine = Words(RoomNames("live:{}"))
        events = [batch(said(seq)) for seq in range(1, 12)]
        first = [mine.packets(event) for event in events]
        assert len(set(first)) == len(events)
        assert mine.packets(events[-1]) is first[-1]
        assert [mine.packets(event) for event in events] == first

    def test_what_the_server_says_is_from_its_staff(self) -> None:
        [line] = words(batch(said(kind="system", uid="system", name="system")))
        assert line["info"][2][:3] == ["system", "system", 1]


class TestKinds:
    def test_a_gift_says_what_the_backend_attached(self) -> None:
        attached = {"giftName": "辣条", "num": 10, "price": 100, "uid": 5}
        [gift] = words(batch(said(kind="gift", text="送出 辣条", data=attached)))
        data = gift["data"]
        assert gift["cmd"] == "SEND_GIFT"
        assert (data["giftName"], data["num"], data["price"]) == ("辣条", 10, 100)
        assert (data["uid"], data["uname"], data["timestamp"]) == (1001, "阿花", 1764000000)

    @pytest.mark.parametrize("attached", [UNSET, None, [1], "x"])
    def test_or_else_the_text_is_its_name(self, attached: object) -> None:
        [gift] = words(batch(said(kind="gift", text="辣条", data=attached)))
        assert (gift["data"]["giftName"], gift["data"]["num"]) == ("辣条", 1)

    def test_a_superchat(self) -> None:
        sent = said(kind="superchat", level=3, data={"price": 30, "time": 120})
        [chat] = words(batch(sent))
        data = chat["data"]
        assert chat["cmd"] == "SUPER_CHAT_MESSAGE"
        assert (data["message"], data["price"], data["uid"]) == ("前方高能", 30, 1001)
        assert (data["start_time"], data["end_time"]) == (1764000000, 1764000120)
        assert data["user_info"] == {"uname": "阿花", "face": "", "user_level": 3}

    def test_one_that_says_an_odd_time_is_still_one(self) -> None:
        [chat] = words(batch(said(kind="superchat", data={"time": "long"})))
        assert chat["data"]["end_time"] == 1764000060


class TestTheRest:
    @pytest.mark.parametrize(
        ("event", "expected"),
        [
            (
                Delete(ROOM, 9, 7, 5),
                {
                    "cmd": "RECALL_DANMU_MSG",
                    "data": {"recall_type": 1, "target_id": 7},
                    "roomid": 42,
                },
            ),
            (
                State(ROOM, 9, 5, {"silence": "vip"}),
                {
                    "cmd": "ROOM_SILENT_ON",
                    "data": {"type": "member", "level": 1, "second": -1},
                    "roomid": 42,
                },
            ),
            (
                State("chat:a", 9, 5, {"silence": "none"}),
                {"cmd": "ROOM_SILENT_OFF", "data": [], "roomid": "chat://a"},
            ),
            (
                Muted(ROOM, 0, "spam", "1001"),
                {
                    "cmd": "ROOM_BLOCK_MSG",
                    "data": {"dmscore": 30, "operator": 1, "uid": 1001, "uname": "1001"},
                    "uid": 1001,
                    "uname": "1001",
                },
            ),
            (
                Left(ROOM, reason="banned: spam"),
                {"cmd": "CUT_OFF", "msg": "banned: spam", "roomid": 42},
            ),
            (
                Error(ErrorCode.BANNED, "you are banned"),
                {"cmd": "CUT_OFF", "msg": "you are banned"},
            ),
            (
                Likes(ROOM, {"like": 3, "heart": 2}),
                {"cmd": "LIKE_INFO_V3_UPDATE", "data": {"click_count": 5}},
            ),
        ],
    )
    def test_an_event_is_a_word(self, event: Told, expected: dict[str, Any]) -> None:
        assert words(event) == [expected]

    def test_how_many_are_there_is_said_in_two(self) -> None:
        watched, rank = words(Online(ROOM, 1234))
        assert (watched["cmd"], watched["data"]["num"]) == ("WATCHED_CHANGE", 1234)
        assert (rank["cmd"], rank["data"]["count"]) == ("ONLINE_RANK_COUNT", 1234)

    def test_who_came_in_is_one_each(self) -> None:
        found = words(Joins(ROOM, 9, ["a", "b"]))
        assert [(one["cmd"], one["data"]["uname"]) for one in found] == [
            ("INTERACT_WORD", "a"),
            ("INTERACT_WORD", "b"),
        ]

    def test_a_notice(self) -> None:
        [notice] = words(Notice("n-1", "all", "sys", "维护", 1, 2000))
        assert (notice["cmd"], notice["msg_common"], notice["ts"]) == ("NOTICE_MSG", "维护", 2)

    @pytest.mark.parametrize(
        "event",
        [
            Authed("u", "n", "user", 0),
            Clear(ROOM, 2, 5),
            Paged(ROOM, "k", [], False),
            Left(ROOM),
            Muted(ROOM, uid="u"),
            Done(ROOM, "mute"),
            Expiring(5),
            Ack(ROOM, 1, "k-1", 5),
            Error(ErrorCode.RATE_LIMITED, "slower"),
            Gap(ROOM, "k", 1, 0),
            Shed(ROOM, 1, 1),
            Bye("restart", 1.0),
        ],
    )
    def test_for_some_there_is_no_word(self, event: Told) -> None:
        assert Words(RoomNames("live:{}")).packets(event) is None


class TestJoining:
    def test_one_is_told_how_many_are_there(self) -> None:
        event = Joined(ROOM, "k", 5, 17, False, [], state={"silence": "none"})
        found = read(Words(RoomNames("live:{}")).on_joining(event))
        assert [one["cmd"] for one in found] == ["WATCHED_CHANGE", "ONLINE_RANK_COUNT"]
        assert found[0]["data"]["num"] == 17

    def test_and_that_the_room_is_silent(self) -> None:
        event = Joined(ROOM, "k", 5, 17, False, [], state={"silence": "all"})
        found = read(Words(RoomNames("live:{}")).on_joining(event))
        assert found[-1]["cmd"] == "ROOM_SILENT_ON"
        assert found[-1]["roomid"] == 42


class TestSilence:
    """Is told when it begins or ends, by rules that are told whole."""

    def state(self, seq: int, silence: str = "none") -> State:
        return State(ROOM, seq, 5, {"silence": silence, "slow_s": seq})

    def joined(self, seq: int, silence: str = "none", epoch: str = "k") -> Joined:
        return Joined(ROOM, epoch, seq, 1, False, [], state={"silence": silence})

    def told(self, those: Words, event: State) -> str | None:
        found = read(those.packets(event) or b"")
        return found[0]["cmd"].removeprefix("ROOM_SILENT_") if found else None

    @pytest.fixture
    def those(self) -> Words:
        return Words(RoomNames("live:{}"))

    def test_another_rule_is_not_told(self, those: Words) -> None:
        those.on_joining(self.joined(3))
        changes = [self.state(4), self.state(5, "all"), self.state(6, "vip"), self.state(7)]
        assert [self.told(those, one) for one in changes] == [None, "ON", None, "OFF"]

    def test_where_nobody_knows_how_it_was_it_is(self, those: Words) -> None:
        assert [self.told(those, self.state(seq)) for seq in (4, 5)] == ["OFF", None]
        other = State("live:7", 9, 5, {"silence": "none"})
        assert self.told(those, other) == "OFF"

    def test_every_dialect_is_told_the_same(self, those: Words) -> None:
        those.on_joining(self.joined(3))
        for event, cmd in ((self.state(4), None), (self.state(5, "all"), "ON")):
            assert [self.told(those, event) for _ in range(3)] == [cmd] * 3

    def test_who_is_behind_an_answer_to_a_join_is_told_all_the_same(self, those: Words) -> None:
        those.on_joining(self.joined(3))
        those.on_joining(self.joined(6, "all"))
        assert self.told(those, self.state(5, "all")) == "ON"
        those.on_joining(self.joined(6, "all"))
        assert self.told(those, self.state(7, "all")) is None
        assert self.told(those, self.state(8)) == "OFF"

    def test_who_is_served_late_is_told_what_was_passed_over(self, those: Words) -> None:
        events = [self.state(4, "all"), self.state(5, "all"), self.state(6)]
        assert [self.told(those, event) for event in events] == ["ON", None, "OFF"]
        again = [self.state(4, "all"), self.state(6)]
        assert [self.told(those, event) for event in again] == ["ON", "OFF"]

    def test_numbers_may_begin_anew(self, those: Words) -> None:
        those.on_joining(self.joined(500, "all"))
        those.on_joining(self.joined(2, epoch="l"))
        assert self.told(those, self.state(501, "all")) == "ON"

    def test_what_is_kept_has_a_bound(self, those: Words, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(goimwords, "MOST_ROOMS", 2)
        for number in range(5):
            those.on_joining(Joined(f"live:{number}", "k", 3, 1, False, [], state={}))
        assert self.told(those, State("live:0", 4, 5, {})) == "OFF"
        assert self.told(those, State("live:4", 4, 5, {})) is None


class TestUids:
    @pytest.mark.parametrize(
        ("uid", "expected"),
        [
            ("0", 0),
            ("1001", 1001),
            ("9" * 15, 10**15 - 1),
            ("9" * 16, "9" * 16),
            ("007", "007"),
            ("", ""),
            ("u7", "u7"),
            ("१२", "१२"),
            ("guest:k3", "guest:k3"),
        ],
    )
    def test_one_of_digits_is_a_number(self, uid: str, expected: object) -> None:
        assert number_of(uid) == expected
