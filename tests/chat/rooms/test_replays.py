"""What was read for those who come back: shared for a while, few at a time."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from chat.bus.connect import StoreError
from chat.bus.store import RoomState, Store
from chat.ops.engine import EmbeddedEngine
from chat.rooms.answers import Answer
from chat.rooms.replays import KEPT, Replays
from chat.rooms.room import Room
from chat.wire.commands import Since
from chat.wire.schema import Msg
from tests.chat.rig import a_store, publish
from tests.chat.rooms.test_replay import a_room

ROOM = "r"


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, 4)
    await publish(store, ROOM, *map(str, range(1, 41)))
    yield store
    await store.close()


def here(seq: int = 40) -> Room:
    room = a_room("e00001", seq)
    room.name = ROOM
    return room


async def test_one_read_answers_whoever_is_not_further_back(store: Store) -> None:
    replays, room = Replays(store), here()
    line = room, "e00001"
    assert replays.answer(line, Since("e00001", 9), False) is None
    assert await replays.read(line, 8)
    for seq in range(9, 41):
        replays.begin()
        answer = replays.answer(line, Since("e00001", seq), False)
        assert isinstance(answer, Answer)
        assert answer.event.recovered
    assert replays.answer(line, Since("e00001", 7), False) is None


async def test_one_that_begins_behind_a_position_cannot_vouch_for_it(store: Store) -> None:
    replays, room = Replays(store), here()
    line = room, "e00001"
    state = await store.open_room(ROOM, after=7, of="e00001")
    since = Since("e00001", 8, state.places[0].ts)
    await replays.read(line, 8)
    assert replays.answer(line, since, False) is None
    await replays.read(line, 7)
    replays.begin()
    answer = replays.answer(line, since, True)
    assert isinstance(answer, Answer)
    assert answer.event.recovered


async def test_what_the_room_remembers_needs_no_read(store: Store) -> None:
    replays, room = Replays(store), here()
    assert isinstance(replays.answer((room, "e00001"), Since("e00001", 39), False), Answer)
    assert replays.answer((room, ""), None, False) is room


async def test_those_from_one_place_share_an_answer_within_a_turn(store: Store) -> None:
    replays, room = Replays(store), here()
    line, since = (room, "e00001"), Since("e00001", 9)
    await replays.read(line, 8)
    first = replays.answer(line, since, True)
    assert replays.answer(line, since, True) is first
    replays.begin()
    assert replays.answer(line, since, True) is not first


async def test_a_position_that_nothing_is_known_of_is_refused_after_one_read(store: Store) -> None:
    replays, room = Replays(store), here()
    line, since = (room, "e00001"), Since("e00001", 77)
    await replays.read(line, 76)
    assert replays.answer(line, since, False) is None  # another read might know it
    answer = replays.answer(line, since, True)
    assert isinstance(answer, Answer)
    assert not answer.event.recovered


async def test_what_no_longer_holds_is_read_again(store: Store) -> None:
    replays, room = Replays(store), here(30)
    line = room, "e00001"
    replay = await replays.read(line, 8)
    assert replay is not None
    room.redacted_at = 30
    assert replays.answer(line, Since("e00001", 9), True) is None


async def test_what_nobody_asked_for_in_a_second_is_forgotten(store: Store) -> None:
    replays, room = Replays(store), here()
    line = room, "e00001"
    await replays.read(line, 8)
    replays.answer(line, Since("e00001", 9), False)
    replays.tick()
    assert replays.get(line) is not None
    replays.tick()
    replays.tick()
    assert replays.get(line) is None


async def test_few_are_kept(store: Store) -> None:
    replays = Replays(store)
    lines = [(here(), f"e{i}") for i in range(KEPT + 1)]
    for line in lines:
        await replays.read(line, 8)
    assert [line for line in lines if replays.get(line) is None] == lines[:1]


async def test_redis_away_is_no_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*args: object, **options: object) -> RoomState:
        raise StoreError("away")

    monkeypatch.setattr(store, "open_room", away)
    replays = Replays(store)
    assert await replays.read((here(), "e00001"), 8) is None


async def test_one_that_has_something_not_to_be_shown_for_ever_is_kept_for_a_tick(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replays, line = Replays(store), (here(), "e00001")
    whole = store.open_room

    async def lapsing(*args: Any, **options: Any) -> RoomState:
        state = await whole(*args, **options)
        said = [place for place in state.places if isinstance(place, Msg)]
        state.places = [structs.replace(place, until=2**50) for place in said]
        return state

    monkeypatch.setattr(store, "open_room", lapsing)
    await replays.read(line, 8)
    assert replays.get(line) is not None
    replays.tick()
    assert replays.get(line) is None
