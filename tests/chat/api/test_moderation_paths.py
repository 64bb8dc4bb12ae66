"""Moderation in the document: the real API answers with what is documented."""

from typing import Any

import pytest

from chat.api.moderation_paths import STRUCTS, paths
from tests.chat.api.rig import Api, messages_of, path_of
from tests.chat.api.test_observing import report, said
from tests.chat.api.test_openapi import DOCUMENT, SCHEMAS, assert_answers, content_types

ROOM = "/v1/rooms/{room}"
ADDRESS = "/v1/bans/addresses/{address}"


class TestDocument:
    def test_all_its_paths_are_tagged_and_stand_in_the_whole(self) -> None:
        for path, item in paths({}).items():
            for method, operation in item.items():
                if method != "parameters":
                    assert operation["tags"] == ["moderation"]
                    assert DOCUMENT["paths"][path][method]["summary"] == operation["summary"]

    def test_no_two_operations_have_the_same_summary(self) -> None:
        found = [
            operation["summary"]
            for item in DOCUMENT["paths"].values()
            for method, operation in item.items()
            if method != "parameters"
        ]
        assert len(set(found)) == len(found)

    def test_every_body_is_described(self) -> None:
        assert {kind.__name__ for kind in STRUCTS} <= set(SCHEMAS)
        assert all(kind.__doc__ for kind in STRUCTS)

    @pytest.mark.parametrize("path", [f"{ROOM}/mutes/{{uid}}", "/v1/bans/{uid}", ADDRESS])
    def test_what_may_go_without_a_body_says_so(self, path: str) -> None:
        assert content_types(path, "put") == {"application/json"}
        assert DOCUMENT["paths"][path]["put"]["requestBody"]["required"] is False


class TestAnswers:
    @pytest.mark.parametrize("kind", ["mutes", "bans"])
    def test_mutes_and_bans(self, api: Api, room: str, kind: str) -> None:
        for place, path in ((path_of(room), ROOM), ("/v1", "/v1")):
            for body in (None, {"seconds": 60, "reason": "x"}, {"seconds": 0}):
                answer = api.send("PUT", f"{place}/{kind}/u1", body)
                assert_answers(answer, f"{path}/{kind}/{{uid}}", "put")
            for query in ("", "?limit=1", "?limit=0"):
                assert_answers(api.get(f"{place}/{kind}{query}"), f"{path}/{kind}", "get")
            answer = api.send("DELETE", f"{place}/{kind}/u1")
            assert_answers(answer, f"{path}/{kind}/{{uid}}", "delete")

    def test_addresses(self, api: Api) -> None:
        for name in ("192.0.2.1", "x"):
            path = f"/v1/bans/addresses/{name}"
            assert_answers(api.send("PUT", path, {"seconds": 60}), ADDRESS, "put")
            assert_answers(api.get("/v1/bans/addresses"), "/v1/bans/addresses", "get")
            assert_answers(api.send("DELETE", path), ADDRESS, "delete")

    def test_rooms(self, api: Api, room: str) -> None:
        here = path_of(room)
        api.post(room, {"text": "x"})
        kicks: tuple[Any, ...] = ({"uid": "u1"}, {})
        for kick in kicks:
            assert_answers(api.send("POST", f"{here}/kicks", kick), f"{ROOM}/kicks", "post")
        changes: tuple[Any, ...] = (
            {"pinned": 1, "owners": ["u1"], "announcement": "x"},
            {"pinned": 9},
            [],
        )
        for change in changes:
            answer = api.send("PATCH", f"{here}/settings", change)
            assert_answers(answer, f"{ROOM}/settings", "patch")
        assert_answers(api.get(f"{here}/settings"), f"{ROOM}/settings", "get")
        for seq in ("1", "x"):
            answer = api.send("DELETE", f"{messages_of(room)}/{seq}")
            assert_answers(answer, f"{ROOM}/messages/{{seq}}", "delete")
        for query in ("", "?uid=u1", "?uid="):
            answer = api.send("DELETE", messages_of(room) + query)
            assert_answers(answer, f"{ROOM}/messages", "delete")

    def test_observing(self, api: Api, room: str) -> None:
        for query in ("", "?addresses=true", "?addresses=1"):
            assert_answers(api.get("/v1/users/u1" + query), "/v1/users/{uid}", "get")
        path = "/v1/users/{uid}/connections"
        assert_answers(api.send("DELETE", "/v1/users/u1/connections"), path, "delete")
        report(api, said(room), reason="x")
        for one in ("/v1/audit", "/v1/reports"):
            for query in ("", "?limit=1", "?after=x"):
                assert_answers(api.get(one + query), one, "get")
        for report_id in ("1-1", "x"):
            answer = api.send("DELETE", f"/v1/reports/{report_id}")
            assert_answers(answer, "/v1/reports/{id}", "delete")

    def test_another_content_type_or_size(self, api: Api, room: str) -> None:
        path = f"{path_of(room)}/mutes/u1"
        for body, kind in ((b"{}", "text/plain"), (b" " * 5000, "application/json")):
            assert_answers(api.call("PUT", path, body, kind), f"{ROOM}/mutes/{{uid}}", "put")
