"""A reload as the supervisor goes through it: lines to workers, whoever they are, and no clock."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chat.config.live import Live
from chat.config.load import ConfigError
from chat.config.sections import Config
from chat.ops import reloading
from chat.ops.reloading import ANSWER_S, Change, Heard, Reloaded, Reloading, answer_with
from chat.ops.servicemanager import READY, RELOADING
from shard.channel import MESSAGE_BYTES, Channel, Line
from tests.chat.config.changed import changed


class Worker:
    """One of whom the supervisor has a line; it answers when it is `heard`."""

    def __init__(self, name: str) -> None:
        self.line = Line(name)
        self.config = Config()
        self.channel: Channel | None = None
        self.begin(self.config)

    def begin(self, config: Config) -> None:
        """A life, forked with this configuration."""
        self.config = msgspec.json.decode(msgspec.json.encode(config), type=Config)
        self.end()
        self.channel = self.line.open()
        self.answer: Callable[[bytes], bytes] = answer_with(Live(self.config))

    def end(self) -> None:
        """It is dead."""
        self.line.close()
        if self.channel is not None:
            self.channel.close()

    def goes_on(self) -> None:
        """It answers all it was told."""
        for message in self.told():
            self.say(self.answer(message))

    def told(self) -> list[bytes]:
        """What it has been told since."""
        assert self.channel is not None
        return self.channel.take()

    def say(self, answer: bytes) -> None:
        """Answer."""
        assert self.channel is not None
        self.channel.send(answer)


class Node:
    """A supervisor's operator with two workers, and what came of its reloads."""

    def __init__(self, control: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file: Config | list[str] | Exception = Config()
        self.live = Live(Config())
        self.notified: list[str] = []
        self.results: list[Reloaded] = []
        self.a, self.b = Worker("shard 0"), Worker("api")
        self.reloading = Reloading(self.live, self.read, control, "its file", self.notify)
        self.reloading.begin([self.a.line, self.b.line])
        self.say = reloading.say
        monkeypatch.setattr(reloading, "say", self.keep)

    def keep(self, result: Reloaded) -> None:
        self.results.append(result)
        self.say(result)

    def read(self) -> Config:
        if isinstance(self.file, list):
            raise ConfigError(self.file)
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def notify(self, *lines: str) -> None:
        self.notified.append(lines[0])

    def reload(self, config: Any, now: float = 0.0) -> None:
        """Begin one."""
        self.file = config
        self.reloading.hang_up()
        self.reloading.look(now)

    def all_go_on(self, now: float = 0.1) -> Reloaded:
        """The last reload's result once everybody has answered."""
        for worker in (self.a, self.b):
            worker.goes_on()
        self.reloading.look(now)
        return self.results[-1]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    made = Node(tmp_path / "control.sock", monkeypatch)
    yield made
    made.reloading.close()
    made.a.end()
    made.b.end()


class TestApplying:
    def test_live_keys_are_everybodys_and_others_are_named(self, node: Node) -> None:
        node.reload(changed(Config(), "limits.text_chars", "server.port"))
        assert not node.results
        result = node.all_go_on()
        assert result.applied == [Change("limits.text_chars", "300", "301")]
        assert result.restart == [Change("server.port", "8000", "8001")]
        assert result.by == ["shard 0", "api"]
        assert not result.trouble
        for config in (node.live.config, node.a.config, node.b.config):
            assert config.limits.text_chars == 301
            assert config.server.port == 8000

    def test_nothing_changed_asks_nobody(self, node: Node) -> None:
        node.reload(Config())
        assert node.results == [Reloaded("its file")]
        assert node.a.told() == []

    def test_nor_does_what_needs_a_restart_alone_which_is_named_each_time(self, node: Node) -> None:
        for _ in range(2):
            node.reload(changed(Config(), "bus.partitions"))
            assert [change.path for change in node.results[-1].restart] == ["bus.partitions"]
        assert node.a.told() == []

    def test_no_secret_is_in_a_result_or_in_the_log(
        self, node: Node, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        node.reload(changed(Config(), "auth.secret", "api.keys", "api.key"))
        result = node.all_go_on()
        assert len(result.applied) == 3
        for said in (repr(result), caplog.text):
            assert "another-secret" not in said
            assert "key-of-the" not in said


class TestRefusing:
    def test_a_bad_file_changes_nothing_and_all_its_problems_are_told(self, node: Node) -> None:
        node.reload(["limits.text_chars: no", "x.y: no"])
        [result] = node.results
        assert result.problems == ["limits.text_chars: no", "x.y: no"]
        assert not result.applied
        assert not result.restart
        assert node.live.config == Config()
        assert node.a.told() == []

    def test_a_fault_of_ours_while_reading_is_one_too(self, node: Node) -> None:
        node.reload(OSError("a disk's trouble"))
        assert node.results[-1].problems == ["OSError: a disk's trouble"]

    def test_one_that_is_too_long_to_be_told_is_not_applied(self, node: Node) -> None:
        many = tuple(f"https://site-{number}.example" for number in range(10_000))
        config = changed(Config(), "limits.text_chars")
        msgspec.structs.force_setattr(config.server, "origins", many)
        node.reload(config)
        [result] = node.results
        assert not result.applied
        assert {change.path for change in result.restart} == {
            "server.origins",
            "limits.text_chars",
        }
        assert "nobody could be told" in result.trouble[0]
        assert node.live.config == Config()
        assert len(msgspec.json.encode(result)) < MESSAGE_BYTES


class TestWhoDoesNotAnswer:
    def test_one_that_is_stopped_is_named_and_has_the_values_when_it_goes_on(
        self, node: Node, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        node.reload(changed(Config(), "limits.text_chars"), 10.0)
        node.a.goes_on()
        node.reloading.look(10.0 + ANSWER_S / 2)
        assert not node.results
        assert node.reloading.wait(10.0) == ANSWER_S
        node.reloading.look(10.0 + ANSWER_S)
        [result] = node.results
        assert result.by == ["shard 0"]
        assert result.trouble[0].startswith("api has not answered within 5 s")
        assert node.reloading.wait(20.0) is None
        node.b.goes_on()
        node.reloading.look(30.0)
        assert node.b.config.limits.text_chars == 301
        assert "api has the new values now" in caplog.text

    def test_one_that_dies_is_named_and_its_next_life_has_them(self, node: Node) -> None:
        node.reload(changed(Config(), "limits.text_chars"))
        node.a.goes_on()
        node.b.end()
        node.reloading.look(0.1)
        [result] = node.results
        assert result.by == ["shard 0"]
        assert result.trouble == ["api has died; its next life has the new values"]
        node.b.begin(node.live.config)
        assert node.b.config.limits.text_chars == 301

    def test_so_is_one_that_lives_again_already(self, node: Node) -> None:
        node.reload(changed(Config(), "limits.text_chars"))
        node.a.goes_on()
        node.b.begin(node.live.config)
        node.reloading.look(0.1)
        assert "api has died" in node.results[0].trouble[0]

    def test_one_that_cannot_apply_all_is_named(self, node: Node) -> None:
        node.reload(changed(Config(), "limits.text_chars"))
        node.b.answer = lambda message: msgspec.json.encode(Heard(1, "limits.text_chars"))
        assert node.all_go_on().trouble == ["api did not apply all: limits.text_chars"]

    def test_a_late_answer_is_not_taken_for_the_next_ones(self, node: Node) -> None:
        node.reload(changed(Config(), "limits.text_chars"), 0.0)
        node.a.goes_on()
        node.reloading.look(ANSWER_S)
        node.reload(changed(node.live.config, "auth.guests"), 10.0)
        [first, second] = node.b.told()
        node.b.say(node.b.answer(first))
        node.a.goes_on()
        node.reloading.look(10.1)
        assert len(node.results) == 1
        node.b.say(node.b.answer(second))
        node.reloading.look(10.2)
        assert node.results[1].by == ["shard 0", "api"]


class TestOneAtATime:
    def test_who_asks_meanwhile_gets_the_next(self, node: Node) -> None:
        node.reload(changed(Config(), "limits.text_chars"))
        node.reload(changed(Config(), "limits.text_chars", "auth.guests"))
        assert not node.results
        assert [change.path for change in node.all_go_on().applied] == ["limits.text_chars"]
        assert [change.path for change in node.all_go_on().applied] == ["auth.guests"]


class TestServiceManager:
    def test_it_is_told_when_a_reload_begins_and_ends(self, node: Node) -> None:
        node.reloading.up = True
        node.reload(changed(Config(), "limits.text_chars"))
        assert node.notified == [RELOADING]
        node.all_go_on()
        assert node.notified == [RELOADING, READY]

    def test_but_of_none_before_the_node_is_up(self, node: Node) -> None:
        node.reload(Config())
        assert node.notified == []
