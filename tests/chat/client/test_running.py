"""How a client's work ends. Ctrl-C in a process of its own is in tests/e2e/test_cli.py."""

import asyncio

import pytest
import typer

from chat.client.link import ClientError
from chat.client.running import run


async def give(value: int) -> int:
    return value


async def fail(error: BaseException) -> None:
    raise error


def test_what_was_done_is_given() -> None:
    assert run(give(7)) == 7


def test_what_a_person_can_mend_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        run(fail(ClientError("no node is there")))
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "danmaku: no node is there\n"


def test_what_was_cancelled_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        run(fail(asyncio.CancelledError()))
    assert ended.value.exit_code == 130
    assert capsys.readouterr() == ("", "")
