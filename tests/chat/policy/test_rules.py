"""What a shard knows of rules: whatever order it comes in, it is what Redis had, or something was
missed and it says so."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from chat.bus.kept import Kept, Version
from chat.policy.rules import (
    ADDRESS,
    BAN,
    EARLY,
    KICK,
    MUTE,
    NO_SETTINGS,
    UNKNOWN,
    RoomRules,
    Rulebook,
    Sanction,
    Settings,
    Step,
    pack_owners,
    pack_sanction,
    pack_settings,
)

ROOM = "live:42"
NOW = 1_800_000_000_000
UIDS = st.sampled_from(["u1", "u2", "guest:x"])
NAMES = st.one_of(
    st.builds("{}:{}".format, st.sampled_from([MUTE, BAN, KICK]), UIDS),
    st.sampled_from(["settings", "owners", "words", "newer", "newer:u1"]),
)
SANCTIONS = st.builds(Sanction, st.sampled_from([0, NOW - 1, NOW, NOW + 1]), st.text(max_size=3))
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=6),
    SANCTIONS.map(pack_sanction),
    st.just(pack_settings(Settings(slow_s=5))),
    st.just(pack_owners(["u1"])),
)
CHANGES = st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=12)


def kept_after(changes: list[dict[str, bytes | None]]) -> Kept:
    """What Redis has after these changes, one by one."""
    fields: dict[str, bytes] = {}
    for change in changes:
        for name, value in change.items():
            if value is None:
                fields.pop(name, None)
            else:
                fields[name] = value
    return Kept(len(changes), fields, min(1, len(changes)))


def known(rules: RoomRules) -> object:
    return rules.version, rules.settings, rules.owners, rules.words, rules.sanctions


@given(CHANGES, st.data())
def test_loaded_at_any_moment_and_told_the_rest_is_what_redis_has(
    changes: list[dict[str, bytes | None]], data: st.DataObject
) -> None:
    book = Rulebook()
    loaded = data.draw(st.integers(0, len(changes)), "version loaded")
    early = data.draw(st.integers(0, loaded), "first told before that")
    until = data.draw(st.integers(loaded, len(changes)), "last told before that")
    for version in range(early + 1, until + 1):
        assert book.apply(ROOM, Version(1, version), changes[version - 1]) is Step.EARLY
    assert book.of(ROOM) is UNKNOWN
    assert book.load(ROOM, kept_after(changes[:loaded])) is Step.DONE
    for version in range(until + 1, len(changes) + 1):
        assert book.apply(ROOM, Version(1, version), changes[version - 1]) is Step.DONE
        assert book.apply(ROOM, Version(1, version), changes[version - 1]) is Step.KNOWN
    assert known(book.of(ROOM)) == known(RoomRules(kept_after(changes)))


@given(CHANGES, st.data())
def test_a_change_that_was_missed_is_noticed_at_the_next(
    changes: list[dict[str, bytes | None]], data: st.DataObject
) -> None:
    book = Rulebook()
    assert book.load(None, Kept()) is Step.DONE
    told = data.draw(st.lists(st.booleans(), min_size=len(changes), max_size=len(changes)))
    known_to = 0
    for version, (change, comes) in enumerate(zip(changes, told, strict=True), 1):
        if comes:
            step = book.apply(None, Version(1, version), change)
            assert step is (Step.DONE if version == known_to + 1 else Step.MISSED)
            known_to += step is Step.DONE
    assert known(book.everywhere) == known(RoomRules(kept_after(changes[:known_to])))


@given(st.lists(SANCTIONS), st.integers(NOW - 2, NOW + 2))
def test_what_is_timed_ends_by_itself(sanctions: list[Sanction], now_ms: int) -> None:
    fields = {f"mute:{i}": pack_sanction(one) for i, one in enumerate(sanctions)}
    rules = RoomRules(Kept(1, fields))
    for i, one in enumerate(sanctions):
        holds = one.until == 0 or now_ms < one.until
        assert rules.get(MUTE, str(i), now_ms) == (one if holds else None)
    held = dict(rules.all(MUTE, now_ms))
    assert held == {str(i): one for i, one in enumerate(sanctions) if one.holds(now_ms)}


def test_rules_that_were_made_anew_are_loaded_again() -> None:
    book = Rulebook()
    book.load(ROOM, Kept(7, {}, 5))
    for told in (Version(8, 8), Version(6, 8), Version(4, 6)):
        assert book.apply(ROOM, told, {"mute:u1": pack_sanction(Sanction(0))}) is Step.MISSED
    assert book.of(ROOM).place == (5, 7)


class TestRules:
    def test_that_nobody_loaded_forbid_nothing_and_say_so(self) -> None:
        rules = Rulebook().of(ROOM)
        assert (rules.known, rules.settings, rules.owners) == (False, NO_SETTINGS, frozenset())
        assert rules.get(MUTE, "u1", NOW) is None

    def test_bytes_that_are_nothing_of_ours_forbid_nothing(self) -> None:
        fields = {"mute:u1": b"?", "settings": b"\xc1", "owners": b"\x01", "ban:": b""}
        rules = RoomRules(Kept(1, fields))
        assert rules.get(MUTE, "u1", NOW) is None
        assert (rules.settings, rules.owners) == (NO_SETTINGS, frozenset())

    def test_that_are_forgotten_are_unknown(self) -> None:
        book = Rulebook()
        book.load(ROOM, Kept(1, {}))
        assert book.of(ROOM).known
        book.forget(ROOM)
        assert not book.of(ROOM).known

    def test_many_that_came_early_are_loaded_again(self) -> None:
        book = Rulebook()
        for version in range(1, EARLY + 2):
            book.apply(ROOM, Version(1, version), {f"mute:{version}": pack_sanction(Sanction(0))})
        assert book.load(ROOM, Kept()) is Step.MISSED

    def test_a_colon_in_a_uid_is_part_of_it(self) -> None:
        rules = RoomRules(Kept(1, {"ban:guest:x:y": pack_sanction(Sanction(0, "spam", "m"))}))
        assert rules.get(BAN, "guest:x:y", NOW) == Sanction(0, "spam", "m")

    @given(CHANGES, UIDS)
    def test_who_is_not_named_has_no_sanction(
        self, changes: list[dict[str, bytes | None]], uid: str
    ) -> None:
        rules = RoomRules(kept_after(changes))
        assert rules.names(uid) == any(name.endswith(f":{uid}") for name in rules.fields())
        assert rules.names(uid) or not any(rules.get(kind, uid, NOW) for kind in (MUTE, BAN, KICK))


class TestAddresses:
    def test_a_network_covers_its_addresses(self) -> None:
        names = ["10.1.0.0/16", "192.0.2.7", "2001:db8::/64", "2001:db8:1::1"]
        fields = {f"{ADDRESS}:{name}": pack_sanction(Sanction(0, name)) for name in names}
        rules = RoomRules(Kept(1, fields))
        for address, network in (
            ("10.1.255.9", "10.1.0.0/16"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::5", "2001:db8::/64"),
            ("2001:db8:1::1", "2001:db8:1::1"),
        ):
            found = rules.address(address, NOW)
            assert found is not None, address
            assert found.reason == network
        for address in ("10.2.0.1", "192.0.2.8", "2001:db8:0:1::5", "no address", ""):
            assert rules.address(address, NOW) is None

    def test_one_that_ended_does_not_hide_a_wider_one(self) -> None:
        ended, holds = pack_sanction(Sanction(NOW - 1)), pack_sanction(Sanction(NOW + 1, "wide"))
        fields = {f"{ADDRESS}:10.0.0.1": ended, f"{ADDRESS}:10.0.0.0/8": holds}
        assert RoomRules(Kept(1, fields)).address("10.0.0.1", NOW) == Sanction(NOW + 1, "wide")

    @given(
        st.lists(st.tuples(st.booleans(), st.sampled_from(["4", "6"]), st.integers(0, 32))),
        st.integers(0, 2**32 - 1),
    )
    def test_are_found_as_the_standard_library_would(
        self, changes: list[tuple[bool, str, int]], bits: int
    ) -> None:
        rules = RoomRules(Kept())
        banned: set[IPv4Network | IPv6Network] = set()
        for bans, version, length in changes:
            kind = IPv4Network if version == "4" else IPv6Network
            network = kind((bits if version == "4" else bits << 96, length), strict=False)
            name = str(network) if length < network.max_prefixlen else str(network[0])
            rules.put({f"{ADDRESS}:{name}": pack_sanction(Sanction(0)) if bans else None})
            (banned.add if bans else banned.discard)(network)
        for address in (IPv4Address(bits), IPv4Address(bits ^ 1), IPv6Address(bits << 96)):
            found = rules.address(str(address), NOW) is not None
            assert found == any(address in network for network in banned)


@given(st.dictionaries(UIDS, SANCTIONS), st.integers(1, 3))
def test_what_has_ended_is_forgotten_and_nothing_else(
    sanctions: dict[str, Sanction], times: int
) -> None:
    book = Rulebook()
    book.load(ROOM, Kept(1, {f"mute:{uid}": pack_sanction(one) for uid, one in sanctions.items()}))
    for _ in range(1 + times):
        book.sweep(NOW)
    holds = {uid for uid, one in sanctions.items() if one.holds(NOW)}
    assert book.of(ROOM).sanctions.get(MUTE, {}).keys() == holds
    assert set(book.of(ROOM).fields()) == {f"mute:{uid}" for uid in holds}


@given(st.one_of(st.none(), SANCTIONS), st.one_of(st.none(), SANCTIONS))
def test_of_two_mutes_the_later_end_counts(
    here: Sanction | None, all_over: Sanction | None
) -> None:
    book = Rulebook()
    for room, one in ((ROOM, here), (None, all_over)):
        book.load(room, Kept(1, {"mute:u1": pack_sanction(one)} if one else {}))
    held = [one.until for one in (here, all_over) if one is not None and one.holds(NOW)]
    found = book.muted_until(ROOM, "u1", NOW)
    assert found == (None if not held else 0 if 0 in held else max(held))


class TestSettings:
    def test_what_viewers_are_told_is_whole(self) -> None:
        assert NO_SETTINGS.state() == {
            "slow_s": 0,
            "silence": "none",
            "no_repeats_s": 0,
            "min_role": "guest",
            "pinned": None,
            "announcement": None,
        }

    def test_come_back_as_they_were_packed(self) -> None:
        settings = Settings(5, "vip", 10, "user", {"seq": 7, "text": "x"}, "hi", 100, 20)
        rules = RoomRules(Kept(1, {"settings": pack_settings(settings)}))
        assert rules.settings == settings
