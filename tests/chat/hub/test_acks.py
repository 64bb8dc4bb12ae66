"""What senders are told: one answer each, those of a flush in one frame."""

from collections.abc import Sequence
from typing import cast

import pytest
from msgspec import UNSET

from chat.bus.publisher import Unpublished
from chat.bus.store import Receipt
from chat.counters import FIELDS, ChatCount
from chat.hub.acks import Acks, Sender, whose
from chat.hub.replies import Replies
from chat.policy.gate import Refusal
from chat.wire.schema import Ack, Error, ErrorCode, ServerEvent
from pool.handle import Handle
from pool.scoreboard import Scoreboard
from shard.connections import Connections


class Desk:
    """Connections of which only `gone` are not alive, and what was sent to the others."""

    def __init__(self) -> None:
        self.gone: set[Handle] = set()
        self.sent: list[tuple[int, list[ServerEvent]]] = []
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.places: list[tuple[str, str, int]] = []
        self.acks = Acks(cast(Connections, self), cast(Replies, self), self.acked, self.counts)

    def acked(self, room: str, epoch: str, seq: int) -> None:
        self.places.append((room, epoch, seq))

    def alive(self, handle: Handle) -> bool:
        return handle not in self.gone

    def send(self, fd: int, events: Sequence[ServerEvent]) -> None:
        self.sent.append((fd, list(events)))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def sender(fd: int, ref: int = 1) -> Sender:
    return Sender(Handle(fd, 0), "a", ref)


def test_each_sender_gets_its_answers_in_one_frame_and_in_order(desk: Desk) -> None:
    away = Unpublished(0.456, "unavailable")
    desk.acks.published(
        [
            (sender(5, 1), Receipt("e", 7, 1_000, False)),
            (sender(6, 2), Receipt("e", 8, 1_000, True)),
            (sender(5, 3), away),
        ]
    )
    message = "the message was not published; send it again with the same id"
    assert desk.sent == [
        (
            5,
            [
                Ack("a", 7, "e-7", 1_000, 1),
                Error(ErrorCode.UNAVAILABLE, message, 3, 0.46),
            ],
        ),
        (6, [Ack("a", 8, "e-8", 1_000, 2)]),
    ]
    counted = (ChatCount.PUBLISHED, ChatCount.DUPLICATES_PUBLISHED, ChatCount.REFUSED_UNAVAILABLE)
    assert [desk.counts[count] for count in counted] == [1, 1, 1]
    assert desk.places == [("a", "e", 7)]  # what is acknowledged again may be of an epoch long gone


def test_who_is_gone_is_counted_and_told_nothing(desk: Desk) -> None:
    desk.gone.add(Handle(5, 0))
    later = Sender(Handle(5, 1), "a", UNSET)
    desk.acks.published(
        [(sender(5), Receipt("e", 7, 1_000, False)), (later, Receipt("e", 8, 1_000, False))]
    )
    assert desk.sent == [(5, [Ack("a", 8, "e-8", 1_000)])]
    assert desk.counts[ChatCount.PUBLISHED] == 2


def test_an_id_that_was_reused_is_counted_apart_and_needs_no_other_try(desk: Desk) -> None:
    desk.acks.published([(sender(5), Unpublished(None, "id_reused"))])
    message = "the id was given to another message; give this one its own"
    assert desk.sent == [(5, [Error(ErrorCode.ID_REUSED, message, 1)])]
    assert desk.counts[ChatCount.REFUSED_ID_REUSED] == 1
    assert desk.counts[ChatCount.REFUSED_UNAVAILABLE] == 0


def test_the_refused_are_told_why_in_one_frame_and_who_is_gone_is_not(desk: Desk) -> None:
    desk.gone.add(Handle(6, 0))
    no = Refusal(ErrorCode.FORBIDDEN, "no")
    later = Refusal(ErrorCode.UNAVAILABLE, "later", 1.5)
    desk.acks.refused([(sender(5, 1), no), (sender(6, 2), no), (sender(5, 3), later)])
    assert desk.sent == [
        (5, [Error(ErrorCode.FORBIDDEN, "no", 1), Error(ErrorCode.UNAVAILABLE, "later", 3, 1.5)])
    ]


@pytest.mark.parametrize(
    ("code", "count"),
    [
        (ErrorCode.SLOW_MODE, ChatCount.REFUSED_SLOW_MODE),
        (ErrorCode.REPEATED, ChatCount.REFUSED_REPEATED),
        (ErrorCode.ROOM_BUSY, ChatCount.REFUSED_ROOM_BUSY),
    ],
)
def test_a_limit_of_the_room_is_told_by_its_name_and_until_when(
    desk: Desk, code: ErrorCode, count: ChatCount
) -> None:
    desk.acks.published([(sender(5), Unpublished(2.301, code.value))])
    [(_, [error])] = desk.sent
    assert isinstance(error, Error)
    assert (error.code, error.ref, error.retry_after) == (code, 1, 2.31)
    assert desk.counts[count] == 1
    assert desk.counts[ChatCount.REFUSED_UNAVAILABLE] == 0


def test_a_line_of_the_log_names_the_room_and_connection_where_there_is_one() -> None:
    one, other = Sender(Handle(31, 10), "a", 1), Sender(Handle(31, 10), "b", 2)
    assert whose([one, one]) == {"room": "a", "connection": "a-1f"}
    assert whose([one, other]) == {"connection": "a-1f"}
    assert whose([one, sender(7)]) == {"room": "a"}
    assert whose([other, sender(7)]) == {}
