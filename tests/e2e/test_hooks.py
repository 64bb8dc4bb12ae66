"""A node with hooks from the directory it is started in, and what their worst does to it."""

from pathlib import Path

import pytest

from bench.local import Node
from tests.e2e.test_devices import SECRET, closed_with, token
from tests.e2e.viewers import Viewer

HOOKS = """
import os
import threading

from chat.policy.hooks import Refuse

IMPORTED = os.getpid()


class Hooks:
    def __init__(self):
        self.made = os.getpid()

    async def on_join(self, who, room):
        if room == "bad":
            return Refuse(f"closed {self.made != IMPORTED}")

    def on_message(self, who, room, message):
        if message.text == "stuck":
            threading.Event().wait()
        if message.text == "no":
            raise Refuse("no", 2)
"""


async def test_hooks_are_asked_and_one_that_never_returns_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "myhooks.py").write_text(HOOKS)
    monkeypatch.chdir(tmp_path)
    settings = {"rooms_hooks": "myhooks:Hooks", "rooms_hooks_budget_ms": 2000}
    with Node(tmp_path, **settings) as node:
        viewer = await Viewer.open(node.ws, "a")
        closed = await viewer.ask({"t": "join", "room": "bad"})
        assert closed["message"] == "closed True"  # imported once, made in each shard
        no = await viewer.type("a", "no")
        assert (no["code"], no["message"], no["retry_after"]) == ("forbidden", "no", 2)
        for text in ("hi", "stuck", "stuck", "stuck", "stuck", "stuck", "after"):
            assert (await viewer.type("a", text))["t"] == "ack"
        await viewer.until(lambda _: viewer.texts[-1:] == ["after"])
        assert node.counted("hooks_slow") == 5
        assert node.counted("passed_unchecked") == 5
        assert node.counted("refused_by_hook") == 2
        assert node.stop() == 0  # with threads that never come back
        assert "killing" not in node.said()
        assert "on_message of rooms.hooks failed: it took more than 2000 ms" in node.said()


PLAIN = """
from chat.policy.hooks import Refuse


class Plain:
    def on_connect(self, who):
        if who.uid == "broken":
            raise ValueError("a bug")
        if who.uid == "junk":
            return 7
        if who.uid == "no":
            return Refuse("not you")

    def on_join(self, who, room):
        if room == "broken":
            raise KeyError(room)
        if room == "no":
            return Refuse("not there", 3)

    async def on_message(self, who, room, message):
        if message.text == "broken":
            return message.text
"""


@pytest.mark.parametrize("failing", ["open", "closed"])
async def test_plain_methods_are_hooks_and_one_that_fails_lets_in_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    (tmp_path / f"plain_{failing}.py").write_text(PLAIN)
    monkeypatch.chdir(tmp_path)
    settings = {
        "rooms_hooks": f"plain_{failing}:Plain",
        "rooms_hooks_failing": failing,
        "rooms_hooks_budget_ms": 5000,
        "auth_secret": SECRET,
    }
    with Node(tmp_path, **settings) as node:
        viewer = await Viewer.open(node.ws, "a", token=token("u1"))
        no = await viewer.ask({"t": "join", "room": "no"})
        assert (no["code"], no["message"], no["retry_after"]) == ("forbidden", "not there", 3)
        assert await closed_with(node, "no") == 1008
        joined = await viewer.ask({"t": "join", "room": "broken"})
        said = await viewer.type("a", "broken")
        if failing == "open":
            assert (joined["t"], said["t"]) == ("joined", "ack")
            for uid in ("broken", "junk"):
                other = await Viewer.open(node.ws, "a", token=token(uid))
                await other.close()
        else:
            assert (joined["code"], said["code"]) == ("unavailable", "unavailable")
            for uid in ("broken", "junk"):
                assert await closed_with(node, uid) == 4000
        assert node.counted("hooks_failed") == 4
        assert node.counted("refused_by_hook") == 2
        assert node.counted("passed_unchecked") == (4 if failing == "open" else 0)
        await viewer.close()
