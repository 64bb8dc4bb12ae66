"""Who was away gets exactly what was missed, or is told that it is gone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.local import Node
from tests.e2e.viewers import Event, Viewer

HISTORY = 100


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that keeps the last 100 messages of a room and shows the last 20."""
    folder: Path = tmp_path_factory.mktemp("short")
    with Node(folder, rooms_history=HISTORY, rooms_history_on_join=20) as node:
        yield node


async def fill(node: Node, room: str, count: int, name: str = "line") -> None:
    messages = [{"text": f"{name} {i}"} for i in range(count)]
    path = f"/v1/rooms/{room}/messages"
    status, _ = await asyncio.to_thread(node.request, "POST", path, messages)
    assert status == 200


async def leave_at(node: Node, room: str, seen: int) -> Event:
    """Watch until `seen` messages came, disconnect; the position then."""
    viewer = await Viewer.open(node.ws, room)
    await fill(node, room, seen, "seen")
    await viewer.until(lambda _: len(viewer.seqs) == seen)
    await viewer.close()
    return {"epoch": viewer.epoch, "seq": seen}


async def rejoin(node: Node, room: str, since: Event, seq: int) -> Event:
    """Join with `since` on a shard that has come as far as `seq`.

    One that has not may as well send the rest live, which is a recovery, too.
    """
    viewer = await Viewer.open(node.ws, room)
    await viewer.until(lambda _: [viewer.of("joined")[0]["seq"], *viewer.seqs][-1] == seq)
    joined = await viewer.ask({"t": "join", "room": room, "since": since})
    await viewer.close()
    return joined


def missed(count: int) -> list[str]:
    return [f"missed {i}" for i in range(count)]


class TestResume:
    async def test_thirty_missed_are_thirty_recovered(self, short: Node) -> None:
        since = await leave_at(short, "thirty", 5)
        await fill(short, "thirty", 30, "missed")
        joined = await rejoin(short, "thirty", since, 35)
        assert joined["recovered"] is True
        assert [message["text"] for message in joined["history"]] == missed(30)
        assert [message["seq"] for message in joined["history"]] == list(range(6, 36))
        assert joined["seq"] == 35

    async def test_a_few_missed_are_recovered_from_the_shard_itself(self, short: Node) -> None:
        stays = await Viewer.open(short.ws, "few")
        since = await leave_at(short, "few", 5)
        await fill(short, "few", 3, "missed")
        joined = await rejoin(short, "few", since, 8)
        assert joined["recovered"] is True
        assert [message["text"] for message in joined["history"]] == missed(3)
        await stays.close()

    async def test_nothing_missed_is_recovered_with_nothing(self, short: Node) -> None:
        since = await leave_at(short, "none", 5)
        joined = await rejoin(short, "none", since, 5)
        assert (joined["recovered"], joined["history"]) == (True, [])

    async def test_more_missed_than_kept_gets_the_newest_and_is_told(self, short: Node) -> None:
        since = await leave_at(short, "long", 5)
        await fill(short, "long", HISTORY + 50, "missed")
        joined = await rejoin(short, "long", since, HISTORY + 55)
        assert joined["recovered"] is False
        assert [m["text"] for m in joined["history"]] == missed(HISTORY + 50)[-20:]

    async def test_exactly_as_much_missed_as_is_kept_is_recovered(self, short: Node) -> None:
        since = await leave_at(short, "exact", 5)
        await fill(short, "exact", HISTORY, "missed")
        joined = await rejoin(short, "exact", since, HISTORY + 5)
        assert joined["recovered"] is True
        assert [m["text"] for m in joined["history"]] == missed(HISTORY)

    async def test_a_position_of_another_epoch_is_not_recovered(self, short: Node) -> None:
        await leave_at(short, "other", 5)
        joined = await rejoin(short, "other", {"epoch": "nosuch", "seq": 3}, 5)
        assert joined["recovered"] is False
        assert len(joined["history"]) == 5

    async def test_live_messages_follow_a_resume_without_a_seam(self, short: Node) -> None:
        since = await leave_at(short, "seam", 5)
        viewer = await Viewer.open(short.ws)
        filling = asyncio.create_task(fill(short, "seam", 60, "missed"))
        joined = await viewer.ask({"t": "join", "room": "seam", "since": since})
        await filling
        await fill(short, "seam", 5, "after")

        def seqs() -> list[int]:
            return [message["seq"] for message in joined["history"]] + viewer.seqs

        await viewer.until(lambda _: seqs()[-1:] == [70])
        assert seqs() == list(range(6, 71))
        await viewer.close()
