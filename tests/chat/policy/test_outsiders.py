"""Whom a shard asks: those that are configured, in order, and nobody else."""

import subprocess
import sys

import pytest

from chat.counters import FIELDS
from chat.policy.hooks import BadHooks, Message, Refuse
from chat.policy.identity import Identity
from chat.policy.outsiders import Outsiders, check_outsiders
from pool.scoreboard import Scoreboard
from tests.chat.rig import configured

HERE = __name__


class Both:
    def on_message(self, who: Identity, room: str, message: Message) -> None: ...


class Doorman:
    async def on_connect(self, who: Identity) -> Refuse | None: ...


def outsiders(**rooms: str) -> Outsiders:
    return Outsiders(configured(rooms=rooms), Scoreboard(FIELDS, 1).row(0), lambda: 0.0)


async def test_nobody_is_configured_by_default() -> None:
    nobody = outsiders()
    assert (nobody.hooks, nobody.stages) == (None, [])
    await nobody.close()


async def test_hooks_are_asked_before_the_callback() -> None:
    both = outsiders(hooks=f"{HERE}:Both", presend_url="http://127.0.0.1:9/")
    assert both.hooks is not None
    first, (check, at_once) = both.stages
    assert first == (both.hooks.check, 1)
    assert ("Presend" in repr(check), at_once) == (True, 200)
    await both.close()


async def test_hooks_that_have_no_word_on_messages_are_no_stage() -> None:
    door = outsiders(hooks=f"{HERE}:Doorman")
    assert door.hooks is not None
    assert (door.hooks.connects, door.stages) == (True, [])
    await door.close()


def test_what_cannot_be_loaded_is_told_before_anything_is_made() -> None:
    check_outsiders(configured())
    check_outsiders(configured(rooms={"hooks": f"{HERE}:Both", "presend_url": "http://h/"}))
    with pytest.raises(BadHooks, match="has no class Nobody"):
        check_outsiders(configured(rooms={"hooks": f"{HERE}:Nobody"}))


def test_an_http_client_is_imported_only_for_who_needs_one() -> None:
    source = "import sys, chat.node; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0
