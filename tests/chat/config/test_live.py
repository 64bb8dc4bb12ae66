"""Which keys change while a node runs: the marks, and what taking a configuration does."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.config.live import LIVE, SHOWN_CHARS, Live, differing, printable, value
from chat.config.sections import SECRETS, TYPES, Config
from tests.chat.config.changed import SECRET, changed

ROOT = Path(__file__).parents[3]
KEYS = [path for path in TYPES if path != "auth.public_keys"]


def marked() -> set[str]:
    """The keys whose reason in the file says that they are live."""
    found, section, before = set(), "", ""
    for line in (ROOT / "config.toml").read_text().splitlines():
        if head := re.match(r"\[(\w+)\]", line):
            section = head[1]
        if (key := re.match(r"(\w+) = ", line)) and before.endswith("Live."):
            found.add(f"{section}.{key[1]}")
        before = line
    return found


def test_the_file_says_of_each_key_what_is_so() -> None:
    assert marked() == LIVE
    assert TYPES.keys() > LIVE


class TestTaking:
    @given(st.sets(st.sampled_from(KEYS)))
    def test_live_keys_are_as_they_are_to_be_and_all_others_as_they_were(
        self, paths: set[str]
    ) -> None:
        before, now = Config(), Config()
        live, new = Live(now), changed(before, *paths)
        wanted = differing(before, new)
        assert live.take(new) == [path for path in wanted if path in LIVE]
        assert live.config is now
        for path in TYPES:
            assert value(now, path) == value(new if path in LIVE else before, path)

    def test_who_has_a_section_has_the_new_values(self) -> None:
        config = Config()
        limits = config.limits
        Live(config).take(changed(config, "limits.text_chars"))
        assert limits.text_chars == Config().limits.text_chars + 1

    def test_owners_are_told_once_and_only_of_a_change(self) -> None:
        told: list[int] = []
        live = Live(Config())
        live.owners.append(lambda: told.append(live.config.limits.text_chars))
        live.take(changed(Config(), "server.port"))
        assert not told
        live.take(changed(Config(), "limits.text_chars", "limits.room_chars", "auth.guests"))
        assert told == [301]

    def test_one_that_fails_is_named_when_all_others_were_told(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        told: list[str] = []

        def failing() -> None:
            raise ValueError("an owner's trouble")

        live = Live(Config(), failing, lambda: told.append("the next"))
        with pytest.raises(RuntimeError, match="1 of its parts failed"):
            live.take(changed(Config(), "auth.guests"))
        assert told == ["the next"]
        assert "an owner's trouble" in caplog.text


class TestPrinting:
    @pytest.mark.parametrize("path", KEYS)
    def test_no_secret_is_shown(self, path: str) -> None:
        shown = printable(changed(Config(), path), path)
        assert SECRET not in shown
        assert SECRET[::-1] not in shown
        assert "key-of-the" not in shown
        if path in SECRETS - {"bus.url", "rooms.presend_url", "webhooks.url"}:
            assert shown == "***"

    def test_others_are_as_they_stand_in_the_file(self) -> None:
        assert printable(Config(), "limits.text_chars") == "300"
        assert printable(Config(), "server.origins") == "['*']"
        assert printable(Config(), "auth.guests") == "'type'"
        assert printable(Config(), "auth.secret") == "none"

    def test_a_long_one_is_cut(self) -> None:
        config = changed(Config(), "server.origins")
        many = tuple(f"https://site-{number}.example" for number in range(10_000))
        msgspec.structs.force_setattr(config.server, "origins", many)
        shown = printable(config, "server.origins")
        assert shown.startswith("['https://site-0.example', ")
        assert shown.endswith("…")
        assert len(shown) == SHOWN_CHARS
