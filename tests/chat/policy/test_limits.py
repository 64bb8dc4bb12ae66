"""Whom a room's limits hold for."""

import pytest

from chat.bus.store import RoomLimits
from chat.policy.limits import room_limits
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
