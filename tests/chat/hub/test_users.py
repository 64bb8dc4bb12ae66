"""Who connections are: admitted, named, and found again by their uid."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.config.sections import Auth
from chat.hub.users import FD_BITS, Users
from chat.policy.identity import MAX_NAME, Refused
from chat.policy.text import clean_name
from chat.wire.batch import default_name
from pool.handle import Handle
from shard.connections import Connections
from tests.chat.hub.test_hub_admission import SECRET, token

SHARD = "k3j2h1g0"


class Rows:
    """Connections as Users sees them: generations by descriptor."""

    def __init__(self, **_: int) -> None:
        self.generations: dict[int, int] = {}

    def generation(self, fd: int) -> int:
        return self.generations.get(fd, 0)

    def handle(self, fd: int) -> Handle:
        return Handle(fd, self.generations.get(fd, 0))

    def has(self, handle: Handle) -> bool:
        return self.generations.get(handle.fd) == handle.generation


def bearer(uid: str) -> str:
    return token(uid).removeprefix("?token=")


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def users(rows: Rows) -> Users:
    return Users(cast(Connections, rows), Auth(secret=SECRET), SHARD)


class TestGuests:
    @given(fd=st.integers(0, (1 << FD_BITS) - 1), generation=st.integers(0, 2**32 - 1))
    def test_are_found_by_what_they_are_called(self, fd: int, generation: int) -> None:
        rows = Rows()
        users = Users(cast(Connections, rows), Auth(), SHARD)
        rows.generations[fd] = generation
        who = users.admit(rows.handle(fd), None)
        assert (users.of(fd), users.uid_of(users.mark(fd))) == (who, who.uid)
        assert who.name == default_name(who.uid)
        assert users.find(who.uid) == (fd,)
        rows.generations[fd] = (generation + 1) % 2**32
        assert users.find(who.uid) == ()

    def test_a_key_brings_one_back_beside_the_connection_it_was_made_for(
        self, rows: Rows, users: Users
    ) -> None:
        rows.generations |= {7: 1, 8: 1, 9: 1}
        first = users.admit(rows.handle(7), None)
        key = users.key(first)
        assert key is not None
        assert users.admit(rows.handle(8), None, key) == users.of(8) == first
        assert users.readmit(9, key) == first
        assert sorted(users.find(first.uid)) == [7, 8, 9]
        users.close(8)
        assert sorted(users.find(first.uid)) == [7, 9]
        del rows.generations[7]
        assert users.find(first.uid) == (9,)

    def test_only_those_who_came_back_are_kept(self, rows: Rows, users: Users) -> None:
        rows.generations |= {7: 1, 8: 1}
        key = users.key(users.admit(rows.handle(7), None))
        assert users._identities == {}
        users.admit(rows.handle(8), None, key)
        assert list(users._identities) == [8]
        users.close(8)
        assert (users._identities, users._by_uid) == ({}, {})

    @pytest.mark.parametrize("key", ["", "x", "k3j2h1g00000000000001.AAAAAAAAAAAAAAAAAAAAAA"])
    def test_a_key_that_is_not_ours_makes_a_new_one(
        self, rows: Rows, users: Users, key: str
    ) -> None:
        rows.generations[7] = 1
        assert users.admit(rows.handle(7), None, key) == users.admit(rows.handle(7), None)
        assert users.readmit(7, key) is None

    def test_users_have_no_key(self, rows: Rows, users: Users) -> None:
        rows.generations[7] = 1
        assert users.key(users.admit(rows.handle(7), bearer("u7"), "any")) is None

    def test_neighbours_do_not_look_alike(self, rows: Rows, users: Users) -> None:
        names = set()
        for fd in range(2_000):
            rows.generations[fd] = 0
            names.add(users.admit(rows.handle(fd), None).name)
        assert len(names) == 2_000

    def test_one_who_has_shown_a_token_is_no_guest_any_more(self, rows: Rows, users: Users) -> None:
        rows.generations[5] = 0
        uid = users.admit(Handle(5, 0), None).uid
        users.authenticate(5, bearer("u1"))
        assert users.find(uid) == ()
        assert (users.find("u1"), users.uid_of(users.mark(5))) == ((5,), "u1")

    def test_are_refused_where_they_are_not_wanted(self, rows: Rows) -> None:
        users = Users(cast(Connections, rows), Auth(secret=SECRET, guests="refuse"), SHARD)
        with pytest.raises(Refused):
            users.admit(Handle(5, 0), None)
        assert users.admit(Handle(5, 0), bearer("u1")).uid == "u1"


class TestNamesOfGuests:
    @pytest.fixture
    def uid(self, rows: Rows, users: Users) -> str:
        rows.generations |= {7: 1, 8: 1}
        return users.admit(rows.handle(7), None).uid

    def test_stand_before_what_they_are_without(self, rows: Rows, users: Users, uid: str) -> None:
        who = users.admit(rows.handle(7), None, None, " 阿花\u202e ")
        assert (who.uid, who.name) == (uid, f"阿花 (guest-{uid[-4:]})")
        assert users.of(7) == who
        assert users.find(uid) == (7,)

    def test_are_chosen_anew_and_given_up(self, users: Users, uid: str) -> None:
        assert users.rename(7, "a").name == f"a (guest-{uid[-4:]})"
        assert users.rename(7, "b").name == f"b (guest-{uid[-4:]})"
        assert users.rename(7, "").name == default_name(uid)
        assert users.of(7).uid == uid

    def test_come_back_only_when_they_are_said_again(
        self, rows: Rows, users: Users, uid: str
    ) -> None:
        key = users.key(users.rename(7, "a"))
        assert users.admit(rows.handle(8), None, key).name == default_name(uid)
        assert users.admit(rows.handle(8), None, key, "a") == users.of(7)

    @given(st.text(max_size=40))
    def test_show_nobody_as_somebody_else(self, name: str) -> None:
        rows = Rows()
        rows.generations[7] = 1
        who = Users(cast(Connections, rows), Auth(), SHARD).admit(rows.handle(7), None, None, name)
        mark = default_name(who.uid)
        assert who.name == mark or who.name.endswith(f" ({mark})")
        assert clean_name(who.name, MAX_NAME) == who.name

    @pytest.mark.parametrize("name", ["\u3164", " ", "\u200b"])
    def test_nobody_can_see_are_none(self, rows: Rows, users: Users, uid: str, name: str) -> None:
        assert users.admit(rows.handle(7), None, None, name).name == default_name(uid)
        with pytest.raises(Refused, match="be seen"):
            users.rename(7, name)

    def test_are_passed_over_where_they_are_not_wanted(self, rows: Rows, uid: str) -> None:
        users = Users(cast(Connections, rows), Auth(secret=SECRET, guest_names=False), SHARD)
        who = users.admit(rows.handle(7), None, None, "a")
        assert (who.name, users._identities) == (default_name(uid), {})
        assert users.admit(rows.handle(8), None, users.key(who), "a") == who
        with pytest.raises(Refused, match="do not choose"):
            users.rename(7, "a")

    def test_are_not_for_users(self, rows: Rows, users: Users, uid: str) -> None:
        who = users.admit(rows.handle(7), bearer("u1"), None, "a")
        assert (who.uid, who.name) == ("u1", "u1")
        with pytest.raises(Refused, match="its token"):
            users.rename(7, "a")


class TestUsers:
    def test_are_found_on_all_their_connections(self, users: Users) -> None:
        for fd, uid in ((5, "u1"), (6, "u2"), (7, "u1")):
            users.admit(Handle(fd, 0), bearer(uid))
        assert (users.find("u1"), users.find("u2"), users.find("u3")) == ((5, 7), (6,), ())
        users.close(5)
        assert users.find("u1") == (7,)
        users.close(7)
        assert users.find("u1") == ()
        assert not users._by_uid.get("u1")

    def test_a_token_shown_again_counts_once(self, users: Users) -> None:
        for _ in range(3):
            users.authenticate(5, bearer("u1"))
        assert users.find("u1") == (5,)

    def test_one_becomes_nobody_else(self, rows: Rows, users: Users) -> None:
        rows.generations |= {5: 1, 6: 1}
        key = users.key(users.admit(rows.handle(6), None))
        assert key is not None
        users.admit(rows.handle(5), bearer("u1"))
        with pytest.raises(Refused, match="another connection"):
            users.authenticate(5, bearer("u2"))
        with pytest.raises(Refused, match="another connection"):
            users.readmit(5, key)
        assert (users.of(5).uid, users.find("u1"), users.find("u2")) == ("u1", (5,), ())

    def test_a_bad_token_changes_nothing(self, users: Users) -> None:
        users.admit(Handle(5, 0), bearer("u1"))
        with pytest.raises(Refused):
            users.authenticate(5, "nonsense")
        assert users.of(5).uid == "u1"
        assert users.find("u1") == (5,)

    def test_connections_are_found_by_their_names(self, rows: Rows, users: Users) -> None:
        rows.generations |= {5: 1, 0x1F: 0x2A}
        for fd in (5, 0x1F):
            assert users.named(users.name(rows.handle(fd))) == rows.handle(fd)
        name = users.name(rows.handle(5))
        rows.generations[5] = 2
        assert (users.ours(name), users.named(name)) == (True, None)
        assert not users.ours(f"x{name}")

    @given(st.text(max_size=9), st.text(max_size=9))
    def test_names_of_strangers_are_nobodys(self, one: str, other: str) -> None:
        rows = Rows()
        users = Users(cast(Connections, rows), Auth(), SHARD)
        for name in (one, f"{SHARD}-{one}", f"{SHARD}-{one}-{other}"):
            assert users.named(name) is None

    def test_closing_a_guest_is_nothing(self, users: Users) -> None:
        users.close(5)
