"""Guests: computed, not kept."""

from hypothesis import given
from hypothesis import strategies as st

from chat.policy.identity import GUEST_NAME, Identity, chosen_name, guest, renamed
from chat.policy.text import clean_name
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

    @given(st.text(max_size=20) | st.sampled_from([" (guest-0-aa)", "(", "guest-0-aa"]))
    def test_what_was_chosen_is_known_again_and_may_be_changed(self, name: str) -> None:
        found = guest("s1-0-aa", name)
        assert chosen_name(found) == clean_name(name, GUEST_NAME)
        assert renamed(found, "x") == guest("s1-0-aa", "x")

    def test_nobody_else_has_chosen_any(self) -> None:
        assert chosen_name(guest("s1-0-a")) == ""
        assert chosen_name(Identity("u7", "Flower (guest-u7)", "user")) == ""
