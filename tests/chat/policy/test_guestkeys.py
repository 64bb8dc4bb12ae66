"""Keys of guests: made, read, shared through Redis, and no others accepted."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from hashlib import blake2s

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.bus.connect import StoreError
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from chat.policy.guestkeys import GuestKeys
from tests.chat.rig import a_store

NUMBER = "k3j2h1g0b5f1a2c3d4e5f"
SECRET = "a secret of more than thirty-two bytes"
OURS = GuestKeys(SECRET)


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


def key(keys: GuestKeys, number: str = NUMBER) -> str:
    found = keys.of(number)
    assert found is not None
    return found


class TestKeys:
    def test_one_leads_back_to_its_guest(self) -> None:
        assert OURS.number(key(OURS)) == NUMBER
        assert key(OURS) == key(GuestKeys(SECRET))
        assert len(key(OURS)) == len(NUMBER) + 1 + 32

    @given(st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=48))
    def test_it_is_the_numbers_mac(self, number: str) -> None:
        secret = hmac.digest(SECRET.encode(), b"guests of danmaku", "sha256")
        mac = blake2s(number.encode(), key=secret, digest_size=16).hexdigest()
        assert key(OURS, number) == f"{number}.{mac}"

    def test_one_made_with_another_secret_does_not(self) -> None:
        assert OURS.number(key(GuestKeys("another secret"))) is None

    def test_one_of_the_secret_before_does_until_that_is_forgotten(self) -> None:
        old = key(GuestKeys("the secret before"))
        changing = GuestKeys(SECRET, "the secret before")
        assert changing.number(old) == changing.number(key(OURS)) == NUMBER
        assert key(changing) == key(OURS)
        assert OURS.number(old) is None

    @given(at=st.integers(0, len(NUMBER) + 32), character=st.characters(codec="utf-8"))
    def test_nor_one_that_is_changed_anywhere(self, at: int, character: str) -> None:
        good = key(OURS)
        changed = good[:at] + character + good[at + 1 :]
        # The last of 22 characters carries two bits that are not looked at.
        if changed[:-1] != good[:-1]:
            assert OURS.number(changed) is None

    @given(st.text(max_size=80))
    def test_nor_anything_else(self, text: str) -> None:
        assert OURS.number(text) is None

    def test_without_a_secret_there_is_none(self) -> None:
        keys = GuestKeys()
        assert (keys.known, keys.of(NUMBER), keys.number(key(OURS))) == (False, None, None)


class TestChanging:
    OTHER = "another secret of more than thirty-two bytes"

    def test_a_new_secret_makes_keys_and_the_one_before_is_taken(self) -> None:
        keys = GuestKeys(SECRET)
        keys.set(self.OTHER, SECRET)
        assert key(keys) == key(GuestKeys(self.OTHER))
        assert keys.number(key(OURS)) == NUMBER
        keys.set(self.OTHER, "")
        assert keys.number(key(OURS)) is None

    async def test_without_one_there_are_keys_again_once_it_is_agreed_on(
        self, store: Store
    ) -> None:
        keys = GuestKeys(SECRET)
        keys.set("", "")
        assert not keys.known
        await keys.agree(store)
        shared = key(keys)
        keys.set(SECRET, "")
        assert key(keys) == key(OURS)
        keys.set("", "")
        assert key(keys) == shared

    async def test_one_that_comes_while_it_is_agreed_on_stays(self, store: Store) -> None:
        keys = GuestKeys()
        agreeing = asyncio.create_task(keys.agree(store))
        await asyncio.sleep(0)
        keys.set(SECRET, "")
        await agreeing
        assert key(keys) == key(OURS)


class TestAgreeing:
    async def test_all_shards_share_the_secret_that_is_kept(self, store: Store) -> None:
        many = [GuestKeys() for _ in range(5)]
        await asyncio.gather(*(keys.agree(store) for keys in many))
        assert len({key(keys) for keys in many}) == 1
        assert all(keys.number(key(many[0])) == NUMBER for keys in many)

    async def test_a_configured_one_is_not_shared(self, store: Store) -> None:
        keys = GuestKeys(SECRET)
        await keys.agree(store)
        assert key(keys) == key(OURS)
        assert await (await store.servers.find("")).client.get(store.keys.guests) is None

    async def test_a_redis_that_comes_back_empty_is_told_it_again(self, store: Store) -> None:
        old, new = GuestKeys(), GuestKeys()
        await old.agree(store)
        before = key(old)
        await (await store.servers.find("")).client.delete(store.keys.guests)
        await old.agree(store)
        await new.agree(store)
        assert key(old) == key(new) == before

    async def test_who_was_late_takes_over_what_was_agreed_on(self, store: Store) -> None:
        one, two = GuestKeys(), GuestKeys()
        await one.agree(store)
        await (await store.servers.find("")).client.delete(store.keys.guests)
        await two.agree(store)
        await one.agree(store)
        assert key(one) == key(two)

    async def test_while_redis_is_away_nothing_changes(self) -> None:
        store = a_store("unix:///nowhere", "x")
        keys = GuestKeys()
        with pytest.raises(StoreError):
            await keys.agree(store)
        assert not keys.known
        await store.close()
