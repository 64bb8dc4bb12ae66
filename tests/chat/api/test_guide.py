"""What is said of the API in sentences."""

from chat.api.guide import INTRODUCTION, OF_TAGS, SECTIONS, TAGS, WHOLE, without_links
from tests.chat.api.test_openapi import WHOLE as DOCUMENT


def test_every_section_stands_somewhere_once() -> None:
    assert set(SECTIONS) == {"", *TAGS.values(), *WHOLE}
    assert "Errors" in WHOLE
    assert all(f"## {title}\n" in INTRODUCTION for title in WHOLE)
    assert OF_TAGS["words"] == SECTIONS["Words"]
    assert DOCUMENT["info"]["description"] == INTRODUCTION


def test_links_become_their_words() -> None:
    given = {"a": ["see [wire.md](wire.md) and [below](#words), [x](auth.md#guests)", 1, None]}
    assert without_links(given) == {"a": ["see wire.md and below, x", 1, None]}


def test_what_is_no_link_stays() -> None:
    for text in ("`[3].color`", "{[x](y)}", "a [b] (c)"):
        assert without_links(text) == text
