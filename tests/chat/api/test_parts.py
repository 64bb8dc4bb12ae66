"""Paths part by part: an encoded slash is a letter of a name."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from chat.api.parts import Parts, in_parts
from chat.policy.text import is_clean
from tests.chat.api.rig import Api

NAMES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1)


def scope(path: str, method: str = "GET") -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "path": "/elsewhere",
        "headers": [],
    }


def route(path: str = "/v1/rooms/{room}/mutes/{uid}") -> Parts:
    async def get(request: Request) -> Response:
        return Response("got")

    async def put(request: Request) -> Response:
        return Response("put")

    return Parts(path, GET=get, PUT=put)


class TestMatching:
    @given(NAMES, NAMES)
    def test_names_come_out_as_they_went_in(self, room: str, uid: str) -> None:
        path = f"/v1/rooms/{quote(room, safe='')}/mutes/{quote(uid, safe='')}"
        match, child = route().matches(scope(path))
        assert match is Match.FULL
        assert child["path_params"] == {"room": room, "uid": uid}

    @pytest.mark.parametrize(
        "path",
        ["/v1/rooms/a/mutes/b/c", "/v1/rooms/a%2Fmutes/b", "/v1/rooms/a/mutes", "/elsewhere", "*"],
    )
    def test_other_paths_are_others(self, path: str) -> None:
        assert route().matches(scope(path)) == (Match.NONE, {})

    @pytest.mark.parametrize("encoded", ["%00", "%FF", "%ED%A0%80"])
    def test_what_is_no_name_is_not_taken_for_one(self, encoded: str) -> None:
        match, child = route().matches(scope(f"/v1/rooms/r/mutes/{encoded}"))
        assert match is Match.FULL
        assert not is_clean(child["path_params"]["uid"])

    def test_another_method_is_told_of_all_that_there_are(self) -> None:
        assert route().matches(scope("/v1/rooms/a/mutes/b", "POST"))[0] is Match.PARTIAL
        assert route().methods == {"GET", "HEAD", "PUT"}

    def test_other_protocols_are_not_looked_at(self) -> None:
        assert route().matches({"type": "lifespan"}) == (Match.NONE, {})


class TestHandling:
    @pytest.mark.parametrize(
        ("method", "word"), [("GET", b"got"), ("HEAD", b"got"), ("PUT", b"put")]
    )
    def test_each_method_has_its_handler(self, method: str, word: bytes) -> None:
        async def call() -> Response:
            response: Response = await route().endpoint(Request(scope("/", method)))
            return response

        assert asyncio.run(call()).body == word


@given(st.binary(max_size=60))
def test_whatever_a_path_is_it_has_as_many_parts(path: bytes) -> None:
    assert in_parts(path).count("/") == path.count(b"/")


class TestQueries:
    @pytest.mark.parametrize("query", ["", "?limit=1", "?top=5"])
    def test_what_is_known_is_taken(self, api: Api, query: str) -> None:
        path = "/v1/rooms" if "top" in query or not query else "/v1/audit"
        assert api.get(path + query).status == 200

    @pytest.mark.parametrize(
        ("query", "wrong"),
        [("limt=5", ["limt"]), ("limit=5&limit=6", ["limit"]), ("x=1&y=2&after=0-0", ["x", "y"])],
    )
    def test_what_is_misspelt_or_there_twice_is_told_by_its_name(
        self, api: Api, query: str, wrong: list[str]
    ) -> None:
        answer = api.get(f"/v1/audit?{query}")
        assert (answer.status, answer.paths) == (400, wrong)

    def test_of_many_that_are_unknown_some_are_told(self, api: Api) -> None:
        query = "&".join(f"x{i}=1" for i in range(200))
        assert len(api.get(f"/v1/audit?{query}").paths) == 100
