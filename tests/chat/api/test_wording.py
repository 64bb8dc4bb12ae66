"""Lists of words by HTTP on a real Valkey: set, seen, tried out, and every bad entry told."""

import json
import random
from typing import Any

import pytest

from chat.api.wording import MAX_BYTES
from chat.policy import words as module
from chat.policy.words import MAX_WORD
from tests.chat.api.rig import Api, new_room, path_of

LISTS = {"refuse": ["bad"], "mask": ["ugly", "傻逼"], "shadow": ["spam"]}
EMPTY: dict[str, Any] = {"refuse": [], "mask": [], "shadow": []}


@pytest.fixture(params=["room", "everywhere"])
def path(request: pytest.FixtureRequest, api: Api, room: str) -> Any:
    """Of a room and of everywhere they are the same but for their place."""
    here = path_of(room) if request.param == "room" else "/v1"
    yield f"{here}/words"
    api.send("PUT", f"{here}/words", {})


def many(count: int, length: int) -> list[str]:
    chance = random.Random(1)
    return ["".join(chance.choices("abcdefghij", k=length)) for _ in range(count)]


class TestLists:
    def test_are_empty_until_they_are_set(self, api: Api, path: str) -> None:
        answer = api.get(path)
        assert (answer.status, {**answer.json, "room": 0}) == (200, {**EMPTY, "room": 0})

    def test_are_set_whole_and_seen(self, api: Api, path: str, room: str) -> None:
        several: tuple[dict[str, Any], ...] = (LISTS, {"mask": ["x"]}, {"mask": None, "shadow": []})
        for lists in several:
            answer = api.send("PUT", path, lists)
            now = {**EMPTY, **{name: words or [] for name, words in lists.items()}}
            now |= {"room": room} if "rooms" in path else {}
            assert (answer.status, answer.json) == (200, now)
            assert api.get(path).json == now

    def test_may_be_long(self, api: Api, path: str, room: str) -> None:
        lists = {"refuse": many(100_000, 9), "mask": ["傻逼"]}
        assert len(json.dumps(lists)) > 2**20  # what other bodies may be
        assert api.send("PUT", path, lists).status == 200
        assert api.get(path).json["refuse"] == lists["refuse"]
        here = {"room": room} if "rooms" in path else {}
        tried = api.send("POST", "/v1/words/check", {"text": lists["refuse"][99_999], **here})
        assert tried.json["outcome"] == "refuse"

    def test_what_was_set_stands_in_the_audit(self, api: Api, path: str, room: str) -> None:
        api.send("PUT", path, LISTS, **{"X-Danmaku-Actor": "eve"})
        entry = api.get("/v1/audit?limit=1000").json["entries"][-1]
        assert (entry["action"], entry["name"], entry.get("room")) == (
            *("words", "eve"),
            room if "rooms" in path else None,
        )

    def test_every_bad_entry_is_told_by_its_path(self, api: Api, path: str) -> None:
        api.send("PUT", path, LISTS)
        bad = {
            "refuse": ["ok", "", 7, "x" * (MAX_WORD + 1)],
            "mask": "word",
            "shadow": ["...", "a*b"],
            "hide": ["x"],
        }
        answer = api.send("PUT", path, bad)
        assert answer.status == 400
        assert sorted(answer.paths) == [
            *("hide", "mask", "refuse[1]", "refuse[2]", "refuse[3]", "shadow[0]", "shadow[1]")
        ]
        assert api.get(path).json["refuse"] == ["bad"]  # all or nothing

    @pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b'{"refuse":{}}', b"\xff"])
    def test_what_is_no_list_is_refused(self, api: Api, path: str, body: bytes) -> None:
        assert api.call("PUT", path, body).status == 400

    def test_more_than_there_may_be_are_refused(
        self, api: Api, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chat.api.wording.MAX_WORDS", 3)
        assert api.send("PUT", path, LISTS).status == 400
        assert module.MAX_WORDS >= 100_000

    def test_no_more_than_a_hundred_problems_are_listed(self, api: Api, path: str) -> None:
        answer = api.send("PUT", path, {"refuse": [""] * 1_000})
        assert len(answer.paths) == 100

    def test_a_body_has_a_bound_of_its_own(self, api: Api, path: str) -> None:
        assert api.call("PUT", path, b" " * (MAX_BYTES + 1)).status == 413
        assert api.call("PUT", path, b"{}" + b" " * (MAX_BYTES - 2)).status == 200

    def test_another_content_type_is_refused(self, api: Api, path: str) -> None:
        assert api.call("PUT", path, b"{}", "text/plain").status == 415


class TestTryingOut:
    def tried(self, api: Api, text: str, room: str | None = None) -> Any:
        body = {"text": text} | ({} if room is None else {"room": room})
        answer = api.send("POST", "/v1/words/check", body)
        assert answer.status == 200
        return answer.json

    def test_a_text_is_judged_as_the_gate_does(self, api: Api, room: str) -> None:
        api.send("PUT", f"{path_of(room)}/words", LISTS)
        for text, outcome, shown, words in (
            ("hello", "pass", "hello", []),
            ("so ugly", "mask", "so ****", ["ugly"]),
            ("buy spam", "shadow", "buy spam", ["spam"]),
            ("bad ugly spam", "refuse", "bad **** spam", ["bad", "ugly", "spam"]),
            ("傻 \u200b逼", "mask", "* *", ["傻逼"]),
        ):
            found = self.tried(api, text, room)
            assert (found["outcome"], found["text"]) == (outcome, shown)
            assert sorted(hit["word"] for hit in found["hits"]) == sorted(words)
            assert {hit["list"] for hit in found["hits"]} <= {"room"}
            assert self.tried(api, text)["outcome"] == "pass"

    def test_the_lists_as_they_are_now_are_asked(self, api: Api) -> None:
        room = new_room()
        for word in ("one", "two", "three"):
            api.send("PUT", f"{path_of(room)}/words", {"refuse": [word]})
            outcomes = [self.tried(api, text, room)["outcome"] for text in ("one", "two", "three")]
            assert outcomes == [
                "refuse" if text == word else "pass" for text in ("one", "two", "three")
            ]

    def test_of_everywhere_and_of_the_room(self, api: Api, room: str) -> None:
        api.send("PUT", "/v1/words", {"mask": ["everyone"]})
        api.send("PUT", f"{path_of(room)}/words", {"mask": ["here"]})
        found = self.tried(api, "everyone here", room)
        assert found["text"] == "******** ****"
        assert [(hit["word"], hit["list"]) for hit in found["hits"]] == [
            *(("everyone", "everywhere"), ("here", "room"))
        ]
        api.send("PUT", "/v1/words", {})

    @pytest.mark.parametrize(
        "body", [{}, {"text": 7}, {"text": "x", "room": "a room"}, {"text": "x" * 2_001}, []]
    )
    def test_what_is_no_try_is_refused(self, api: Api, body: Any) -> None:
        assert api.send("POST", "/v1/words/check", body).status == 400
