"""Our events, errors and closes in the words of the Centrifugal protocol."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs
from msgspec.json import encode

from chat.wire.batch import expand
from chat.wire.commands import Since
from chat.wire.dialects.centrifugal_replies import (
    INSUFFICIENT,
    closing,
    failure,
    refused,
    reply,
    subscribed,
)
from chat.wire.foreign import Counted, Declined, Excerpt, Fault, Renewed, Told
from chat.wire.schema import (
    Ack,
    Authed,
    Bye,
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
    Message,
    Msg,
    Muted,
    Notice,
    Online,
    Pong,
    Removed,
    Shed,
    Welcome,
)
from shard.closecodes import CloseCode

NOW = 1_800_000_000


DELETED = {"data": {"t": "delete", "room": "a", "seq": 2, "target": 1, "ts": 3}, "offset": 2}


def wall() -> float:
    return NOW + 0.4


def written(event: Told) -> object:
    told = reply(event, wall)
    return None if told is None else json.loads(encode(told))


class TestReplies:
    def test_who_connects_is_told_who_it_is_and_how_long(self) -> None:
        guest = Welcome("c1", "guest:1", "guest-1", "guest", 25, guest="key", ref=1, expires=0)
        assert written(guest) == {
            "id": 1,
            "connect": {
                "client": "c1",
                "version": "danmaku 1",
                "ping": 25,
                "pong": True,
                "data": {"uid": "guest:1", "name": "guest-1", "role": "guest", "guest": "key"},
            },
        }
        user = reply(Welcome("c1", "u7", "u7", "user", 25, ref=1, expires=NOW + 60), wall)
        assert user is not None
        assert user.connect is not None
        assert (user.connect.expires, user.connect.ttl) == (True, 60)

    @pytest.mark.parametrize(
        ("event", "told"),
        [
            (Ack("a", 1, "e-1", 2, 5), {"id": 5, "publish": {}}),
            (Left("a", 5), {"id": 5, "unsubscribe": {}}),
            (Pong(5), {"id": 5, "ping": {}}),
            (Counted("a", 9, 5), {"id": 5, "presence_stats": {"num_clients": 9, "num_users": 9}}),
            (Counted("a", 0, 5), {"id": 5, "presence_stats": {"num_clients": 0, "num_users": 0}}),
            (
                Excerpt("a", "", 0, [], 5),
                {"id": 5, "history": {"publications": [], "epoch": "", "offset": 0}},
            ),
            (Renewed("a", 5), {"id": 5, "sub_refresh": {}}),
            (
                Authed("u7", "u7", "user", NOW + 9, 5),
                {"id": 5, "refresh": {"version": "danmaku 1", "expires": True, "ttl": 9}},
            ),
            (
                Declined(Fault.JOINED_ALREADY, "already", 5),
                {"id": 5, "error": {"code": 105, "message": "already"}},
            ),
            (
                Excerpt("a", "e", 9, [Removed("a", 1), Delete("a", 2, 1, 3)], 5),
                {
                    "id": 5,
                    "history": {"publications": [DELETED], "epoch": "e", "offset": 9},
                },
            ),
            (
                Left("a", reason="banned: rude"),
                {
                    "push": {
                        "channel": "a",
                        "unsubscribe": {"code": 2000, "reason": "banned: rude"},
                    }
                },
            ),
            (
                Gap("a", "e", 9, 2),
                {
                    "push": {
                        "channel": "a",
                        "unsubscribe": {"code": INSUFFICIENT, "reason": "insufficient state"},
                    }
                },
            ),
        ],
    )
    def test_events_with_a_word(self, event: Told, told: object) -> None:
        assert written(event) == told

    def test_a_history_tells_viewers_no_more_than_they_were_told(self) -> None:
        [place] = expand("a", "e", [Message(8, "u", text="hi", ts=3)])
        assert isinstance(place, Msg)
        kept = structs.replace(place, priority=7, until=9)
        assert written(Excerpt("a", "e", 8, [kept], 5)) == written(Excerpt("a", "e", 8, [place], 5))

    def test_a_notice_is_a_message_of_no_channel(self) -> None:
        notice = Notice("1-0", "all", "", "hi", 1, 2)
        data = json.loads(encode(notice))
        assert written(notice) == {"push": {"message": {"data": data}}}

    @pytest.mark.parametrize(
        "event",
        [
            Online("a", 5),
            Likes("a", {"like": 1}),
            Joins("a", 1, ["x"]),
            Shed("a", 1, 1),
            Muted("a", 5),
            Expiring(60),
            Bye("restart", 1.0),
            Done("a", "report", 5),
            Error(ErrorCode.FORBIDDEN, "no", UNSET),
            Pong(),
        ],
    )
    def test_events_without_one(self, event: Told) -> None:
        assert written(event) is None


class TestErrors:
    @pytest.mark.parametrize("code", ErrorCode)
    def test_each_has_a_number_and_says_which_it_is(self, code: ErrorCode) -> None:
        told = failure(Error(code, "because", 1))
        assert 100 <= told.code <= 112
        assert told.message == f"{code}: because"
        assert told.temporary is (told.code in (100, 111))

    def test_where_time_helps_the_client_tries_again(self) -> None:
        for code in (ErrorCode.FORBIDDEN, ErrorCode.TOO_MANY_ROOMS):
            assert failure(Error(code, "later", 1, 2.0)).temporary
        assert not failure(Error(ErrorCode.BANNED, "for a day", 1, 86_400.0)).temporary

    def test_a_token_that_is_over_is_changed_for_another(self) -> None:
        over = Error(ErrorCode.FORBIDDEN, CloseCode.TOKEN_EXPIRED.reason, 1)
        assert failure(over).code == 109
        told = refused(CloseCode.TOKEN_EXPIRED, 1)
        assert told is not None
        assert told.error is not None
        assert (told.id, told.error.code) == (1, 109)
        assert refused(CloseCode.BAD_TOKEN, 1) is None


class TestSubscribed:
    JOINED = Joined("a", "e", 9, 5, True, [Message(8, "u", text="hi", ts=3)], state={"slow_s": 0})

    def test_who_recovers_counts_on_from_where_it_was(self) -> None:
        told = subscribed(self.JOINED, Since("e", 7)).subscribe
        assert told is not None
        assert (told.was_recovering, told.recovered, told.offset) == (True, True, 7)
        [found] = told.publications
        assert found.offset == 8
        assert json.loads(bytes(found.data))["text"] == "hi"  # type: ignore[arg-type]

    def test_who_does_not_is_told_where_the_room_is(self) -> None:
        lost = Joined("a", "e", 9, 5, False, [Message(8, "u", text="hi", ts=3)])
        for since in (None, Since("d", 7)):
            told = subscribed(lost, since).subscribe
            assert told is not None
            assert (told.offset, told.publications) == (9, [])
            assert told.was_recovering is (since is not None)
            assert told.recovered is (UNSET if since is None else False)

    def test_where_the_room_is_always_stands_there(self) -> None:
        unspoken = Joined("a", "", 0, 5, True, [], ref=3)
        at = {"recoverable": True, "positioned": True, "epoch": "", "offset": 0}
        found = json.loads(encode(subscribed(unspoken, None)))
        assert found == {"id": 3, "subscribe": at | {"data": {"online": 5}}}
        found = json.loads(encode(subscribed(unspoken, Since("", 0))))
        recovered = {"was_recovering": True, "recovered": True}
        assert found == {"id": 3, "subscribe": at | recovered | {"data": {"online": 5}}}


class TestClosing:
    @pytest.mark.parametrize("code", CloseCode)
    def test_every_code_is_one_its_clients_know(self, code: CloseCode) -> None:
        told, reason = closing(code, code.reason)
        assert 3000 <= told < 4000
        assert reason == code.reason
        if code >= 4000:
            assert (told < 3500) is (code < 4500 or code is CloseCode.TOKEN_EXPIRED)

    @pytest.mark.parametrize(
        ("code", "told"),
        [
            (CloseCode.RESTART, 3001),
            (CloseCode.TOKEN_EXPIRED, 3005),
            (CloseCode.SLOW_READER, 3008),
            (CloseCode.HEARTBEAT_TIMEOUT, 3012),
            (CloseCode.BAD_TOKEN, 3500),
            (CloseCode.PROTOCOL_ERROR, 3501),
            (CloseCode.POLICY_VIOLATION, 3507),
        ],
    )
    def test_some(self, code: CloseCode, told: int) -> None:
        assert closing(code, "why")[0] == told

    @given(st.text(max_size=200) | st.integers().map(str) | st.just("[" * 200))
    def test_no_reason_is_empty_or_json(self, reason: str) -> None:
        _, told = closing(4000, reason)
        assert told
        cut = told.encode()[:123].decode(errors="ignore")
        with pytest.raises((ValueError, RecursionError)):
            json.loads(cut)
