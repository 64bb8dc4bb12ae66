"""Our own clients in a crowd: what they hand on is all there is, or is said to be left out.

Rules. The Python client is used as its users do, the JavaScript one by Node, where there
are Node and its `ws`; what they are told is kept by room. The accounting is pure. Its
events have no frames: what is left out between two of them is compared as a whole.
"""

import asyncio
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from chat.client import Client
from chat.client.follower import News
from chat.wire.schema import Clear, Delete, Gap, Joined, Msg, Removed, Shed, State
from tests.faults.books import NOTHING, Book
from tests.faults.texts import number_of

SCRIPT: Final = Path(__file__).with_name("follower.mjs")
WS: Final = Path(__file__).parents[1] / "e2e" / "node_modules" / "ws"
PLACES: Final = (Msg, Removed, Delete, Clear, State)
Told = list[News]


class Follower:
    """One client in some rooms of a node. `told` has its events by room."""

    def __init__(self, url: str, rooms: Sequence[str]) -> None:
        self.rooms = tuple(rooms)
        self.told: dict[str, Told] = defaultdict(list)
        self._url = url
        self._life = asyncio.create_task(self._live())

    async def _live(self) -> None:
        async with Client(self._url, *self.rooms) as client:
            async for event in client:
                room = getattr(event, "room", "")
                if room:
                    self.told[room].append(event)

    @property
    def is_in(self) -> bool:
        """Whether all its rooms have answered."""
        return all(any(isinstance(one, Joined) for one in self.told[room]) for room in self.rooms)

    def reached(self, room: str) -> int:
        """The seq up to which it knows a room."""
        seqs = [one.seq for one in self.told[room] if isinstance(one, (*PLACES, Joined, Gap, Shed))]
        return max(seqs, default=0)

    async def leave(self) -> None:
        """Watch no longer. Raises what ended it before."""
        self._life.cancel()
        with suppress(asyncio.CancelledError):
            await self._life


class Page(Follower):
    """The JavaScript client in one room."""

    async def _live(self) -> None:
        command = ("node", str(SCRIPT), self._url, *self.rooms)
        node = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert node.stdout is not None
        try:
            async for line in node.stdout:
                self._take(msgspec.json.decode(line))
            raise AssertionError("the JavaScript client ended by itself")
        finally:
            with suppress(ProcessLookupError):
                node.kill()
            await node.wait()

    def _take(self, said: dict[str, Any]) -> None:
        [room] = self.rooms
        seq = said["seq"]
        match said["t"]:
            case "joined":
                event: News = Joined(room, said["epoch"], seq, 1, False, [])
            case "msg":
                event = Msg(room, seq, "", "", "", said["text"], 0, "scroll", 25, 0)
            case "delete":
                event = Delete(room, seq, 0, 0)
            case "shed":
                event = Shed(room, seq, said["count"])
            case _:
                event = Gap(room, "", seq, said["lost"])
        self.told[room].append(event)


def followers(url: str, rooms: Sequence[str]) -> list[Follower]:
    """One of each kind there can be."""
    node = shutil.which("node") and WS.is_dir()
    return [Follower(url, rooms), *(Page(url, [room]) for room in rooms if node)]


def wrong(book: Book, told: Told) -> list[str]:
    """What is not as it has to be with what a client was told of a room that merges nothing."""
    found: list[str] = []
    joins = [one for one in told if isinstance(one, Joined)]
    places = [one for one in told if isinstance(one, PLACES)]
    seqs = [one.seq for one in places]
    if seqs != sorted(set(seqs)):
        found.append("it was given places out of order, or twice")
    acked = {(ack.place.epoch, ack.place.seq): ack.number for ack in book.acks}
    epoch = joins[0].epoch or next((one.epoch for one in joins if one.epoch), "")
    for one in places:
        number = number_of(one.text) if isinstance(one, Msg) else NOTHING
        if number != NOTHING and acked.get((epoch, one.seq), number) != number:
            found.append(f"{number} is not what was acknowledged at {one.seq}")
    first = min([*seqs, joins[0].seq + 1])
    last = max([*seqs, *(one.seq for one in told if isinstance(one, Shed | Gap))], default=0)
    left_out = {*range(first, last + 1)} - {*seqs}
    shed = sum(one.count for one in told if isinstance(one, Shed))
    lost = sum(one.lost for one in told if isinstance(one, Gap))
    gone = {ack.place.seq for ack in book.acks
            if ack.place.epoch == epoch and any(book.takings_of(ack))}  # fmt: skip
    # What was taken back before it was told, one client hands on as a place, the other as nothing.
    # A shard that is behind may tell once more of what was left out before it came back to it.
    exact = len(joins) == 1
    if len(left_out - gone) > shed + lost or (exact and len(left_out) < shed + lost):
        found.append(f"{len(left_out)} are missing up to {last}: {shed} shed, {lost} lost")
    lines = [book.lines[acked[epoch, seq]] for seq in left_out if (epoch, seq) in acked]
    if any(line.above for line in lines) and not lost:
        found.append("what is more than chat was left out")
    return found
