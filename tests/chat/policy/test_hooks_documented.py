"""docs/hooks.md: its examples do what it says, and what it says is counted is counted."""

import asyncio
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn

from chat.api.families import SHARDS
from chat.api.family import PREFIX, Family
from chat.config.sections import Limits, Rooms
from chat.counters import FIELDS, ChatCount
from chat.policy.gate import PASS, Attempt, Refusal
from chat.policy.hooks import Hooks, load
from chat.policy.identity import Identity
from chat.policy.presend import Presend
from pool.scoreboard import Scoreboard
from shard.listen import listen
from tests.chat.rig import until

DOCUMENT = (Path(__file__).parents[3] / "docs" / "hooks.md").read_text()
SOURCES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", DOCUMENT, re.DOTALL))
SECRET = "a secret of more than thirty-two bytes"
USER = Identity("u1", "u1", "user")


def attempt(text: str, role: str = "user", mode: str = "scroll") -> Attempt:
    return Attempt("a", text, USER, 5, role, mode=mode)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the examples are written to."""
    assert SOURCES.keys() == {"myhooks", "service"}
    for name, source in SOURCES.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.setenv("PRESEND_SECRET", SECRET)
    yield tmp_path
    sys.modules.pop("myhooks", None)


class TestHooks:
    @pytest.fixture
    def hooks(self, folder: Path) -> Hooks:
        self.counts = Scoreboard(FIELDS, 1).row(0)
        made = load("myhooks:Hooks")()
        return Hooks(made, Rooms(hooks_budget_ms=5000), Limits(), self.counts, lambda: 0.0)

    async def test_who_may_connect_and_join(self, hooks: Hooks) -> None:
        assert await hooks.connect(USER) is PASS
        troll = await hooks.connect(Identity("troll", "troll", "user"))
        assert isinstance(troll, Refusal)
        assert troll.message == "you are not welcome here"
        assert await hooks.join(USER, "a") is PASS
        assert await hooks.join(Identity("u7", "u7", "user"), "private:1") is PASS
        closed = await hooks.join(USER, "private:1")
        assert isinstance(closed, Refusal)
        assert (closed.message, closed.retry_after) == ("friends only", 60)
        assert self.counts[ChatCount.HOOKS_FAILED] == 0

    @pytest.mark.parametrize(
        ("said", "published"),
        [
            (attempt("hi"), attempt("hi")),
            (attempt("hi", "guest", "top"), attempt("hi", "guest")),
            (attempt("HI"), attempt("hi")),
            (attempt("see https://x.example"), None),
        ],
    )
    async def test_what_may_be_said(
        self, hooks: Hooks, said: Attempt, published: Attempt | None
    ) -> None:
        [verdict] = await hooks.check([said])
        if published is None:
            assert isinstance(verdict, Refusal)
            assert verdict.message == "no links, please"
        else:
            assert (verdict, said) == (PASS, published)
        assert self.counts[ChatCount.HOOKS_FAILED] == 0

    async def test_what_only_its_sender_is_to_see(self, hooks: Hooks) -> None:
        said = attempt("buy followers")
        assert await hooks.check([said]) == [PASS]
        assert said.shadowed


class TestPresend:
    async def test_the_service_is_asked_and_checks_who_asks(self, folder: Path) -> None:
        listener = listen("127.0.0.1", 0, backlog=8, send_buffer=1 << 16)
        settings = uvicorn.Config(module(folder / "service.py").app, log_level="error")
        server = uvicorn.Server(settings)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/check"
        counts = Scoreboard(FIELDS, 1).row(0)
        for secret, failed in ((SECRET, 0), ("another secret of more than thirty-two bytes", 1)):
            rooms: dict[str, Any] = {"presend_url": url, "presend_secret": secret}
            presend = Presend(
                Rooms(**rooms, presend_timeout_ms=5000), Limits(), counts, lambda: 0.0
            )
            said = [attempt("spam"), attempt("spam", "moderator"), attempt("Darn it")]
            refused, *passed = await presend.check(said)
            await presend.close()
            assert passed == [PASS, PASS]
            assert counts[ChatCount.PRESEND_FAILED] == failed
            if not failed:
                assert isinstance(refused, Refusal)
                assert (refused.message, refused.retry_after) == ("no spam, please", 30)
                assert said[2].text == "**** it"
        server.should_exit = True
        await serving
        listener.close()


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_every_counter_it_names_is_one() -> None:
    section = DOCUMENT.split("## Counted")[1]
    families = {
        one.full_name.removeprefix(PREFIX): one for one in SHARDS if isinstance(one, Family)
    }
    rows = re.findall(r"^\| (`.*`) \|", section, re.MULTILINE)
    assert len(rows) == 5
    for row in rows:
        family, *reasons = re.findall(r"`([a-z_]+)`", row)
        for name in (family, *reasons):
            if name in families:
                family = name
            else:
                assert name in families[family].columns, f"{family} has no {name}"
