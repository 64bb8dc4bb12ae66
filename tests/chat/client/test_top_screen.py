"""`danmaku top` on a terminal and without one. The nodes are played; real ones are in tests/e2e."""

import signal
from collections.abc import Iterator

import pytest

from bench.local import free_port
from chat.client.top_screen import top
from tests.chat.client.apis import CannedApi, api, metrics
from tests.chat.client.terminal import Terminal

TOP = ("-m", "chat.cli", "top", "--interval", "0.2")


@pytest.fixture
def server() -> Iterator[CannedApi]:
    with api() as server:
        server.will_say("/metrics", metrics({"viewers": 4321}))
        server.will_say("/v1/rooms?top=10", {"rooms": [{"room": "lobby"}]})
        server.has_room("lobby", 7)
        yield server


class TestOneFrame:
    async def test_where_no_terminal_is_there_is_one(
        self, server: CannedApi, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert await top([server.url], "", 0.2, 10, once=False) == 0
        shown = capsys.readouterr().out
        assert shown.count("danmaku top") == 1
        assert "4,321 viewers · 1 of 1 nodes answer · rates over 0.2 s" in shown
        assert "\x1b" not in shown
        assert [path for path, _ in server.asked].count("/metrics") == 2

    async def test_a_node_that_is_away_is_said_by_the_status_too(
        self, server: CannedApi, capsys: pytest.CaptureFixture[str]
    ) -> None:
        away = f"http://127.0.0.1:{free_port()}"
        assert await top([away, server.url], "", 0.2, 10, once=True) == 1
        shown = capsys.readouterr().out
        assert "1 of 2 nodes answer" in shown
        assert f"{away.removeprefix('http://')}  cannot be reached (" in shown
        assert "lobby" in shown


class TestLive:
    def test_it_redraws_what_changes_and_q_ends_it(self, server: CannedApi) -> None:
        with Terminal(*TOP, server.url) as terminal:
            terminal.until("4,321 viewers", "lobby", "q ends")
            server.will_say("/metrics", metrics({"viewers": 8765}))
            terminal.until("8,765 viewers")
            assert terminal.settings() != terminal.before
            terminal.press("q")
            assert terminal.end() == 0
            assert terminal.settings() == terminal.before
            assert "\x1b[?1049l" in terminal.shown  # the screen as it was before
            assert "Traceback" not in terminal.shown

    def test_ctrl_c_ends_it_as_it_does_every_command(self, server: CannedApi) -> None:
        with Terminal(*TOP, server.url) as terminal:
            terminal.until("q ends")
            terminal.press("\x03")
            assert terminal.end() == 130
            assert terminal.settings() == terminal.before
            assert "Traceback" not in terminal.shown

    def test_so_does_sigterm(self, server: CannedApi) -> None:
        with Terminal(*TOP, server.url) as terminal:
            terminal.until("q ends")
            terminal.process.send_signal(signal.SIGTERM)
            assert terminal.end() == 0
            assert terminal.settings() == terminal.before

    def test_a_node_that_does_not_answer_holds_up_no_other(self, server: CannedApi) -> None:
        with CannedApi() as silent, Terminal(*TOP, silent.url, server.url) as terminal:
            terminal.until("4,321 viewers", "not asked yet")
            server.will_say("/metrics", metrics({"viewers": 8765}))
            terminal.until("8,765 viewers", "not asked yet")
            terminal.until("did not answer within 5 s")
            terminal.press("q")
            assert terminal.end() == 0
