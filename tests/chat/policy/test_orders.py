"""What moderators do, on a real Valkey."""

from chat.policy.orders import ALL, TAKES


def test_every_action_takes_fields_that_there_are() -> None:
    for needed, allowed in TAKES.values():
        assert set(needed) | set(allowed) <= set(ALL)
