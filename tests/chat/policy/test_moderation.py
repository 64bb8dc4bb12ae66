"""What moderators do, on a real Valkey: who may, what it comes to, what is written down."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from chat.bus.audit import Audit
from chat.bus.entries import Disconnected, read_broadcast
from chat.bus.store import Store
from chat.config.sections import Limits
from chat.ops.engine import EmbeddedEngine
from chat.policy.identity import BACKEND
from chat.policy.moderation import KICKED_S, Moderation, Outcome
from chat.policy.orders import Actor, Everywhere, NotDone, Owners, Words
from chat.policy.rules import BAN, KICK, MUTE, RoomRules, Sanction, Settings
from chat.wire.commands import Moderate
from chat.wire.schema import ErrorCode, State
from tests.chat.rig import a_store, publish

ROOM = "live:42"
NOW_S = 1_800_000_000
NOW = 1000 * NOW_S
MODERATOR = Actor("m1", "Mo", "moderator", "socket")
API = Actor("api", "api", BACKEND, "api")


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix)
    yield store
    await store.close()


class Desk:
    """A moderation, who is known to be what, and what messages were taken back."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.roles: dict[str, str] = {}
        self.taken_back: list[object] = []
        self.moderation = Moderation(
            store,
            Limits(),
            Audit(store, 1_000),
            lambda: NOW_S,
            self.role_of,
            self,
        )
        self.act = self.moderation.act

    async def role_of(self, uid: str, room: str) -> str | None:
        return self.roles.get(uid)

    async def remove(self, room: str, seq: int) -> None:
        if seq > 100:
            raise LookupError("never was")
        self.taken_back.append(seq)

    async def clear(self, room: str, uid: str | None) -> None:
        self.taken_back.append(uid)

    async def rules(self, room: str | None = ROOM) -> RoomRules:
        [kept] = await self.moderation.rules.load([room])
        return RoomRules(kept)

    async def refused(self, order: Any, actor: Actor = MODERATOR) -> tuple[ErrorCode, str]:
        """With what code an order is refused, and which field it names."""
        with pytest.raises(NotDone) as found:
            await self.act(order, actor)
        return found.value.refusal.code, found.value.refusal.field

    async def audit(self) -> list[dict[str, Any]]:
        key = self.store.keys.audit
        found = await self.store.servers.ask(key, lambda pipe, on: pipe.xrange(key))
        return [json.loads(fields[b"m"]) for _, fields in found]


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


class TestMutesAndBans:
    @pytest.mark.parametrize(
        ("does", "lifts", "kind"), [("mute", "unmute", MUTE), ("ban", "unban", BAN)]
    )
    async def test_timed_for_good_and_lifted(
        self, desk: Desk, does: Any, lifts: Any, kind: str
    ) -> None:
        timed = Moderate(ROOM, does, uid="u1", seconds=60, reason="spam")
        assert await desk.act(timed, MODERATOR) == Outcome(NOW + 60_000)
        assert await desk.act(Moderate(ROOM, does, uid="u2"), MODERATOR) == Outcome(0)
        rules = await desk.rules()
        assert rules.get(kind, "u1", NOW) == Sanction(NOW + 60_000, "spam", "m1")
        assert rules.get(kind, "u2", NOW) == Sanction(0, "", "m1")
        for uid in ("u1", "u2", "u3"):
            assert await desk.act(Moderate(ROOM, lifts, uid=uid), MODERATOR) == Outcome()
        assert (await desk.rules()).sanctions == {}

    async def test_a_kick_is_a_minute_out(self, desk: Desk) -> None:
        outcome = await desk.act(Moderate(ROOM, "kick", uid="u1"), MODERATOR)
        assert outcome == Outcome(NOW + 1000 * KICKED_S)
        assert (await desk.rules()).get(KICK, "u1", NOW) is not None

    async def test_everywhere_and_by_address(self, desk: Desk) -> None:
        await desk.act(Everywhere("mute", "u1", seconds=5), API)
        await desk.act(Everywhere("ban", "u2", reason="bot"), API)
        await desk.act(Everywhere("ban", address="192.0.2.0/24"), API)
        await desk.act(Everywhere("ban", address="::ffff:198.51.100.7"), API)
        rules = await desk.rules(None)
        assert rules.get(MUTE, "u1", NOW) == Sanction(NOW + 5_000, "", "api")
        assert rules.get(BAN, "u2", NOW) == Sanction(0, "bot", "api")
        assert rules.address("192.0.2.200", NOW) is not None
        assert rules.address("198.51.100.7", NOW) is not None
        await desk.act(Everywhere("unban", address="192.0.2.0/24"), API)
        assert (await desk.rules(None)).address("192.0.2.200", NOW) is None

    async def test_a_kick_from_everywhere_is_told_to_all_shards(self, desk: Desk) -> None:
        await desk.act(Everywhere("kick", "u1", reason="bye"), API)
        key = desk.store.keys.broadcast
        [(_, fields)] = await desk.store.servers.ask(key, lambda pipe, on: pipe.xrange(key))
        found = read_broadcast(fields[b"m"])
        assert isinstance(found, Disconnected)
        assert (found.uid, found.reason) == ("u1", "bye")

    async def test_what_has_ended_makes_room(self, desk: Desk) -> None:
        desk.moderation.rules._most_of_room = 2
        await desk.act(Moderate(ROOM, "mute", uid="u1", seconds=1), MODERATOR)
        await desk.act(Moderate(ROOM, "mute", uid="u2"), MODERATOR)
        full = await desk.refused(Moderate(ROOM, "mute", uid="u3"))
        assert full == (ErrorCode.BAD_REQUEST, "")
        desk.moderation._wall = lambda: NOW_S + 2
        await desk.act(Moderate(ROOM, "mute", uid="u3"), MODERATOR)
        assert (await desk.rules()).sanctions[MUTE].keys() == {"u2", "u3"}


class TestWhoMay:
    @pytest.mark.parametrize("role", ["guest", "user", "vip", "something"])
    async def test_not_who_is_no_moderator(self, desk: Desk, role: str) -> None:
        actor = Actor("u9", "n", role, "socket")
        mute = Moderate(ROOM, "mute", uid="u1")
        assert await desk.refused(mute, actor) == (ErrorCode.FORBIDDEN, "")
        assert (await desk.rules()).version == 0
        assert await desk.audit() == []

    async def test_an_owner_by_the_rooms_rules(self, desk: Desk) -> None:
        await desk.act(Owners(ROOM, ("u9",)), API)
        desk.roles["u9"] = "user"
        owner = Actor("u9", "n", "user", "socket")
        await desk.act(Moderate(ROOM, "mute", uid="u1"), owner)
        assert (await desk.audit())[-1]["role"] == "owner"
        elsewhere = Moderate("another", "mute", uid="u1")
        assert await desk.refused(elsewhere, owner) == (ErrorCode.FORBIDDEN, "")
        on_owner = Moderate(ROOM, "mute", uid="u9")
        assert await desk.refused(on_owner) == (ErrorCode.FORBIDDEN, "")

    @pytest.mark.parametrize("action", ["mute", "unmute", "ban", "unban", "kick", "clear"])
    @pytest.mark.parametrize("role", ["moderator", "owner", "admin"])
    async def test_only_on_lower_ranks(self, desk: Desk, action: Any, role: str) -> None:
        desk.roles["u1"] = role
        order = Moderate(ROOM, action, uid="u1")
        assert await desk.refused(order) == (ErrorCode.FORBIDDEN, "")
        desk.roles["u1"] = "vip"
        await desk.act(order, MODERATOR)

    async def test_messages_of_equals_stay(self, desk: Desk) -> None:
        desk.roles["u"] = "moderator"
        await publish(desk.store, ROOM, "mine")
        delete = Moderate(ROOM, "delete", seq=1)
        assert await desk.refused(delete) == (ErrorCode.FORBIDDEN, "")
        assert desk.taken_back == []

    async def test_ones_own_messages_are_ones_own(self, desk: Desk) -> None:
        desk.roles["u"] = "moderator"
        await publish(desk.store, ROOM, "mine")
        author = structs.replace(MODERATOR, uid="u")
        await desk.act(Moderate(ROOM, "delete", seq=1), author)
        await desk.act(Moderate(ROOM, "clear", uid="u"), author)
        assert desk.taken_back == [1, "u"]

    async def test_owners_are_named_by_owners_and_everywhere_is_the_backends(
        self, desk: Desk
    ) -> None:
        for order in (Owners(ROOM, ("x",)), Words(ROOM, b"x"), Words(None, b"x")):
            assert await desk.refused(order) == (ErrorCode.FORBIDDEN, "")
        owner = Actor("u9", "n", "owner", "socket")
        await desk.act(Owners(ROOM, ("x",)), owner)
        await desk.act(Words(ROOM, b"x"), owner)
        for forbidden in (Words(None, b"x"), Everywhere("ban", "u1")):
            assert await desk.refused(forbidden, owner) == (ErrorCode.FORBIDDEN, "")
        assert (await desk.rules()).words == b"x"


class TestFields:
    @pytest.mark.parametrize(
        ("order", "field"),
        [
            (Moderate(ROOM, "mute"), "uid"),
            (Moderate(ROOM, "mute", uid="u1", seq=1), "seq"),
            (Moderate(ROOM, "mute", uid="u1", slow_s=1), "slow_s"),
            (Moderate(ROOM, "unban", uid="u1", seconds=1), "seconds"),
            (Moderate(ROOM, "kick", uid="u1", seconds=1), "seconds"),
            (Moderate(ROOM, "delete"), "seq"),
            (Moderate(ROOM, "delete", seq=101), "seq"),
            (Moderate(ROOM, "settings"), "settings"),
            (Moderate(ROOM, "settings", uid="u1", slow_s=1), "uid"),
            (Moderate(ROOM, "settings", announcement=" \n"), "announcement"),
            (Moderate(ROOM, "settings", pinned=7), "pinned"),
            (Moderate(ROOM, "ban", uid=""), "uid"),
            (Moderate(ROOM, "ban", uid="x" * 65), "uid"),
            (Moderate(ROOM, "ban", uid="a\nb"), "uid"),
        ],
    )
    async def test_a_wrong_one_is_named(self, desk: Desk, order: Moderate, field: str) -> None:
        assert await desk.refused(order) == (ErrorCode.BAD_REQUEST, field)
        assert (await desk.rules()).version == 0

    @pytest.mark.parametrize(
        ("order", "field"),
        [
            (Everywhere("ban"), "uid"),
            (Everywhere("ban", "u1", "10.0.0.1"), "uid"),
            (Everywhere("mute", address="10.0.0.1"), "address"),
            (Everywhere("ban", address="10.0.0.1/8"), "address"),
            (Everywhere("ban", address="somewhere"), "address"),
            (Everywhere("ban", "u1", reason="x" * 201), "reason"),
            (Everywhere("ban", "u1", seconds=0), "seconds"),
            (Owners(ROOM, ("a", "")), "owners"),
            (Owners(ROOM, tuple(map(str, range(101)))), "owners"),
        ],
    )
    async def test_likewise_of_a_backend(self, desk: Desk, order: Any, field: str) -> None:
        assert await desk.refused(order, API) == (ErrorCode.BAD_REQUEST, field)

    async def test_a_room_that_is_none(self, desk: Desk) -> None:
        order = Moderate("a b", "mute", uid="u1")
        assert await desk.refused(order) == (ErrorCode.BAD_ROOM, "room")


class TestSettings:
    async def test_change_one_by_one_and_the_room_is_told_all(self, desk: Desk) -> None:
        await publish(desk.store, ROOM, "hi")
        await desk.act(Moderate(ROOM, "settings", slow_s=5, silence="vip"), MODERATOR)
        found = await desk.act(
            Moderate(ROOM, "settings", slow_s=0, announcement=" Rules\napply "), MODERATOR
        )
        assert found.settings == Settings(silence="vip", announcement="Rules apply")
        assert (await desk.rules()).settings == found.settings
        places = (await desk.store.open_room(ROOM, newest=9)).places
        assert [(place.seq, place.state) for place in places if isinstance(place, State)] == [
            (2, Settings(slow_s=5, silence="vip").state()),
            (3, Settings(silence="vip", announcement="Rules apply").state()),
        ]

    async def test_what_viewers_are_not_told_takes_no_place(self, desk: Desk) -> None:
        await desk.act(Moderate(ROOM, "settings", messages_per_s=50, shown_per_s=9), MODERATOR)
        await desk.act(Moderate(ROOM, "settings", slow_s=0), MODERATOR)
        assert (await desk.store.open_room(ROOM)).seq == 0
        assert (await desk.rules()).settings == Settings(messages_per_s=50, shown_per_s=9)

    async def test_a_message_is_pinned_and_outlives_the_history(self, desk: Desk, raw: Any) -> None:
        await publish(desk.store, ROOM, "one", "two")
        found = await desk.act(Moderate(ROOM, "settings", pinned=2), MODERATOR)
        assert found.settings is not None
        assert found.settings.pinned is not None
        assert (found.settings.pinned["seq"], found.settings.pinned["text"]) == (2, "two")
        await raw.delete(desk.store.keys.history(ROOM), desk.store.keys.room(ROOM))
        await desk.act(Moderate(ROOM, "settings", slow_s=3), MODERATOR)
        assert (await desk.rules()).settings.pinned == found.settings.pinned
        await desk.act(Moderate(ROOM, "settings", pinned=None), MODERATOR)
        assert (await desk.rules()).settings == Settings(slow_s=3)

    @pytest.mark.parametrize(
        ("order", "stays"),
        [
            (Moderate(ROOM, "delete", seq=1), True),
            (Moderate(ROOM, "delete", seq=2), False),
            (Moderate(ROOM, "clear"), False),
            (Moderate(ROOM, "clear", uid="u"), False),
            (Moderate(ROOM, "clear", uid="other"), True),
        ],
    )
    async def test_what_is_taken_back_is_pinned_no_more(
        self, desk: Desk, order: Moderate, stays: bool
    ) -> None:
        await publish(desk.store, ROOM, "one", "two")
        await desk.act(Moderate(ROOM, "settings", pinned=2), MODERATOR)
        await desk.act(order, MODERATOR)
        assert len(desk.taken_back) == 1
        assert ((await desk.rules()).settings.pinned is not None) is stays

    async def test_what_is_taken_back_while_it_is_being_pinned_is_not_pinned(
        self, desk: Desk, raw: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await publish(desk.store, ROOM, "one", "two")
        change = desk.moderation.rules.change

        async def be_overtaken_and_change(*args: Any, **more: Any) -> Any:
            monkeypatch.undo()
            await desk.act(Moderate(ROOM, "delete", seq=2), MODERATOR)
            await raw.xdel(desk.store.keys.history(ROOM), "2-0")
            return await change(*args, **more)

        monkeypatch.setattr(desk.moderation.rules, "change", be_overtaken_and_change)
        order = Moderate(ROOM, "settings", pinned=2, slow_s=5)
        assert (await desk.act(order, MODERATOR)).settings == Settings(slow_s=5)
        assert (await desk.rules()).settings == Settings(slow_s=5)
        assert [entry["action"] for entry in await desk.audit()] == ["delete", "settings"]

    async def test_two_who_change_at_once_both_have_their_way(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetch, others = desk.moderation.rules.fetch, [Moderate(ROOM, "settings", silence="all")]

        async def fetch_and_be_overtaken(room: str | None, names: Any) -> Any:
            kept = await fetch(room, names)
            if others:
                await desk.act(others.pop(), MODERATOR)
            return kept

        monkeypatch.setattr(desk.moderation.rules, "fetch", fetch_and_be_overtaken)
        await desk.act(Moderate(ROOM, "settings", slow_s=5), MODERATOR)
        both = Settings(slow_s=5, silence="all")
        assert (await desk.rules()).settings == both
        places = (await desk.store.open_room(ROOM, newest=9)).places
        assert isinstance(places[-1], State)
        assert places[-1].state == both.state()


class TestAudit:
    async def test_says_what_was_done_to_whom_by_whom_and_how(self, desk: Desk) -> None:
        await desk.act(Moderate(ROOM, "mute", uid="u1", seconds=5, reason="spam"), MODERATOR)
        await desk.act(Everywhere("ban", address="10.0.0.1"), API)
        await desk.act(Moderate(ROOM, "settings", slow_s=5, announcement=None), MODERATOR)
        by = {"actor": "m1", "name": "Mo", "role": "moderator", "via": "socket"}
        api = {"actor": "api", "name": "api", "role": "backend", "via": "api"}
        where = {"ts": NOW, "room": ROOM}
        assert await desk.audit() == [
            {**where, "action": "mute", "uid": "u1", "seconds": 5, "reason": "spam"} | by,
            {"ts": NOW, "action": "ban", "address": "10.0.0.1"} | api,
            {**where, "action": "settings", "slow_s": 5, "announcement": None} | by,
        ]

    async def test_that_cannot_be_written_is_said_and_all_may_be_repeated(
        self, desk: Desk, raw: Any
    ) -> None:
        await raw.set(desk.store.keys.audit, "no stream")
        mute = Moderate(ROOM, "mute", uid="u1")
        assert (await desk.refused(mute))[0] is ErrorCode.UNAVAILABLE
        await raw.delete(desk.store.keys.audit)
        assert await desk.act(mute, MODERATOR) == Outcome(0)
        assert len(await desk.audit()) == 1

    async def test_while_redis_is_away_one_is_told_when_to_ask_again(self, prefix: str) -> None:
        store = a_store("unix:///nowhere/s.sock", prefix)
        with pytest.raises(NotDone) as found:
            await Desk(store).act(Moderate(ROOM, "mute", uid="u1"), MODERATOR)
        assert found.value.refusal.code is ErrorCode.UNAVAILABLE
        assert found.value.refusal.retry_after
        await store.close()
