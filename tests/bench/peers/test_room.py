"""bench/peers/room.py: each library's child delivers one frame to everyone, each time."""

from importlib.util import find_spec

import pytest

from bench.child import build, python
from bench.harness import Unavailable
from bench.targets import Target


@pytest.mark.parametrize("library", ["websockets", "picows", "socketify"])
def test_every_flush_reaches_every_viewer_once(library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    try:
        build("viewers")
    except Unavailable as reason:
        pytest.skip(str(reason))
    with Target(python(f"bench.peers.{library}"), 20, "connect {} 20 /") as target:
        target.payload(300)
        assert target.flush(3)["deliveries"] == 60
        assert target.viewers.ask("count")["bytes"] == 60 * 300
