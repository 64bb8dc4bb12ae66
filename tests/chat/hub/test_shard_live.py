"""A shard that was told of a new configuration is as one that was started with it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from chat.config.live import LIVE, Live
from chat.config.sections import TYPES, Auth, Limits
from chat.hub.users import Users
from chat.ops.engine import EmbeddedEngine
from chat.policy.gate import text
from tests.chat.config.changed import changed
from tests.chat.config.keys import P256, public_pem
from tests.chat.graph import parts
from tests.chat.rig import Shard

NOT_OF_A_SHARD = ("api.", "webhooks.", "log.")
OF_THE_API = {"server.public_url", "server.frame_ancestors"}
KEYS = sorted(
    path for path in LIVE if not path.startswith(NOT_OF_A_SHARD) and path not in OF_THE_API
)


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What a shard has that asks everybody there is to ask."""
    monkeypatch.setitem(sys.modules, "operators", sys.modules[__name__])
    return {
        "rooms": {"hooks": "operators:Hooks", "presend_url": "http://127.0.0.1:1/check"},
        "bus": {"partitions": 4, "flush_interval_ms": 5},
    }


class Hooks:
    def on_join(self, who: object, room: object) -> None: ...


def made_of(shard: Shard) -> dict[str, object]:
    """All that is made of the configuration: what is the same in two shards but for that."""
    found = parts({"service": shard.service, "group": shard.group})
    # The secret that guests' keys had before, when there was none in the configuration.
    return {path: value for path, value in found.items() if not path.endswith("._shared")}


async def test_every_live_key_is_in_force(
    valkey: EmbeddedEngine, prefix: str, before: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    keys = tmp_path / "keys.pem"
    keys.write_bytes(public_pem(P256))
    async with (
        Shard(valkey.url, prefix, "told", **before) as told,
        Shard(valkey.url, prefix, "told", **before) as like_it,
    ):
        other = made_of(like_it)
        same = {path for path, value in made_of(told).items() if other.get(path) == value}
        new = changed(told.config, *KEYS, file=str(keys))
        live = Live(told.config, told.service.apply)
        live.owners.append(lambda: told.group.allow_origins(told.config.server.origins))
        assert live.take(new) == [path for path in TYPES if path in KEYS]
        sections = {name: asdict(getattr(new, name)) for name in new.__struct_fields__}
        async with Shard(valkey.url, prefix, "told", **sections) as started:
            wanted, found = made_of(started), made_of(told)
            differ = {path for path in same if found.get(path) != wanted.get(path)}
            assert not {path: (found.get(path), wanted.get(path)) for path in differ}


def test_what_is_compared_is_what_the_configuration_makes() -> None:
    """The walk goes through objects, containers, functions and hashes."""
    one, other = (Users(None, Auth(secret=secret), "s") for secret in ("a" * 32, "b" * 32))  # type: ignore[arg-type]
    assert parts(one) == parts(Users(None, Auth(secret="a" * 32), "s"))  # type: ignore[arg-type]
    paths = {path for path, value in parts(one).items() if parts(other)[path] != value}
    assert {"._keys._macs._keyed", "._auth.secret"} < paths
    assert parts(text(Limits(text_chars=7)))[".limits.text_chars"] == 7
