"""What goes on in the document: the real API answers with what is documented."""

import json
from urllib.parse import quote

import jsonschema_rs
import pytest

from chat.api.live_paths import STRUCTS, paths
from tests.chat.api.live import following
from tests.chat.api.rig import Api, path_of
from tests.chat.api.test_openapi import DOCUMENT, SCHEMAS, assert_answers, validator


class TestDocument:
    def test_all_its_paths_stand_in_the_whole(self) -> None:
        assert set(paths({})) <= set(DOCUMENT["paths"])

    def test_every_body_is_described(self) -> None:
        assert {kind.__name__ for kind in STRUCTS} <= set(SCHEMAS)
        assert all(kind.__doc__ for kind in STRUCTS)

    def test_a_stream_says_which_events_there_are(self) -> None:
        for path, event in (("/v1/live", "hello"), ("/v1/rooms/{room}/live", "lines")):
            told = DOCUMENT["paths"][path]["get"]
            assert f"`{event}`" in told["description"]
            [(kind, content)] = told["responses"]["200"]["content"].items()
            assert kind == "text/event-stream"
            events = [one["properties"] for one in content["schema"]["oneOf"]]
            assert events[0]["event"] == {"const": event}
            first = content["examples"]["example"]["value"]
            name = events[0]["data"]["contentSchema"]["$ref"].rpartition("/")[2]
            validator(name).validate(json.loads(first["data"]))

    @pytest.mark.parametrize(
        ("text", "fits"),
        [("u7", True), (" u7 ", True), ("x" * 64, True), ("x" * 65, False), ("", False),
         *((space, False) for space in (" ", "\t", "\x1c", "\x85", "\u3000", "\u2028"))],
    )  # fmt: skip
    def test_what_may_be_looked_for_is_what_is_taken(self, api: Api, text: str, fits: bool) -> None:
        [schema] = [
            one["schema"]
            for one in DOCUMENT["paths"]["/v1/users"]["get"]["parameters"]
            if one["name"] == "q"
        ]
        assert jsonschema_rs.Draft202012Validator(schema).is_valid(text) is fits
        assert (api.get(f"/v1/users?q={quote(text)}").status == 200) is fits


class TestAnswers:
    def test_of_what_is_asked_for(self, api: Api) -> None:
        for path in ("/v1/key", "/v1/nodes"):
            assert_answers(api.get(path), path, "get")
        assert_answers(api.get("/v1/users?q=u&limit=5"), "/v1/users", "get")
        assert_answers(api.get("/v1/audit?before=end"), "/v1/audit", "get")
        for query in ("", "?q=", "?q=u&limit=0", f"?q={'x' * 65}"):
            assert_answers(api.get(f"/v1/users{query}"), "/v1/users", "get")

    def test_of_every_event_the_fields_are_those(self, api: Api, room: str) -> None:
        kinds = {"hello": "HelloOut", "nodes": "NodesOut", "rooms": "RoomsNowOut"}
        kinds |= {"audit": "AuditedOut"}
        with following(api) as stream:
            while kinds:
                event = stream.next()
                assert event is not None
                if event[0] in kinds:
                    assert set(event[1]) == set(SCHEMAS[kinds.pop(event[0])]["properties"])
        with following(api, f"{path_of(room)}/live") as stream:
            assert set(stream.until("lines")) == set(SCHEMAS["LinesOut"]["properties"])
            assert set(stream.until("room")) == set(SCHEMAS["RoomDetailOut"]["properties"])
