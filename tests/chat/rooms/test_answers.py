"""What a join is answered with: the newest, or what was missed, or that it is not known."""

import pytest
from msgspec import UNSET

from chat.rooms.answers import Answer, joined, remembered, resumed
from chat.rooms.replay import Replay
from chat.wire.commands import Since
from tests.chat.rooms.test_position import message
from tests.chat.rooms.test_replay import a_read, a_room


class TestAnswers:
    def test_who_says_no_position_is_shown_the_newest(self) -> None:
        answer = joined(a_room("e", 9))
        assert (answer.epoch, answer.seq, answer.recovered) == ("e", 9, False)
        assert answer.history[0].seq == 7
        assert len(answer.history) == 3

    def test_who_has_missed_something_gets_that(self) -> None:
        answer = resumed(a_room("e", 9), Since("e", 8), [message(9)]).event
        assert (answer.seq, answer.recovered, len(answer.history)) == (9, True, 1)

    def test_each_says_when_what_stands_at_its_position_was_published(self) -> None:
        room = a_room("e", 9)
        assert (joined(room).ts, joined(a_room("", 0)).ts) == (9, UNSET)
        assert resumed(room, Since("e", 9, 9), []).event.ts == 9
        ahead = resumed(room, Since("e", 12, 345), [])  # by what this shard has yet to read
        assert ahead.event.ts == 345
        assert resumed(room, Since("e", 12), []).event.ts is UNSET
        assert resumed(room, Since("e", 12, 345), None).event.ts == 9

    @pytest.mark.parametrize("here", [("e", 3), ("", 0)])
    def test_who_is_ahead_of_this_shard_stays_there(self, here: tuple[str, int]) -> None:
        answer = resumed(a_room(*here), Since("e", 4), []).event
        assert (answer.epoch, answer.seq, answer.recovered) == ("e", 4, True)

    def test_who_cannot_be_resumed_is_told_so(self) -> None:
        answer = resumed(a_room("e", 9), Since("x", 40), None).event
        assert (answer.epoch, answer.seq, answer.recovered) == ("e", 9, False)
        assert len(answer.history) == 3

    def test_what_a_replay_has_is_not_written_into_it(self) -> None:
        room = a_room("e", 9)
        missed = Replay(room, a_read("e", 9), 0).missed(room, Since("e", 2))
        answer = resumed(room, Since("e", 2), missed)
        assert (answer.event.recovered, answer.event.history, answer.missed) == (True, [], missed)

    def test_what_the_room_remembers_is_enough_or_it_is_not(self) -> None:
        room = a_room("e", 9)
        assert remembered(room, None) is room
        assert remembered(room, Since("e", 2)) is None
        for since, recovered in (Since("e", 6), True), (Since("x", 6), False):
            answer = remembered(room, since)
            assert isinstance(answer, Answer)
            assert answer.event.recovered is recovered
