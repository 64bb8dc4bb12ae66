"""bench/viewers.c: what it counts is what was sent, or no figure means anything."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.child import Child, build
from bench.harness import Unavailable
from shard.deflate import compress
from shard.frames import BINARY, CLOSE, PING, TEXT, encode

ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
JOINED = '[{"t":"joined","room":"a","epoch":"e","seq":7,"history":[{"seq":7,"uid":"u"}]}]'


@contextmanager
def served(*chunks: bytes) -> Iterator[tuple[Child, list[bytes]]]:
    """One viewer of a server that sends `chunks` in a write each; and what the viewer wrote."""
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(4096))
            for chunk in chunks:
                connection.sendall(chunk)
            while data := connection.recv(4096):
                heard.append(data)

    try:
        program = build("viewers")
    except Unavailable as reason:
        pytest.skip(str(reason))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with Child([program, str(listener.getsockname()[1])], core=0) as viewers:
            yield viewers, heard
        thread.join()


def text(payload: str) -> bytes:
    return encode(TEXT, payload.encode())


def messages(*seqs: int) -> bytes:
    return text("[" + batch(*seqs) + "]")


def batch(*seqs: int, said: str = "hi") -> str:
    """As the server writes it: only a number that does not follow is in a message."""
    after = [seqs[0] - 1, *seqs]
    own = ["" if n == last + 1 else f'"seq":{n},' for n, last in zip(seqs, after, strict=False)]
    m = ",".join(f'{{{seq}"uid":"u","text":"{said}"}}' for seq in own)
    span = f'"seq":{seqs[0]},"to":{seqs[-1]}'
    return f'{{"t":"msgs","room":"a","epoch":"e",{span},"m":[{m}]}}'


def unmasked(heard: list[bytes]) -> bytes:
    """What the viewer's first frame says, after its request."""
    frame = b"".join(heard).partition(b"\r\n\r\n")[2]
    mask, masked = frame[2:6], frame[6 : 6 + (frame[1] & 127)]
    return bytes(byte ^ mask[at & 3] for at, byte in enumerate(masked))


class TestDeflate:
    def test_compressed_messages_are_counted_and_the_offer_is_made(self) -> None:
        said = f"[{batch(8, said='x' * 500)}]".encode()
        frame = encode(TEXT, compress(said), compressed=True)
        with served(ACCEPT + text(JOINED), frame + frame, messages(9)) as (viewers, heard):
            viewers.ask("deflate")
            viewers.ask("connect 1 1 /ws?room=a")
            seen = viewers.ask("wait messages 3 60000")
        assert (seen["messages"], seen["gaps"], seen["repeats"]) == (3, 0, 1)
        assert b"Sec-WebSocket-Extensions: permessage-deflate\r\n" in heard[0]

    def test_without_it_nothing_is_offered(self) -> None:
        with served(ACCEPT) as (viewers, heard):
            viewers.ask("connect 1 1 /")
        assert b"deflate" not in heard[0]


class TestCounting:
    def test_messages_are_counted_and_history_is_not(self) -> None:
        with served(ACCEPT + text(JOINED), messages(8, 9), messages(10)) as (viewers, _):
            assert viewers.ask("connect 1 1 /ws?room=a")["ok"] == 1
            seen = viewers.ask("wait messages 3 60000")
        assert (seen["reached"], seen["frames"], seen["messages"]) == (True, 3, 3)
        assert (seen["gaps"], seen["repeats"]) == (0, 0)

    def test_gaps_and_repeats_are_seen_within_and_between_frames(self) -> None:
        frames = messages(9, 9), messages(12, 14), messages(14)
        with served(ACCEPT + text(JOINED), *frames) as (viewers, _):
            viewers.ask("connect 1 1 /ws?room=a")
            seen = viewers.ask("wait messages 5 60000")
        assert (seen["gaps"], seen["repeats"]) == (2, 2)

    def test_what_a_batch_covers_and_does_not_show_is_no_gap(self) -> None:
        empty = '{"t":"msgs","room":"a","epoch":"e","seq":12,"to":15,"m":[]}'
        shed = '{"t":"shed","room":"a","seq":15,"count":4}'
        frames = messages(8, 10, 11), text(f"[{empty},{shed}]"), messages(16)
        with served(ACCEPT + text(JOINED), *frames) as (viewers, _):
            viewers.ask("connect 1 1 /ws?room=a")
            seen = viewers.ask("wait messages 4 60000")
        assert (seen["frames"], seen["gaps"], seen["repeats"]) == (4, 0, 0)

    def test_batches_are_found_among_other_events(self) -> None:
        said = r"{\"uid\":\"u\"},{\"t\":\"msgs\"} \"m\":[{\"seq\":99"
        events = ['{"t":"online","room":"a","count":3}', batch(8, 9, said=said)]
        events += ['{"t":"ack","room":"a","seq":9,"ref":1}', batch(10), '{"t":"pong"}']
        frame = text("[" + ",".join(events) + "]")
        with served(ACCEPT + text(JOINED), frame, messages(11)) as (viewers, _):
            viewers.ask("connect 1 1 /ws?room=a")
            seen = viewers.ask("wait messages 4 60000")
        assert (seen["frames"], seen["messages"], seen["acks"], seen["pongs"]) == (3, 4, 1, 1)
        assert (seen["gaps"], seen["repeats"]) == (0, 0)

    def test_a_stream_cut_anywhere_is_counted_alike(self) -> None:
        stream = ACCEPT + text(JOINED) + messages(8, 9) + text("x" * 300) + messages(10)
        with served(*(bytes([one]) for one in stream)) as (viewers, _):
            viewers.ask("connect 1 1 /ws?room=a")
            seen = viewers.ask("wait messages 3 60000")
        assert (seen["frames"], seen["messages"], seen["gaps"]) == (4, 3, 0)

    def test_a_large_binary_frame_is_one_frame(self) -> None:
        with served(ACCEPT + encode(BINARY, b"y" * 100_000)) as (viewers, _):
            viewers.ask("connect 1 1 /")
            seen = viewers.ask("wait frames 1 60000")
        assert (seen["frames"], seen["bytes"]) == (1, 100_000)

    def test_latency_is_the_age_of_the_stamp_in_the_text(self) -> None:
        stamp = time.monotonic_ns() - 3_000_000_000
        marked = text(f"[{batch(8, said=f'@{stamp} hi')}]")
        with served(ACCEPT + text(JOINED), marked) as (viewers, _):
            viewers.ask("connect 1 1 /ws?room=a")
            viewers.ask("wait messages 1 60000")
            seen = viewers.ask("latency")
        assert seen["samples"] == 1
        assert 3_000_000 <= seen["max_us"] < 60_000_000
        assert 2_900_000 <= seen["p50_us"] <= seen["max_us"]


class TestAnotherProtocol:
    def test_its_words_say_who_is_in_what_was_taken_and_what_was_said(self) -> None:
        stamp = time.monotonic_ns() - 3_000_000_000
        frames = text("INFO {}"), text("PONG"), text(f"MSG @{stamp:020} hi MSG @0 +OK"), text("+OK")
        with served(ACCEPT, *frames) as (viewers, _):
            viewers.ask("words PONG +OK @")
            assert viewers.ask("connect 1 1 /")["ok"] == 1
            seen = viewers.ask("wait acks 2 60000")
            oldest = viewers.ask("latency")["max_us"]
        assert (seen["frames"], seen["messages"], seen["acks"], seen["gaps"]) == (4, 2, 2, 0)
        assert oldest >= 3_000_000

    def test_a_word_that_is_none_is_not_waited_for(self) -> None:
        with served(ACCEPT, text("@1")) as (viewers, _):
            viewers.ask("words - - @")
            assert viewers.ask("connect 1 1 /")["ok"] == 1
            assert viewers.ask("wait messages 1 60000")["acks"] == 0

    def test_ones_own_message_may_be_the_answer(self) -> None:
        with served(ACCEPT) as (viewers, heard):
            viewers.ask("connect 1 1 /")
            viewers.ask("chat 1 60000 $me")
            viewers.ask("count")
        own = unmasked(heard)[:6]
        with served(ACCEPT, text("@1 #99999"), text(f"@2 {own.decode()}")) as (viewers, _):
            viewers.ask("words - $me @")
            viewers.ask("connect 1 1 /")
            seen = viewers.ask("wait messages 2 60000")
        assert (seen["messages"], seen["acks"]) == (2, 1)

    def test_what_is_typed_has_a_stamp_of_one_length_and_line_ends(self) -> None:
        with served(ACCEPT) as (viewers, heard):
            viewers.ask("connect 1 1 /")
            viewers.ask(r"chat 1 60000 PUB r-$room 21\n$stamp\n")
            assert viewers.ask("count")["emitted"] == 1
        said = unmasked(heard)
        assert len(said) == len(b"PUB r-0 21\r\n@\r\n") + 20
        assert said.startswith(b"PUB r-0 21\r\n@0")
        assert said.endswith(b"\r\n")


class TestEventStreams:
    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 2000\n\n"

    def test_each_event_is_a_frame_and_comments_are_pings(self) -> None:
        joined, said = f"id: e-7\ndata: {JOINED}\n\n", f"id: e-9\ndata: [{batch(8, 9)}]\n\n"
        stream = self.HEAD + joined.encode() + b":\n\n" + said.encode()
        with served(*(bytes([one]) for one in stream)) as (viewers, heard):
            assert viewers.ask("connect 1 1 /sse?room=a")["ok"] == 1
            seen = viewers.ask("wait messages 2 60000")
        assert (seen["frames"], seen["messages"], seen["pings"]) == (2, 2, 1)
        assert (seen["gaps"], seen["repeats"]) == (0, 0)
        assert b"Upgrade" not in heard[0]


class TestConnections:
    def test_a_refusal_is_a_failure_with_its_status_line(self) -> None:
        with served(b"HTTP/1.1 503 Service Unavailable\r\n\r\n") as (viewers, _):
            answer = viewers.ask("connect 1 1 /ws")
        assert (answer["ok"], answer["failed"]) == (0, 1)
        assert answer["failure"] == "HTTP/1.1 503 Service Unavailable"

    def test_a_close_frame_is_counted_with_its_code(self) -> None:
        with served(ACCEPT, encode(CLOSE, (4001).to_bytes(2, "big"))) as (viewers, _):
            viewers.ask("connect 1 1 /")
            seen = viewers.ask("wait closed 1 60000")
        assert (seen["closed"], seen["close_code"], seen["open"]) == (1, 4001, 0)

    def test_pings_are_answered_with_masked_pongs(self) -> None:
        with served(ACCEPT + encode(PING, b"abc") + text("x")) as (viewers, heard):
            viewers.ask("connect 1 1 /")
            assert viewers.ask("wait frames 1 60000")["pings"] == 1
        mask = bytes.fromhex("5ac31f77")
        pong = b"\x8a\x83" + mask + bytes(a ^ b for a, b in zip(b"abc", mask, strict=False))
        assert b"".join(heard).endswith(pong)

    def test_a_greeting_is_one_masked_text_frame_with_its_line_ends(self) -> None:
        with served(ACCEPT + text("x")) as (viewers, heard):
            assert viewers.ask(r"greet SUB r 1\nPING\n") == {"greeting": 21}
            viewers.ask("connect 1 1 /")
            viewers.ask("wait frames 1 60000")
        mask, said = bytes.fromhex("5ac31f77"), b"SUB r 1\r\nPING\r\n"
        masked = bytes(byte ^ mask[at & 3] for at, byte in enumerate(said))
        assert b"".join(heard).endswith(b"\x81\x8f" + mask + masked)

    def test_one_of_bytes_is_a_masked_binary_frame(self) -> None:
        with served(ACCEPT + text("x")) as (viewers, heard):
            assert viewers.ask("greet_bytes 00ff7f") == {"greeting": 9}
            viewers.ask("connect 1 1 /")
            viewers.ask("wait frames 1 60000")
        assert b"".join(heard).endswith(bytes.fromhex("82835ac31f775a3c60"))

    def test_each_may_greet_with_a_number_of_its_own_and_joins_by_it(self) -> None:
        with served(ACCEPT, text(JOINED)) as (viewers, heard):
            viewers.ask('greet {"t":"join","since":$room+40}')
            assert viewers.ask("connect 1 1 /ws 7")["ok"] == 1
        mask, said = bytes.fromhex("5ac31f77"), b'{"t":"join","since":40}'
        masked = bytes(byte ^ mask[at & 3] for at, byte in enumerate(said))
        assert b"".join(heard).endswith(bytes((0x81, 0x80 | len(said))) + mask + masked)


def test_the_floor_delivers_to_every_connection() -> None:
    try:
        programs = build("floor"), build("viewers")
    except Unavailable as reason:
        pytest.skip(str(reason))
    with Child([programs[0]], 0) as floor, Child([programs[1], str(floor.hello["port"])], 0) as us:
        us.tell("raw 20")
        floor.ask("accept 20")
        assert us.answer()["ok"] == 20
        sent = floor.ask("flush 3 0")
        assert (sent["sends"], sent["refused"]) == (60, 0)
        assert us.ask("wait frames 60 60000")["bytes"] == 60 * 128
        beaten = floor.ask("beat 1 2")
        assert (beaten["pings"], beaten["pongs"]) == (10, 10)
        us.ask("drop 20")


def test_the_floor_relays_to_every_member_of_the_room() -> None:
    try:
        programs = build("floor"), build("viewers")
    except Unavailable as reason:
        pytest.skip(str(reason))
    with Child([programs[0]], 0) as floor, Child([programs[1], str(floor.hello["port"])], 0) as us:
        us.ask("words - - said")
        us.tell("raw 20")
        floor.ask("accept 20")
        assert us.answer()["ok"] == 20
        floor.ask(f"relay 5 {6 + len('I said')}")
        us.ask("emit text 20 0 I said")
        seen = us.ask("wait messages 100 60000")
        relayed = floor.answer()
    assert (seen["messages"], seen["bytes"]) == (100, 100 * len("I said"))
    assert (relayed["frames"], relayed["sends"], relayed["torn"]) == (20, 100, 0)
