"""bench/peers/server.py: what is typed at any of them is answered, and heard by its room, once."""

import time
from functools import partial

import pytest

from bench.harness import Unavailable
from bench.peers.danmaku import Danmaku
from bench.peers.everyone import NATS, US, Make, makes
from bench.peers.nats import VerboseNats
from bench.peers.server import Library, Server

ROOMS, MEMBERS = 2, 10
UNLIMITED = {"limits_commands_per_s": 10_000, "limits_commands_burst": 10_000}
TYPING: dict[str, Make] = makes() | {US: partial(Danmaku, **UNLIMITED), NATS: VerboseNats}


def until_answered(server: Server) -> int:
    """How many were sent, once nobody types any more and all are answered."""
    deadline = time.monotonic() + 10
    while (seen := server.viewers.ask("count"))["emitted"] != seen["acks"] or seen["acks"] == 0:
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)
    return int(seen["emitted"])


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("name", TYPING)
def test_what_is_typed_is_answered_and_heard_by_its_room_once(name: str, cores: int) -> None:
    try:
        server = TYPING[name](cores)
    except Unavailable as reason:
        pytest.skip(f"a peer is not here: {reason}")
    with server:
        server.connect(ROOMS * MEMBERS, ROOMS)
        server.viewers.ask("reset")
        before = server.cpu_ns()
        with server.relaying(MEMBERS):
            server.viewers.ask(f"chat 1 50 {server.say}")
            sent = until_answered(server)
            seen = server.viewers.ask(f"wait messages {sent * MEMBERS} 10000")
            assert server.viewers.ask("latency")["samples"] == sent * MEMBERS
        assert (seen["emitted"], seen["acks"], seen["errors"]) == (sent, sent, 0)
        assert seen["messages"] == sent * MEMBERS
        assert server.cpu_ns() > before
        assert server.memory()["Private_Dirty"] > 0


def test_a_library_that_is_not_installed_is_unavailable_by_name() -> None:
    with pytest.raises(Unavailable, match="no_such_library"):
        Library("no_such_library")
