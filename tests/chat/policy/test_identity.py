"""Guests: computed, not kept."""

from chat.policy.identity import guest
from chat.wire.batch import default_name
from chat.wire.schema import GUEST


class TestGuests:
    def test_the_same_connection_is_the_same_guest(self) -> None:
        assert guest("s1-0-a") == guest("s1-0-a")
        assert guest("s1-0-a") != guest("s1-1-a")

    def test_a_guest_has_a_name_a_person_can_say(self) -> None:
        found = guest("s1-0-a")
        assert found.uid == "guest:s1-0-a"
        assert found.name == default_name(found.uid)
        assert found.name.startswith("guest-")
        assert len(found.name) == len("guest-") + 4
        assert (found.role, found.expires) == (GUEST, 0)
