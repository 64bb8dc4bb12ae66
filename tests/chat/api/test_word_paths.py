"""Lists of words in the document: the real API answers with what is documented."""

from typing import Any

import pytest

from chat.api.word_paths import STRUCTS, paths
from tests.chat.api.rig import Api, path_of
from tests.chat.api.test_openapi import DOCUMENT, SCHEMAS, assert_answers

ROOM = "/v1/rooms/{room}/words"


class TestDocument:
    def test_all_its_paths_stand_in_the_whole(self) -> None:
        assert set(paths({})) <= set(DOCUMENT["paths"])

    def test_every_body_is_described(self) -> None:
        assert {kind.__name__ for kind in STRUCTS} <= set(SCHEMAS)
        assert all(kind.__doc__ for kind in STRUCTS)


class TestAnswers:
    @pytest.mark.parametrize("body", [{"mask": ["x"]}, {"mask": [""]}, {}])
    def test_of_lists(self, api: Api, room: str, body: Any) -> None:
        for path, where in ((f"{path_of(room)}/words", ROOM), ("/v1/words", "/v1/words")):
            assert_answers(api.send("PUT", path, body), where, "put")
            assert_answers(api.get(path), where, "get")
        api.send("PUT", "/v1/words", {})

    def test_of_tries(self, api: Api, room: str) -> None:
        api.send("PUT", f"{path_of(room)}/words", {"mask": ["x"]})
        bodies: tuple[Any, ...] = ({"text": "x", "room": room}, {"text": "x"}, {})
        for body in bodies:
            answer = api.send("POST", "/v1/words/check", body)
            assert_answers(answer, "/v1/words/check", "post")
