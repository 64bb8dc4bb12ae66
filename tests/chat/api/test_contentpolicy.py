"""Policies: literal ones, and that no Host header gets anything else into one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.api.contentpolicy import ANY_SOCKET, framers, of_docs, of_page, sockets


def test_the_pages_allows_what_it_is_made_of() -> None:
    assert of_page(["wss://a.example"], []) == (
        "default-src 'none'; script-src 'self'; font-src 'self'; form-action 'self'; "
        "base-uri 'none'; style-src 'self'; img-src 'self' https:; "
        "connect-src 'self' wss://a.example; frame-ancestors 'none'"
    )


def test_nothing_inline_runs_anywhere() -> None:
    for policy in (of_page([], ["*"]), of_docs()):
        [scripts] = [part for part in policy.split("; ") if part.startswith("script-src")]
        assert scripts == "script-src 'self'"


@pytest.mark.parametrize(
    ("ancestors", "said"),
    [((), "'none'"), (("self", "https://a"), "'self' https://a"), (("*",), "*")],
)
def test_who_may_frame_is_said_as_browsers_read_it(ancestors: tuple[str, ...], said: str) -> None:
    assert framers(ancestors) == said


@pytest.mark.parametrize(
    ("host", "port", "found"),
    [
        ("a.example", None, ("ws://a.example", "wss://a.example")),
        ("a.example:81", None, ("ws://a.example:81", "wss://a.example:81")),
        ("127.0.0.1:8001", 8000, ("ws://127.0.0.1:8000", "wss://127.0.0.1:8000")),
        ("[::1]:8001", 8000, ANY_SOCKET),
        ("[::1]:8000", None, ()),
        ("", 8000, ANY_SOCKET),
    ],
)
def test_sockets_are_at_the_host_that_was_asked(
    host: str, port: int | None, found: tuple[str, ...]
) -> None:
    assert sockets(host, port) == found


@given(st.text() | st.from_regex(r"[a-z]+[ ;,'*\n\r:/]+[a-z]*"), st.sampled_from([None, 8000]))
def test_no_host_adds_a_word_of_its_own(host: str, port: int | None) -> None:
    policy = of_page(sockets(host, port), [])
    assert policy.count(";") == 8
    [connect] = [part for part in policy.split("; ") if part.startswith("connect-src")]
    assert len(connect.split(" ")) in (2, 4)
    assert not set("'*,\n\r") & set(connect.removeprefix("connect-src 'self'"))
