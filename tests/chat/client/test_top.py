"""The command `danmaku top`: its options, and what it is asked for wrongly."""

import pytest
from typer.testing import CliRunner

from chat.cli import app
from chat.client import top_screen

Asked = tuple[list[str], str, float, int, bool]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """What would have been watched; the exit status is 1."""
    found: list[Asked] = []

    async def top(*options: object) -> int:
        found.append(options)  # type: ignore[arg-type]
        return 1

    monkeypatch.setattr(top_screen, "top", top)
    return found


def test_without_a_url_it_is_this_machines_node(asked: list[Asked]) -> None:
    assert CliRunner().invoke(app, ["top"]).exit_code == 1
    assert asked == [(["http://127.0.0.1:8001"], "", 2.0, 10, False)]


def test_nodes_are_looked_at_once_each_with_the_key_of_the_environment(asked: list[Asked]) -> None:
    options = ["top", "n1:8001", "http://n1:8001/", "n2:8001", "--interval", "1", "--rooms", "0"]
    CliRunner(env={"DANMAKU_API_KEY": " secret\n"}).invoke(app, [*options, "--once"])
    nodes = ["http://n1:8001", "http://n2:8001"]
    assert asked == [(nodes, "secret", 1.0, 0, True)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["ftp://n1"], "is no address of an API"),
        (["n1", "--key", "a\x07b"], "control character"),
        ([f"n{i}" for i in range(65)], "at most 64 nodes"),
        (["--interval", "0"], "--interval"),
        (["--rooms", "-1"], "--rooms"),
    ],
)
def test_a_wrong_use_is_said(asked: list[Asked], options: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["top", *options])
    assert done.exit_code == 2
    assert said in done.stderr
    assert not asked
