"""Redis does not answer: who wants in is told, who is in stays in, and afterwards all goes on."""

import os
import signal
from collections.abc import AsyncIterator

import pytest

from chat.ops.engine import EmbeddedEngine
from chat.rooms import rooms as rooms_module
from tests.chat.desk import ROOM, Desk
from tests.chat.rig import publish, until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms_module, "RETRY_S", 0.01)


@pytest.fixture
async def desk(own_valkey: EmbeddedEngine) -> AsyncIterator[Desk]:
    async with Desk(own_valkey.url, "x", timeout_s=0.3) as desk:
        await desk.raw.ping()
        yield desk


async def test_a_room_nobody_waits_for_any_more_is_given_up(
    desk: Desk, own_valkey: EmbeddedEngine
) -> None:
    assert own_valkey.pid is not None
    os.kill(own_valkey.pid, signal.SIGSTOP)
    desk.wait(desk.rooms.enter(ROOM))
    await until(lambda: not desk.rooms.by_name)
    assert desk.sent_away == [ROOM]
    assert desk.reader.streams == 0
    os.kill(own_valkey.pid, signal.SIGCONT)
    await until(own_valkey.ping)
    room = await desk.open()
    await publish(desk.store, ROOM, "a")
    await desk.until_heard("a")
    assert desk.rooms.by_name == {ROOM: room}


async def test_a_room_somebody_waits_for_is_opened_when_it_can_be(
    desk: Desk, own_valkey: EmbeddedEngine
) -> None:
    assert own_valkey.pid is not None
    os.kill(own_valkey.pid, signal.SIGSTOP)
    room = desk.rooms.enter(ROOM)
    desk.wait(room, patient=True)
    await until(lambda: len(desk.sent_away) > 3)
    assert desk.rooms.by_name == {ROOM: room}
    assert desk.readied == []
    os.kill(own_valkey.pid, signal.SIGCONT)
    await until(lambda: desk.readied == [ROOM])
    assert room.live


async def test_a_fill_is_tried_until_it_succeeds(desk: Desk, own_valkey: EmbeddedEngine) -> None:
    room = await desk.open()
    await desk.stop_reading()
    await publish(desk.store, ROOM, "a1", "a2")
    assert own_valkey.pid is not None
    await desk.feed("a1")
    os.kill(own_valkey.pid, signal.SIGSTOP)
    desk.wait(room)
    await until(lambda: desk.sent_away or room.live)
    os.kill(own_valkey.pid, signal.SIGCONT)
    await desk.until_heard("a1", "a2")
    assert room.live


async def test_after_a_restart_everything_goes_on_in_new_epochs(
    desk: Desk, own_valkey: EmbeddedEngine
) -> None:
    names = [f"r{i}" for i in range(20)]
    epochs = {}
    for name in names:
        room = await desk.open(name)
        await publish(desk.store, name, f"a of {name}")
        await desk.until_heard(f"a of {name}", room=name)
        epochs[name] = room.position.epoch
    own_valkey.restart()
    await until(
        lambda: all(desk.rooms.by_name[name].position.epoch != epochs[name] for name in names)
    )
    for name in names:
        await desk.until_live(desk.rooms.by_name[name])
        await publish(desk.store, name, f"b of {name}")
    for name in names:
        await until(lambda: len(desk.heard(name)) == 3)  # noqa: B023 - not kept
        first, gap, second = desk.heard(name)
        assert (first, second) == (f"a of {name}", f"b of {name}")
        # Until somebody speaks again it is a room like one that nobody has spoken in.
        assert (gap.seq, gap.lost) == (0, 0)
        assert gap.epoch in ("", desk.rooms.by_name[name].position.epoch)
