"""Ranks, and the role somebody has in a room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.policy.identity import Identity
from chat.policy.roles import RANKS, rank, role_in

ROLES = st.sampled_from([*RANKS, "fan"])


def test_ranks_rise_from_guests_to_backends() -> None:
    order = ["guest", "user", "vip", "moderator", "owner", "admin", "backend"]
    assert sorted(RANKS, key=rank) == order
    assert rank("fan") == rank("user")


@pytest.mark.parametrize(
    ("room", "role"),
    [("live:1", "moderator"), ("live:12", "vip"), ("live:", "vip"), ("liv", "user")],
)
def test_a_room_is_named_or_begins_like_it(room: str, role: str) -> None:
    who = Identity("u7", "u7", "user", rooms=(("live:*", "vip"), ("live:1", "moderator")))
    assert role_in(who, room) == role


def test_a_star_alone_covers_every_room() -> None:
    assert role_in(Identity("u7", "u7", "user", rooms=(("*", "vip"),)), "lobby") == "vip"


def test_an_owner_is_named_by_the_room() -> None:
    who = Identity("u7", "u7", "user")
    assert role_in(who, "lobby", {"u7"}) == "owner"
    assert role_in(who, "lobby", {"u8"}) == "user"


@given(role=ROLES, there=ROLES, owns=st.booleans())
def test_it_is_the_highest_of_all(role: str, there: str, owns: bool) -> None:
    who = Identity("u7", "u7", role, rooms=(("lobby", there),))
    found = role_in(who, "lobby", {"u7"} if owns else ())
    assert rank(found) == max(rank(role), rank(there), rank("owner") if owns else 0)
