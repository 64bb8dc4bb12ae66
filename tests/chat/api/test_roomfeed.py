"""Following a room by HTTP: what is there, what comes, what is taken back, and a room made anew."""

from urllib.parse import quote

import redis

from chat.api.live_paths import MOST_FOLLOWED, LinesOut
from chat.api.roomfeed import END, lines
from chat.bus.keys import Keys
from chat.bus.places import Page
from chat.wire.schema import Msg, Removed, Shadowed
from tests.chat.api.live import Follower, following
from tests.chat.api.rig import Api, messages_of, path_of


def texts(told: dict[str, object]) -> list[str]:
    found: list[dict[str, str]] = told["lines"]  # type: ignore[assignment]
    return [line.get("text", line["t"]) for line in found]


def follow(api: Api, room: str) -> str:
    return f"{path_of(room)}/live"


def hear(stream: Follower, count: int) -> list[dict[str, object]]:
    """So many lines that were not told before."""
    found: list[dict[str, object]] = []
    while len(found) < count:
        found += [one for one in stream.until("lines")["lines"] if one["seq"] > seq_of(found)]
    return found


def seq_of(found: list[dict[str, object]]) -> int:
    return int(str(found[-1]["seq"])) if found else 0


class TestFollowing:
    def test_the_end_comes_first_and_then_what_comes(self, keyless: Api, room: str) -> None:
        keyless.post(room, [{"text": str(i)} for i in range(END + 5)])
        with following(keyless, follow(keyless, room)) as stream:
            first = stream.until("lines")
            assert (first["anew"], first["room"], first["seq"]) == (True, room, END + 5)
            assert texts(first) == [str(i) for i in range(5, END + 5)]
            keyless.post(room, {"text": "new", "uid": "u1"})
            told = stream.until("lines")
            assert (told["anew"], texts(told), told["lines"][0]["uid"]) == (False, ["new"], "u1")

    def test_what_is_taken_back_and_what_rules_change_is_told(
        self, keyless: Api, room: str
    ) -> None:
        with following(keyless, follow(keyless, room)) as stream:
            assert stream.until("lines")["lines"] == []
            keyless.post(room, [{"text": "a"}, {"text": "b", "uid": "u1"}])
            keyless.send("DELETE", f"{messages_of(room)}/1")
            keyless.send("PATCH", f"{path_of(room)}/settings", {"slow_s": 9})
            keyless.send("DELETE", f"{messages_of(room)}?uid=u1")
            kinds = [line["t"] for line in hear(stream, 5)]
            assert kinds[-3:] == ["delete", "state", "clear"]
        with following(keyless, follow(keyless, room)) as later:
            found = later.until("lines")["lines"]
            assert [line["t"] for line in found][:2] == ["removed", "removed"]

    def test_its_viewers_are_told_and_who_follows_is_none(self, keyless: Api, room: str) -> None:
        keyless.report_online(room, 7, "u1", "u2")
        keyless.like(room, {"like": 3})
        with following(keyless, follow(keyless, room)) as stream:
            told = stream.until("room")
            assert (told["online"], told["peak"], told["unique"]) == (7, 7, 2)
            assert told["likes"] == {"like": 3}

    def test_a_room_in_another_epoch_is_told_anew(self, keyless: Api, room: str) -> None:
        keyless.post(room, {"text": "old"})
        with following(keyless, follow(keyless, room)) as stream:
            assert texts(stream.until("lines")) == ["old"]
            keys = Keys(keyless.config.bus.prefix, keyless.config.bus.partitions)
            with redis.Redis.from_url(keyless.url, protocol=2) as client:
                client.delete(keys.room(room), keys.history(room))
            keyless.post(room, {"text": "another"})
            while texts(told := stream.until("lines", anew=True)) != ["another"]:
                pass
            assert told["seq"] == 1

    def test_several_see_the_same(self, keyless: Api, room: str) -> None:
        with (
            following(keyless, follow(keyless, room)) as one,
            following(keyless, follow(keyless, room)) as other,
        ):
            for stream in (one, other):
                stream.until("lines")
            keyless.post(room, [{"text": "a"}, {"text": "b"}])
            assert [line["text"] for line in hear(one, 2)] == ["a", "b"]
            assert [line["text"] for line in hear(other, 2)] == ["a", "b"]

    def test_no_room_can_be_called_so(self, keyless: Api) -> None:
        for rooms in ("a%20b", "a,", "a,a%20b", ",".join("abcdefghi")):
            assert keyless.get(f"/v1/rooms/{rooms}/live").paths == ["room"]

    def test_several_rooms_come_by_one_stream(self, keyless: Api, room: str) -> None:
        rooms = [f"{room}{i}" for i in range(MOST_FOLLOWED - 1)]
        keyless.post(rooms[0], {"text": "before"})
        names = quote(",".join([*rooms, rooms[0]]))  # twice is once
        with following(keyless, f"/v1/rooms/{names}/live") as stream:
            ends = [stream.until("lines") for _ in rooms]
            assert [one["room"] for one in ends] == rooms
            assert [texts(one) for one in ends] == [["before"], *([] for _ in rooms[1:])]
            keyless.post(rooms[-1], {"text": "after"})
            while texts(stream.until("lines", room=rooms[-1])) != ["after"]:
                pass
            counted = {stream.until("room")["room"] for _ in rooms}
            assert counted <= set(rooms)


class TestLines:
    def test_what_only_its_sender_sees_is_none(self) -> None:
        msg = Msg("r", 2, "e-2", "u", "n", "t", 1, "scroll", 25, 1)
        page = Page("e", 3, [Removed("r", 1, 5), Shadowed(msg), msg], 3, False)
        told = LinesOut("r", "e", 3, True, lines(page)).lines
        assert [type(one).__name__ for one in told] == ["RemovedOut", "Msg"]
