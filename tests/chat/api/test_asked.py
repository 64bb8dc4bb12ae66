"""What a request names, checked; without a server."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from chat.api import asked
from chat.api.bodies import BadBody
from chat.config.sections import Config
from chat.policy.identity import BACKEND, MAX_UID
from chat.policy.orders import Actor


@dataclass
class Key:
    """What a guard that knows keys leaves in the scope."""

    name: str = "mod-panel"


def request(
    query: str = "", header: bytes | None = None, path: Any = None, key: Any = None
) -> Request:
    headers = [] if header is None else [(b"x-danmaku-actor", header)]
    scope = {"type": "http", "query_string": query.encode(), "headers": headers}
    return Request(scope | {"path_params": path or {}} | ({"danmaku.key": key} if key else {}))


class TestUids:
    @pytest.mark.parametrize("uid", ["u", "u" * MAX_UID, "guest:x", "a/b", "阿花", "?#%"])
    def test_anybodys_is_as_it_was_given(self, uid: str) -> None:
        assert asked.uid(uid) == uid

    @given(st.text(max_size=80))
    def test_whatever_is_given_it_is_that_or_refused_by_its_field(self, text: str) -> None:
        try:
            assert asked.uid(text, "owners") == text
        except BadBody as bad:
            assert [problem.path for problem in bad.problems] == ["owners"]


class TestNumbers:
    def test_one_is_within_its_bounds_or_the_default(self) -> None:
        assert asked.number(request(), "limit", 100, 1, 500) == 100
        assert asked.number(request("limit=500"), "limit", 100, 1, 500) == 500
        for text in ("0", "501", "-1", "+1", "1.0", "", "٣", "9" * 5000):
            with pytest.raises(BadBody):
                asked.number(request(f"limit={text}"), "limit", 100, 1, 500)

    def test_a_seq_is_one_too(self) -> None:
        assert asked.seq(request(path={"seq": "7"})) == 7
        with pytest.raises(BadBody):
            asked.seq(request(path={"seq": "0"}))


class TestRooms:
    def test_a_name_is_checked_as_everywhere(self) -> None:
        assert asked.room(request(path={"room": "live:42"}), Config()) == "live:42"
        with pytest.raises(BadBody):
            asked.room(request(path={"room": "a b"}), Config())


class TestPlaces:
    def test_a_page_begins_at_the_beginning_or_behind_an_entry(self) -> None:
        assert asked.after(request()) == "0-0"
        assert asked.after(request("after=1764000000123-4")) == "1764000000123-4"
        assert asked.after(request("after=1764000000123")) == "1764000000123-0"
        assert asked.after(request("after=")) == "0-0"
        with pytest.raises(BadBody):
            asked.after(request("after=now"))


class TestActors:
    @pytest.mark.parametrize("key", [None, Key(""), Key("default"), Key("local")])
    def test_nobody_is_named(self, key: Key | None) -> None:
        assert asked.actor(request(key=key)) == Actor("api", "api", BACKEND, "api")

    def test_a_key_has_a_name_and_the_human_another(self) -> None:
        found = asked.actor(request(header="阿花".encode(), key=Key()))
        assert found == Actor("mod-panel", "阿花", BACKEND, "api")
        found = asked.actor(request(key=Key()))
        assert found == Actor("mod-panel", "mod-panel", BACKEND, "api")

    @given(st.binary(max_size=40))
    def test_whatever_the_header_is_a_name_is_clean_or_refused(self, header: bytes) -> None:
        try:
            actor = asked.actor(request(header=header))
        except BadBody as bad:
            assert [problem.path for problem in bad.problems] == [asked.ACTOR]
        else:
            assert actor.name == (header.decode() or "api")


class TestKindsOfBodies:
    def test_another_than_json_is_refused_by_what_is_taken(self) -> None:
        asked.want_json("application/json")
        with pytest.raises(HTTPException, match="application/json or application/x-ndjson"):
            asked.want_json("text/plain", asked.JSON, "application/x-ndjson")
