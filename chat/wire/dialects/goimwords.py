"""What happens in a room in the words of goim's clients: objects with a `cmd`, one packet each.

Rules. Pure; no clock, so what has no time of its own says 0. What clients count with is a number:
a uid of digits is one, and any other is what it is. What there is no word for is left out.

The rules of a room are told whole, but there are words only for its silence, and they are shown to
people: they are said when it begins or ends, not whenever another rule changes. So it is kept of a
room whether it was silent, and at which place. Danger: viewers come to a place at different times,
and an answer to a join may be ahead of what the others have been sent. Only what lies behind the
place that is kept may be passed over; anything else is said, also twice.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final
from zlib import crc32

from msgspec import UNSET
from msgspec.json import Encoder

from chat.wire.batch import default_name, expand
from chat.wire.dialects.goimpackets import MESSAGE, RoomNames, packet
from chat.wire.foreign import Told
from chat.wire.schema import (
    Delete,
    Error,
    ErrorCode,
    Joined,
    Joins,
    Left,
    Likes,
    Msg,
    Msgs,
    Muted,
    Notice,
    Online,
    State,
)

Word = dict[str, Any]

MODES: Final = {"scroll": 1, "bottom": 4, "top": 5, "reverse": 6}
MOST_DIGITS: Final = 15
"""Of a uid that is a number to JavaScript, too."""
SECONDS_SHOWN: Final = 60
"""How long a superchat stays that does not say it."""
SHUT_OUT: Final = (ErrorCode.BANNED, ErrorCode.FORBIDDEN)
"""Why somebody may not be in the room it wants to be in."""

MOST_KEPT: Final = 4
"""Events; those of a flush, but for a very large one."""
MOST_ROOMS: Final = 10_000
"""Of which it is kept whether they are silent. A room that is not among them is told of again."""

_encode: Final = Encoder().encode


class Words:
    """Those for rooms of these names. What comes to everybody in a room, a batch or its rules, is
    written once for all dialects that have it."""

    def __init__(self, rooms: RoomNames) -> None:
        self._rooms = rooms
        self._kept: dict[int, tuple[Msgs | State, bytes]] = {}
        self._silences: dict[str, tuple[int, bool, str]] = {}

    def packets(self, event: Told) -> bytes | None:
        """An event as packets; None where there is no word for it."""
        if type(event) is not Msgs and type(event) is not State:
            return _packets(_words(event, self._rooms)) or None
        kept = self._kept.get(id(event))
        if kept is None:
            if len(self._kept) == MOST_KEPT:
                self._kept.clear()
            words = _said(event) if isinstance(event, Msgs) else self._ruled(event)
            # With the event, or another could be given its id.
            kept = self._kept[id(event)] = event, _packets(words)
        return kept[1] or None

    def _ruled(self, event: State) -> Iterator[Word]:
        silent = _is_silent(event.state)
        seq, was, epoch = self._silences.pop(event.room, (0, None, ""))
        if event.seq > seq:  # else it may not be the latest
            self._keep(event.room, (event.seq, silent, epoch))
        if event.seq <= seq or silent is not was:
            yield _silence(event.state, self._rooms.name(event.room))

    def _keep(self, room: str, silence: tuple[int, bool, str]) -> None:
        if len(self._silences) == MOST_ROOMS:
            self._silences.clear()
        self._silences[room] = silence

    def on_joining(self, event: Joined) -> bytes:
        """What is to be known of a room one comes into: how many are there; and that it is
        silent."""
        written = _packets(_counted(event.online))
        if not isinstance(event.state, dict):
            return written
        seq, _, epoch = self._silences.get(event.room, (0, False, event.epoch))
        if event.seq >= seq or event.epoch != epoch:
            self._silences.pop(event.room, None)
            self._keep(event.room, (event.seq, _is_silent(event.state), event.epoch))
        if _is_silent(event.state):
            written += _packets([_silence(event.state, self._rooms.name(event.room))])
        return written


def _packets(words: Iterable[Word]) -> bytes:
    return b"".join([packet(MESSAGE, _encode(word)) for word in words])


def _counted(online: int) -> Iterator[Word]:
    """How many watch: there is a word for who has and one for who does."""
    yield {
        "cmd": "WATCHED_CHANGE",
        "data": {"num": online, "text_small": str(online), "text_large": f"{online}人看过"},
    }
    yield {
        "cmd": "ONLINE_RANK_COUNT",
        "data": {
            "count": online,
            "count_text": str(online),
            "online_count": online,
            "online_count_text": str(online),
        },
    }


def _is_silent(state: dict[str, Any]) -> bool:
    return bool(state.get("silence", "none") != "none")


def _silence(state: dict[str, Any], room: int | str) -> Word:
    """Whether everybody may type."""
    if not _is_silent(state):
        return {"cmd": "ROOM_SILENT_OFF", "data": [], "roomid": room}
    data = {"type": "member", "level": 1, "second": -1}
    return {"cmd": "ROOM_SILENT_ON", "data": data, "roomid": room}


def number_of(uid: str) -> int | str:
    """A uid as its users write it: as a number where it is one."""
    digits = uid.isascii() and uid.isdigit() and len(uid) <= MOST_DIGITS
    return int(uid) if digits and (uid == "0" or uid[0] != "0") else uid


def _words(event: Told, rooms: RoomNames) -> Iterator[Word]:
    match event:
        case Online():
            yield from _counted(event.count)
        case Likes():
            total = sum(event.counts.values())
            yield {"cmd": "LIKE_INFO_V3_UPDATE", "data": {"click_count": total}}
        case Joins():
            yield from _arrived(event, rooms.name(event.room))
        case Delete():
            data = {"recall_type": 1, "target_id": event.target}
            yield {"cmd": "RECALL_DANMU_MSG", "data": data, "roomid": rooms.name(event.room)}
        case Muted(until=int(), uid=str(uid)):
            who: Word = {"uid": number_of(uid), "uname": default_name(uid)}
            yield {"cmd": "ROOM_BLOCK_MSG", "data": {"dmscore": 30, "operator": 1} | who} | who
        case Left(reason=str(reason)):
            yield {"cmd": "CUT_OFF", "msg": reason, "roomid": rooms.name(event.room)}
        case Error() if event.code in SHUT_OUT:
            yield {"cmd": "CUT_OFF", "msg": event.message}
        case Notice():
            yield _notice(event)


def _said(batch: Msgs) -> Iterator[Word]:  # hot: once per message
    for place in expand(batch.room, batch.epoch, batch.m, batch.seq):
        if type(place) is not Msg:
            continue
        match place.kind:
            case "gift":
                yield _gift(place)
            case "superchat":
                yield _superchat(place)
            case _:
                yield danmu(place)


def danmu(said: Msg) -> Word:
    """A chat line. Its "random" number is the message's seq, by which it is taken back."""
    uid, ms = number_of(said.uid), said.ts
    crc = f"{crc32(said.uid.encode()):x}"
    mode = MODES.get(said.mode, 1)
    sender = {"uid": uid, "base": {"name": said.name, "face": _face(said)}}
    more = {"extra": "{}", "mode": 0, "show_player_type": 0, "user": sender}
    looks = [0, mode, said.size, said.color, ms, said.seq, 0, crc, 0, 0, 0, "", 0, "{}", "{}"]
    info = [
        [*looks, more, {}, 0, None],
        said.text,
        [uid, said.name, int(said.kind == "system"), 0, 0, 10000, 1, ""],
        [],
        [_level(said), 0, 9868950, ">50000", 0],
        ["", ""],
        0,
        0,
        None,
        {"ct": "00000000", "ts": ms // 1000},
        0,
        0,
        None,
        None,
        0,
        0,
        [0],
        None,
    ]
    return {"cmd": "DANMU_MSG", "info": info}


def _gift(said: Msg) -> Word:
    """What the backend attached, over what the message says."""
    data = {
        "action": "投喂",
        "giftId": 0,
        "giftName": said.text,
        "num": 1,
        "price": 0,
        "coin_type": "gold",
        "total_coin": 0,
        "timestamp": said.ts // 1000,
        "tid": str(said.seq),
    }
    who = {"uid": number_of(said.uid), "uname": said.name, "face": _face(said)}
    return {"cmd": "SEND_GIFT", "data": data | _attached(said) | who}


def _superchat(said: Msg) -> Word:
    began = said.ts // 1000
    data = {
        "price": 0,
        "rate": 1000,
        "time": SECONDS_SHOWN,
        "background_color": "#EDF5FF",
        "background_bottom_color": "#2A60B2",
        "background_price_color": "#7497CD",
        "background_image": "",
        "message_font_color": "#A3F6FF",
        "message_trans": "",
        "token": "",
        "gift": {"gift_id": 12000, "gift_name": "醒目留言", "num": 1},
        "medal_info": None,
        "start_time": began,
    } | _attached(said)
    if "end_time" not in data:
        shown = data["time"] if type(data["time"]) is int else SECONDS_SHOWN
        data["end_time"] = began + shown
    user = {"uname": said.name, "face": _face(said), "user_level": _level(said)}
    data |= {"id": said.seq, "message": said.text, "ts": began}
    data |= {"uid": number_of(said.uid), "user_info": user}
    return {"cmd": "SUPER_CHAT_MESSAGE", "data": data}


def _attached(said: Msg) -> Word:
    return said.data if isinstance(said.data, dict) else {}


def _face(said: Msg) -> str:
    return "" if said.avatar is UNSET else said.avatar


def _level(said: Msg) -> int:
    return 0 if said.level is UNSET else said.level


def _arrived(event: Joins, room: int | str) -> Iterator[Word]:
    for name in event.names:
        data = {"msg_type": 1, "roomid": room, "timestamp": 0, "uid": 0, "uname": name}
        yield {"cmd": "INTERACT_WORD", "data": data}


def _notice(event: Notice) -> Word:
    return {
        "cmd": "NOTICE_MSG",
        "id": event.id,
        "name": event.name,
        "msg_common": event.text,
        "msg_self": event.text,
        "msg_type": 1,
        "roomid": 0,
        "real_roomid": 0,
        "link_url": "",
        "ts": event.ts // 1000,
    }
