"""Whom a room's limits hold for."""

import pytest

from chat.bus.store import RoomLimits
from chat.policy.limits import backend_limits, room_limits
from chat.policy.rules import NO_SETTINGS, Settings

ALL = Settings(slow_s=30, no_repeats_s=60, messages_per_s=40)
RATE = RoomLimits(messages_per_s=40)


@pytest.mark.parametrize(
    ("role", "limits"),
    [
        *[(role, RoomLimits(30, 60, 40)) for role in ("guest", "user", "one nobody knows")],
        ("vip", RATE),
        *[(role, None) for role in ("moderator", "owner", "admin", "backend")],
    ],
)
def test_ranks_are_exempt_step_by_step(role: str, limits: RoomLimits | None) -> None:
    assert room_limits(ALL, role) == limits


@pytest.mark.parametrize("role", ["guest", "vip", "admin"])
def test_without_limits_there_is_nothing_to_ask_for(role: str) -> None:
    assert room_limits(NO_SETTINGS, role) is None


def test_a_vip_in_slow_mode_alone_has_no_limit() -> None:
    assert room_limits(Settings(slow_s=30), "vip") is None
    assert room_limits(Settings(slow_s=30), "user") == RoomLimits(slow_s=30)


def test_a_room_without_a_rate_has_the_servers() -> None:
    assert room_limits(NO_SETTINGS, "user", 5, 7) == RoomLimits(messages_per_s=7)
    assert room_limits(Settings(messages_per_s=3), "vip", 5, 7) == RoomLimits(messages_per_s=3)
    assert room_limits(NO_SETTINGS, "moderator", 5, 7) is None


def test_how_much_it_matters_goes_with_it() -> None:
    assert room_limits(ALL, "user", 8) == RoomLimits(30, 60, 40, 8)
    assert room_limits(ALL, "vip", 0) == RoomLimits(messages_per_s=40, priority=0)


@pytest.mark.parametrize(("priority", "counts"), [(None, 6), (0, 0), (5, 5), (9, 9)])
def test_a_backend_is_bounded_only_where_it_says_how_much_it_matters(
    priority: int | None, counts: int
) -> None:
    assert backend_limits(priority, 7) == RoomLimits(0, 0, 7, counts, by_rules=True)
