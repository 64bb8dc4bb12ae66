"""tests/faults/ledger.py and audits.py: a sound log balances, what is planted in one is found."""

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.faults.audits import audit, audit_book
from tests.faults.books import NOTHING, Ack, Book, Gap, Hole, Joined, Live, Odd, Place, Refusal
from tests.faults.verdict import Breach
from tests.faults.worlds import World, batches, small, worlds


class TestSound:
    @given(worlds())
    def test_what_a_server_did_right_balances(self, world: World) -> None:
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert verdict.said == len(world.lost - world.seen)
        assert verdict.owed + verdict.away == len(world.book.acks)

    def test_a_viewer_that_left_is_owed_nothing_behind_that(self) -> None:
        world = World(resumes=False)
        world.join(0)
        world.live(2)
        world.cut()
        world.publish(3)
        verdict = world.verdict()
        assert (verdict.owed, verdict.away) == (2, 3)
        assert verdict.balances

    def test_one_that_resumes_is_owed_it_all(self) -> None:
        world = World()
        world.join(0)
        world.live(2)
        world.cut()
        world.publish(3)
        assert world.verdict().breaches[Breach.SILENT] == 3

    def test_a_place_given_out_twice_is_accounted_for_by_the_new_epoch(self) -> None:
        world = World()
        world.join(0)
        world.live(3)
        world.book.sent.add(99)
        world.book.acks.append(Ack(99, Place("e0", 2), world.now(), world.now()))
        assert world.verdict().breaches == {Breach.SILENT: 1}
        world.renew()
        world.log.append(Gap(world.now(), world.here, 0))
        world.at = world.here
        world.live(1)
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert verdict.said == 1

    def test_or_by_the_word_that_it_is_not_recovered(self) -> None:
        world = World()
        world.join(0)
        world.live(3)
        world.cut()
        second = Ack(99, Place("e0", 2), world.now(), world.now())
        world.book.sent.add(99)
        world.book.acks.append(second)
        since = Place("e0", 3)
        told = Joined(world.now(), since, since, True, [])
        world.log.append(told)
        assert world.verdict().breaches == {Breach.SILENT: 1}
        world.log[-1] = told._replace(recovered=False)
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert verdict.said == 1
        world.book.acks[-1] = second._replace(sent=world.now())
        assert world.verdict().breaches == {Breach.SILENT: 1}
        world.book.acks[-1] = second._replace(place=Place("e0", 5))  # which is not reached again
        assert world.verdict().balances
        world.book.acks[-1] = second._replace(place=Place("e0", 4))
        world.log.append(Live("e0", 4, 5, [(5, NOTHING)]))
        assert world.verdict().breaches == {Breach.SILENT: 1}

    def test_a_message_its_producer_sent_again_after_the_loss_may_be_seen_again(self) -> None:
        world = World()
        world.join(0)
        world.live(1)
        world.empty(1)
        world.book.acks.append(Ack(1, Place("e1", 1), world.now(), world.now()))
        world.log.append(Live("e1", 1, 1, [(1, 1)]))
        assert world.verdict().breaches == {Breach.TWICE: 1}
        world.book.resent.add(1)
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert verdict.resent == 1

    def test_a_message_is_at_any_place_a_server_that_was_set_back_gave_it(self) -> None:
        """It was acknowledged twice, since the first was lost; so was the other at its place."""
        world = World()
        world.join(0)
        world.live(2)
        world.book.sent.add(9)
        world.book.resent.add(2)
        world.book.acks.append(Ack(9, Place("e0", 2), world.now(), world.now()))
        world.book.acks.append(Ack(2, Place("e0", 3), world.now(), world.now()))
        world.renew()
        world.log.append(Gap(world.now(), world.here, 0))
        verdict = world.verdict()
        assert verdict.balances, verdict.notes
        assert (verdict.delivered, verdict.said) == (3, 1)

    def test_what_takes_a_place_and_is_no_message_is_owed_to_nobody(self) -> None:
        world = World()
        world.join(0)
        world.live(2)
        world.log.append(Live("e0", 3, 3, [(3, NOTHING)]))
        assert world.verdict().balances


class TestPlanted:
    """One error in a log that was sound."""

    @given(worlds(), st.data())
    def test_a_message_that_is_left_out_of_a_batch(self, world: World, data: st.DataObject) -> None:
        i = data.draw(st.sampled_from(batches(world)))
        live = world.log[i]
        assert isinstance(live, Live)
        gone = data.draw(st.sampled_from(live.places))
        world.log[i] = live._replace(places=[place for place in live.places if place != gone])
        assert world.verdict().breaches[Breach.SILENT]

    @given(worlds(), st.data())
    def test_a_batch_that_is_left_out(self, world: World, data: st.DataObject) -> None:
        i = data.draw(st.sampled_from(batches(world)))
        del world.log[i]
        verdict = world.verdict()
        # The next thing that came may have brought it: the history of one who came back.
        followed = i < len(world.log) and isinstance(world.log[i], Live)
        last = i == len(world.log)
        assume(followed or last)
        assert verdict.breaches[Breach.HOLE] or verdict.breaches[Breach.SILENT]

    @given(worlds(), st.data())
    def test_a_batch_that_comes_twice(self, world: World, data: st.DataObject) -> None:
        i = data.draw(st.sampled_from(batches(world)))
        world.log.insert(i, world.log[i])
        assert world.verdict().breaches[Breach.TWICE]

    @given(worlds(), st.data())
    def test_two_messages_that_changed_places(self, world: World, data: st.DataObject) -> None:
        i = data.draw(st.sampled_from(batches(world, least=2)))
        live = world.log[i]
        assert isinstance(live, Live)
        (a, x), (b, y), *rest = live.places
        joins = [item for item in world.log[i:] if isinstance(item, Joined)]
        shown = {seq for item in joins if item.place.epoch == live.epoch for seq, _ in item.history}
        assume(not shown & {a, b})  # or they are put right
        world.log[i] = live._replace(places=[(a, y), (b, x), *rest])
        assert world.verdict().breaches[Breach.WRONG]

    @given(worlds(), st.data())
    def test_two_places_in_the_wrong_order(self, world: World, data: st.DataObject) -> None:
        i = data.draw(st.sampled_from(batches(world, least=2)))
        live = world.log[i]
        assert isinstance(live, Live)
        first, second, *rest = live.places
        world.log[i] = live._replace(places=[second, first, *rest])
        assert world.verdict().breaches[Breach.DISORDER]

    @given(worlds(), small)
    def test_acknowledged_and_never_delivered(self, world: World, count: int) -> None:
        world.publish(count)
        assert world.verdict().breaches == {Breach.SILENT: count}

    @given(worlds(), st.integers(1, 3))
    def test_a_gap_that_counts_wrongly(self, world: World, more: int) -> None:
        world.publish(2)
        world.log.append(Gap(world.now(), world.here, 2 + more))
        assert world.verdict().breaches == {Breach.WRONG: 1}

    @given(worlds(), small)
    def test_a_recovery_that_is_not_whole(self, world: World, missed: int) -> None:
        assume(world.resumes)
        world.cut()
        world.publish(missed + 1)
        shown = world.unseen[1:]
        world.log.append(Joined(world.now(), world.here, world.at, True, shown))
        breaches = world.verdict().breaches
        assert breaches == {Breach.HOLE: 1, Breach.SILENT: 1}

    @given(worlds(), small)
    def test_a_new_epoch_nobody_told_of(self, world: World, count: int) -> None:
        world.renew()
        world.publish(count)
        world.log.append(Live(world.epoch, 1, world.seq, list(world.history)))
        assert world.verdict().breaches[Breach.HOLE] == 1

    @pytest.mark.parametrize("resumes", [True, False])
    def test_acknowledged_in_an_epoch_that_nobody_was_told_of(self, resumes: bool) -> None:
        """A server took it that was not the one any more."""
        world = World(resumes)
        world.join(0)
        world.live(2)
        world.book.sent.add(9)
        world.book.acks.append(Ack(9, Place("other", 1), world.now(), world.now()))
        world.live(1)
        world.cut()
        assert world.verdict().breaches == {Breach.SILENT: 1}

    @given(worlds())
    def test_a_hole_that_was_mended_afterwards(self, world: World) -> None:
        assume(world.resumes)
        world.publish(2)
        world.log.append(Hole(world.now(), world.here))
        world.log.append(Joined(world.now(), world.here, world.at, True, world.unseen))
        assert world.verdict().breaches == {Breach.HOLE: 1}

    @given(worlds())
    def test_a_message_nobody_sent(self, world: World) -> None:
        world.live(1)
        world.book.sent.remove(len(world.book.sent))
        assert world.verdict().breaches == {Breach.WRONG: 1}

    def test_an_event_stream_is_given_nothing_twice_even_on_another_connection(self) -> None:
        world = World()
        world.join(0)
        world.late_shard(2)
        assert world.verdict().balances
        assert audit(world.book, world.log, resumes=True, once=True).breaches == {Breach.TWICE: 2}

    def test_an_odd_thing_is_a_breach(self) -> None:
        world = World()
        world.join(0)
        world.log.append(Odd(world.now(), "closed with 1011"))
        assert world.verdict().breaches == {Breach.WRONG: 1}


class TestRefused:
    def refused(self) -> tuple[World, Refusal]:
        """A message was sent, refused, and seen all the same at the second place."""
        world = World()
        world.join(0)
        world.live(1)
        world.seq += 1
        world.book.sent.add(50)
        refusal = world.book.refused[50] = Refusal(world.now(), world.now())
        world.log.append(Live("e0", 2, 2, [(2, 50)]))
        world.at = world.here
        return world, refusal

    def test_may_be_seen_if_its_answer_was_lost(self) -> None:
        world, (sent, at) = self.refused()
        world.live(1)
        assert world.verdict((sent - 2, sent - 1), (sent + 0.5, at), (at, at + 1)).balances

    def test_may_not_be_seen_when_nothing_could_be_published(self) -> None:
        world, (sent, at) = self.refused()
        assert world.verdict((sent, at)).breaches == {Breach.GHOST: 1}

    def test_may_not_stand_behind_what_was_sent_after_its_refusal(self) -> None:
        world, _ = self.refused()
        [first] = world.book.acks
        world.book.refused[50] = Refusal(first.sent - 2, first.sent - 1)
        assert world.verdict().breaches == {Breach.GHOST: 1}


class TestBook:
    @pytest.mark.parametrize(
        ("change", "found"),
        [
            (lambda book: book.acks.append(Ack(1, Place("e0", 9), 90, 91)), Breach.TWICE),
            (lambda book: book.in_turn["one"].reverse(), Breach.DISORDER),
        ],
        ids=["one message at two places", "one producer's messages out of turn"],
    )
    def test_contradicts_itself(self, change: Callable[[Book], None], found: Breach) -> None:
        world = World()
        world.publish(2)
        assert audit_book(world.book).balances
        change(world.book)
        assert audit_book(world.book).breaches == {found: 1}

    def test_says_nothing_of_numbers_that_were_given_out_twice(self) -> None:
        world = World()
        world.publish(3)
        world.book.acks.append(Ack(8, Place("e0", 2), 90, 91))
        world.book.in_turn["one"].append(8)
        assert audit_book(world.book).balances
