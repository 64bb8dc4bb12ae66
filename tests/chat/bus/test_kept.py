"""Rules out of the fields of their hash."""

import pytest

from chat.bus.kept import Kept, Version, kept, version


def test_the_version_is_no_field() -> None:
    assert kept({}) == Kept(0, {})
    assert kept({b"v": b"3", b"base": b"2", b"owners": b"x"}) == Kept(3, {"owners": b"x"}, 2)


def test_names_that_are_no_text_are_nobodys() -> None:
    found = kept({b"v": b"3", b"mute:\xff": b"x", "mute:é".encode(): b"y"})
    assert found == Kept(3, {"mute:é": b"y"})


def test_a_version_is_told_with_its_beginning() -> None:
    assert version(b"5-7") == Version(5, 7)
    for junk in (b"", b"7", b"x-7", b"5-", b"5-7-9"):
        with pytest.raises(ValueError, match="invalid literal"):
            version(junk)
