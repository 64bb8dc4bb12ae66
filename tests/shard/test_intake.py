"""What a stranger may push below the level of commands, and how turns are shared: real sockets."""

from collections.abc import Iterator

import pytest

from shard import group as module
from shard.closecodes import CloseCode
from shard.counters import Count
from shard.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, encode
from shard.inbound import BURST_S, SCRATCH_BYTES
from tests.shard.rig import Client, Rig
from tests.shard.wire import REQUEST, client_frame, close_frame

PER_TICK = 2
MOST = PER_TICK * BURST_S


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(controls_per_tick=PER_TICK, ping_ticks=1_000) as rig:
        yield rig


def opened(client: Client, rig: Rig) -> bool:
    return rig.group.is_open(client.fd)


FLOODS = {
    "pings": client_frame(PING),
    "pongs": client_frame(PONG),
    "empty continuations": client_frame(CONT, fin=False),
    "full pings": client_frame(PING, b"x" * 125),
}


class TestFlooding:
    @pytest.mark.parametrize("frame", FLOODS.values(), ids=FLOODS)
    def test_it_is_counted_and_closed_and_nothing_more_is_parsed(
        self, rig: Rig, frame: bytes
    ) -> None:
        other, client = rig.open(), rig.open()
        client.send(client_frame(TEXT, fin=False) if frame[0] & 0x0F == CONT else b"")
        client.send(frame * 2_000 + client_frame(CONT) + client_frame(TEXT, b"after it"))
        rig.run_until(lambda: client.close_code)
        assert client.messages[-1] == (CLOSE, b"\x11\x97far too many frames that are no message")
        assert rig.handler.closed == [(client.fd, 4503)]
        assert rig.counts[Count.CLOSED_FLOODING] == 1
        assert rig.counts[Count.CLOSED_PROTOCOL] == 0
        assert MOST < rig.counts[Count.CONTROLS_IN] <= MOST + 2
        rig.settle()
        assert rig.counts[Count.BYTES_IN] <= 2 * len(REQUEST) + 2 * SCRATCH_BYTES
        assert rig.handler.messages == []
        other.send(client_frame(TEXT, b"hello"))
        rig.run_until(lambda: rig.handler.messages)
        assert opened(other, rig)

    def test_one_at_a_time_counts_as_well(self, rig: Rig) -> None:
        client = rig.open()
        for _ in range(MOST):
            rig.say(client, client_frame(PONG))
        assert opened(client, rig)
        rig.say(client, client_frame(PONG))
        rig.run_until(lambda: client.close_code)
        assert client.close_code == 4503

    def test_a_message_byte_by_byte(self, rig: Rig) -> None:
        client, frame = rig.open(), client_frame(TEXT, b"x" * 100)
        for i in range(MOST + 1):
            rig.say(client, frame[i : i + 1])
        rig.run_until(lambda: client.close_code)
        assert client.close_code == 4503
        assert rig.group._inbound.buffers.on_loan == 0

    def test_who_keeps_to_the_rate_may_go_on_for_ever(self, rig: Rig) -> None:
        client = rig.open()
        for _ in range(5 * MOST):
            rig.say(client, client_frame(PING) * PER_TICK)
            rig.say(client, client_frame(TEXT, b"hi"))
            rig.advance()
        assert opened(client, rig)
        assert len(rig.handler.messages) == 5 * MOST
        assert rig.counts[Count.CONTROLS_IN] == 5 * MOST * PER_TICK

    def test_what_it_is_sent_at_once_after_a_pause_of_ours_is_none(self, rig: Rig) -> None:
        client = rig.open()
        rig.say(client, client_frame(PONG) * MOST)
        rig.tick += 60
        client.send(client_frame(PONG) * MOST)
        rig.advance()
        assert opened(client, rig)

    def test_the_next_with_the_number_begins_anew(self, rig: Rig) -> None:
        first = rig.open()
        rig.say(first, client_frame(PONG) * MOST)
        first.send(close_frame(1000))
        rig.run_until(lambda: first.ended)
        rig.settle()
        assert rig.group._inbound._buckets == {}

    def test_one_that_was_told_to_go_is_not_listened_to_for_long(self, rig: Rig) -> None:
        client = rig.open()
        rig.group.close(client.fd, CloseCode.NORMAL)
        client.send(client_frame(TEXT, b"but") * (MOST + 1))
        rig.run_until(lambda: client.ended)
        assert rig.handler.closed == [(client.fd, 1000)]
        assert rig.handler.messages == []
        assert client.messages == [(CLOSE, b"\x03\xe8bye")]

    def test_whom_the_handler_finds_flooding_is_not_heard_to_the_end(self, rig: Rig) -> None:
        client = rig.open()
        heard = rig.handler.messages

        def on_message(fd: int, payload: bytes, binary: bool) -> None:
            heard.append((fd, payload, binary))
            rig.group.close(fd, CloseCode.FLOODING)

        rig.handler.on_message = on_message  # type: ignore[method-assign]
        client.send(client_frame(TEXT, b"me ") * 3 * SCRATCH_BYTES)
        rig.run_until(lambda: client.close_code)
        rig.settle()
        assert client.close_code == 4503
        assert len(heard) == 1
        assert rig.counts[Count.BYTES_IN] <= len(REQUEST) + SCRATCH_BYTES
        assert rig.counts[Count.CLOSED_FLOODING] == 1
        assert rig.group.connections == 0


class TestSharing:
    """A turn's work has a bound, and everyone comes to it."""

    POURING = 20

    @pytest.fixture(autouse=True)
    def _little_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_WORK", 30)

    def test_a_turn_hears_so_many_and_the_next_one_goes_on(self, rig: Rig) -> None:
        clients = [rig.open() for _ in range(self.POURING)]
        for client in clients:
            client.send(client_frame(BINARY, b"%d" % client.fd) * 9)
        turns: list[int] = []
        while len(rig.handler.messages) < 9 * self.POURING:
            before = len(rig.handler.messages)
            rig.step()
            turns.append(len(rig.handler.messages) - before)
        assert max(turns) < 30 + 9
        assert len(turns) > 5
        assert {fd for fd, _, _ in rig.handler.messages} == {client.fd for client in clients}

    def test_arrivals_with_much_to_say_are_heard_so_far_only(self, rig: Rig) -> None:
        for _ in range(self.POURING):
            rig.connect().send(REQUEST + client_frame(BINARY, b"!") * 9)
        turns: list[int] = []
        while len(rig.handler.messages) < 9 * self.POURING:
            before = len(rig.handler.messages)
            rig.step()
            turns.append(len(rig.handler.messages) - before)
        assert max(turns) < 30 + 9
        assert len(rig.handler.opened) == self.POURING

    def test_those_who_pour_do_not_keep_others_from_their_turn(self, rig: Rig) -> None:
        pouring = [rig.open() for _ in range(self.POURING)]
        quiet = rig.open()
        for client in pouring:
            client.send(client_frame(BINARY, b"!") * 20_000)
        rig.step()
        quiet.send(client_frame(TEXT, b"?"))
        for _ in range(3 * self.POURING):
            rig.step()
            if (quiet.fd, b"?", False) in rig.handler.messages:
                break
        said = [fd for fd, _, _ in rig.handler.messages]
        assert said[-1] == quiet.fd, "it came to its turn"
        counts = [said.count(client.fd) for client in pouring]
        assert max(counts) <= min(counts) + 2 * (SCRATCH_BYTES // 7 + 1), "everyone about as often"

    def test_what_goes_out_goes_out_between(self, rig: Rig) -> None:
        pouring = [rig.open() for _ in range(self.POURING)]
        for client in pouring:
            client.send(client_frame(BINARY, b"!") * 20_000)
        reader = rig.open()
        for number in range(9):
            rig.group.fan_out([reader.fd], encode(TEXT, b"%d" % number))
            rig.step()
        assert len(reader.messages) == 9

    def test_one_that_ended_before_its_turn_is_not_heard(self, rig: Rig) -> None:
        clients = [rig.open() for _ in range(self.POURING)]
        for client in clients:
            client.send(client_frame(BINARY, b"!") * 9)
        rig.step()
        heard = {fd for fd, _, _ in rig.handler.messages}
        waiting = next(client for client in clients if client.fd not in heard)
        rig.group.close(waiting.fd, CloseCode.FLOODING)
        rig.settle()
        rig.run_until(lambda: len(rig.handler.messages) == 9 * (self.POURING - 1))
        assert waiting.fd not in {fd for fd, _, _ in rig.handler.messages}
