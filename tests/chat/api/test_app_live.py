"""An API that was told of a new configuration: it does as one that was started with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from chat.config.live import LIVE, Live
from chat.config.sections import SECTIONS, Config
from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import Api, new_room
from tests.chat.config.changed import OTHERS, changed
from tests.chat.config.keys import P256, public_pem
from tests.chat.graph import parts

BEARER = f"Bearer {OTHERS['api.key']}"


@pytest.fixture
def api(valkey: EmbeddedEngine) -> Iterator[Api]:
    api = Api(valkey.url)
    assert api.get("/").status == 200  # it has begun
    yield api
    api.close()


def take(api: Api, new: Config) -> None:
    live = Live(api.config)
    live.owners = api.owners
    live.take(new)


def with_(api: Api, path: str, value: object) -> Config:
    """Its configuration with a value of a key."""
    section, _, key = path.partition(".")
    values = {name: asdict(getattr(api.config, name)) for name in SECTIONS}
    values[section][key] = value
    return Config(**{name: SECTIONS[name](**values[name]) for name in SECTIONS})  # type: ignore[arg-type]


def test_every_live_key_is_in_force(api: Api, valkey: EmbeddedEngine, tmp_path: Path) -> None:
    keys = tmp_path / "keys.pem"
    keys.write_bytes(public_pem(P256))
    like_it = Api(valkey.url)
    try:
        like_it.get("/")
        other = parts(like_it.owners)
    finally:
        like_it.close()
    same = {path for path, value in parts(api.owners).items() if other.get(path) == value}
    new = changed(api.config, *LIVE, file=str(keys))
    take(api, new)
    sections: dict[str, Any] = {name: asdict(getattr(new, name)) for name in SECTIONS}
    started = Api(valkey.url, **sections)
    try:
        started.get("/")
        wanted, found = parts(started.owners), parts(api.owners)
    finally:
        started.close()
    differ = {path for path in same if found.get(path) != wanted.get(path)}
    assert not {path: (found.get(path), wanted.get(path)) for path in differ}


class TestKeys:
    def test_a_key_that_is_set_is_wanted_from_then_on(self, api: Api) -> None:
        assert api.get("/v1/rooms").status == 200
        take(api, with_(api, "api.key", OTHERS["api.key"]))
        assert api.get("/v1/rooms").status == 401
        assert api.get("/v1/rooms", Authorization=BEARER).status == 200
        take(api, with_(api, "api.key", ""))
        assert api.get("/v1/rooms").status == 200


class TestBodies:
    def test_a_longer_text_is_taken(self, api: Api) -> None:
        room, text = new_room(), "x" * 301
        assert api.post(room, {"text": text}).status == 400
        take(api, with_(api, "limits.text_chars", 301))
        assert api.post(room, {"text": text}).status == 200

    def test_a_longer_body_is_not(self, api: Api) -> None:
        room = new_room()
        body = {"text": "x", "data": "y" * 2000}
        assert api.post(room, body).status == 200
        take(api, with_(api, "api.body_bytes", 1024))
        assert api.post(room, body).status == 413


class TestPage:
    def test_it_is_told_the_new_rules_and_address(self, api: Api) -> None:
        take(api, changed(api.config, "limits.text_chars", "server.public_url"))
        answer = api.get("/")
        assert '"text_chars": 301' in answer.body.decode()
        assert "wss://chat.example/ws" in answer.body.decode()
        assert "wss://chat.example" in answer.headers["content-security-policy"]

    def test_so_are_those_who_frame_it_or_import_the_client(self, api: Api) -> None:
        take(api, changed(api.config, "server.frame_ancestors", "server.origins"))
        assert "frame-ancestors 'self'" in api.get("/").headers["content-security-policy"]
        shared = api.get("/client/danmaku.js", Origin="https://chat.example").headers
        assert shared["access-control-allow-origin"] == "https://chat.example"
        other = api.get("/client/danmaku.js", Origin="https://other.example").headers
        assert "access-control-allow-origin" not in other
