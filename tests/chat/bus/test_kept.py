"""Rules out of the fields of their hash."""

from chat.bus.kept import Kept, kept


def test_the_version_is_no_field() -> None:
    assert kept({}) == Kept(0, {})
    assert kept({b"v": b"3", b"owners": b"x"}) == Kept(3, {"owners": b"x"})


def test_names_that_are_no_text_are_nobodys() -> None:
    found = kept({b"v": b"3", b"mute:\xff": b"x", "mute:é".encode(): b"y"})
    assert found == Kept(3, {"mute:é": b"y"})
