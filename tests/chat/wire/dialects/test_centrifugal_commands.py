"""What commands of the Centrifugal protocol ask for."""

import json
from typing import Any

import pytest
from msgspec import Raw

from chat.wire.commands import Auth, Ping, Send, Since
from chat.wire.dialects.centrifugal_commands import MOST, asked
from chat.wire.dialects.centrifugal_schema import (
    Command,
    ConnectRequest,
    HistoryRequest,
    Nothing,
    OfChannel,
    PublishRequest,
    RefreshRequest,
    StreamPosition,
    SubRefreshRequest,
    SubscribeRequest,
)
from chat.wire.dialects.dialect import BadCommand
from chat.wire.foreign import (
    Alive,
    Asked,
    Connect,
    Invalid,
    Read,
    Renew,
    Stats,
    Subscribe,
    Unheard,
    Unsubscribe,
)
from chat.wire.schema import ErrorCode
from shard.closecodes import CloseCode


def one(**method: Any) -> Asked:
    [found] = asked([Command(7, **method)])
    return found


def said(data: Any) -> Asked:
    return one(publish=PublishRequest("a", Raw(json.dumps(data).encode())))


class TestMeanings:
    def test_a_connect_has_a_token_or_is_a_guests(self) -> None:
        assert one(connect=ConnectRequest("x")) == Connect("x", ref=7, retries=True)
        about = Raw(b'{"guest":"key","name":"me","more":[]}')
        assert one(connect=ConnectRequest(data=about)) == Connect(
            None, "key", "me", ref=7, retries=True
        )

    @pytest.mark.parametrize("data", [b"[1]", b"{", b'{"guest":1}', b"\xff", b""])
    def test_data_of_another_kind_is_the_applications(self, data: bytes) -> None:
        assert one(connect=ConnectRequest(data=Raw(data))) == Connect(ref=7, retries=True)

    def test_a_subscribe_is_a_join_from_a_position_where_it_recovers(self) -> None:
        assert one(subscribe=SubscribeRequest("a")) == Subscribe("a", None, 7)
        assert one(subscribe=SubscribeRequest("a", offset=5)) == Subscribe("a", None, 7)
        assert one(subscribe=SubscribeRequest("a", "t", True, "e", 5)) == Subscribe(
            "a", Since("e", 5), 7, token="t"
        )
        assert one(subscribe=SubscribeRequest("a", "", True)) == Subscribe("a", Since("", 0), 7)

    @pytest.mark.parametrize("offset", [-1, MOST + 1, 2**64 - 1])
    def test_no_position_is_beyond_the_last(self, offset: int) -> None:
        for found in (
            one(subscribe=SubscribeRequest("a", "", True, "e", offset)),
            one(history=HistoryRequest("a", 1, StreamPosition(offset, "e"))),
        ):
            assert isinstance(found, Invalid)
            assert (found.code, found.ref) == (ErrorCode.BAD_REQUEST, 7)

    def test_what_is_published_is_a_text_or_an_object_with_one(self) -> None:
        assert said("hi") == Send("a", "hi", ref=7)
        assert said({"text": "hi", "color": 1, "mode": "top", "size": 30, "id": "c"}) == Send(
            "a", "hi", 1, "top", 30, "c", 7
        )

    @pytest.mark.parametrize(
        "data", [None, 5, [], {}, {"text": 1}, {"text": "x", "size": 1}, {"text": "x", "kind": "y"}]
    )
    def test_anything_else_is_refused(self, data: Any) -> None:
        found = said(data)
        assert isinstance(found, Invalid)
        assert (found.code, found.ref) == (ErrorCode.BAD_REQUEST, 7)
        assert isinstance(one(publish=PublishRequest("a")), Invalid)

    def test_a_history_has_a_limit_and_a_direction(self) -> None:
        assert one(history=HistoryRequest("a")) == Read("a", ref=7)
        assert one(history=HistoryRequest("a", -1)) == Read("a", 100, ref=7)
        assert one(history=HistoryRequest("a", 10_000, None, True)) == Read("a", 100, None, True, 7)
        since = StreamPosition(5, "e")
        assert one(history=HistoryRequest("a", 2, since)) == Read("a", 2, Since("e", 5), False, 7)

    def test_the_others(self) -> None:
        assert one(unsubscribe=OfChannel("a")) == Unsubscribe("a", 7)
        assert one(presence_stats=OfChannel("a")) == Stats("a", 7)
        assert one(ping=Nothing()) == Ping(7)
        assert one(refresh=RefreshRequest("t")) == Auth("t", 7)
        assert one(sub_refresh=SubRefreshRequest("a", "t")) == Renew("a", "t", 7)
        for method in ({"presence": OfChannel("a")}, {"rpc": Nothing()}):
            found = one(**method)
            assert isinstance(found, Invalid)
            assert found.code is ErrorCode.UNKNOWN_COMMAND

    def test_nobody_hears_what_is_sent_to_the_application(self) -> None:
        assert asked([Command(send=Nothing()), Command(3, send=Nothing())]) == [Unheard()] * 2

    def test_an_empty_one_answers_a_ping(self) -> None:
        assert asked([Command(), Command(1, ping=Nothing())]) == [Alive(), Ping(1)]


@pytest.mark.parametrize(
    "command",
    [
        Command(5),
        Command(ping=Nothing()),
        Command(-1, ping=Nothing()),
        Command(2**32, ping=Nothing()),
        Command(1, ping=Nothing(), rpc=Nothing()),
    ],
)
def test_what_is_no_command_ends_the_connection(command: Command) -> None:
    with pytest.raises(BadCommand) as bad:
        asked([Command(1, ping=Nothing()), command])
    assert bad.value.closes is CloseCode.PROTOCOL_ERROR
