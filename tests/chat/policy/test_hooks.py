"""Hooks: what a class must be, what it may answer, what its failures cost."""

import asyncio
import dataclasses
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat.config.sections import Limits, Rooms
from chat.counters import FIELDS, ChatCount
from chat.policy.gate import PASS, Attempt, Refusal
from chat.policy.hooks import BadHooks, Hooks, Message, Refuse, load
from chat.policy.identity import Identity
from chat.wire.schema import ErrorCode
from pool.scoreboard import Scoreboard

WHO = Identity("u7", "阿花", "user")
COUNTED = (
    *(ChatCount.REFUSED_BY_HOOK, ChatCount.HOOKS_FAILED, ChatCount.HOOKS_SLOW),
    *(ChatCount.PASSED_UNCHECKED, ChatCount.REFUSED_UNCHECKED),
)


class Desk:
    """Hooks whose `on_message` is given."""

    def __init__(self, hook: Callable[..., Any], **rooms: Any) -> None:
        class Made:
            on_message = staticmethod(hook)

        self.counts = Scoreboard(FIELDS, 1).row(0)
        settings = Rooms(**({"hooks_budget_ms": 5000} | rooms))
        self.hooks = Hooks(Made(), settings, Limits(), self.counts, lambda: 0.0)

    @property
    def counted(self) -> list[int]:
        """Refused; failed, slow; passed all the same, refused for it."""
        return [self.counts[count] for count in COUNTED]


def attempt(text: str = "hi") -> Attempt:
    return Attempt("a", text, WHO, 5, "vip", False, 7, "top", 36, "c-1")


async def allow(who: Identity, room: str, message: Message) -> None:
    return None


class TestMessages:
    async def test_a_hook_is_told_all_of_a_message(self) -> None:
        asked: list[Any] = []

        def hook(*args: Any) -> None:
            asked.extend(args)

        desk = Desk(hook)
        assert await desk.hooks.check([attempt()]) == [PASS]
        assert asked == [WHO, "a", Message("hi", 7, "top", 36, False, "c-1", "vip")]
        assert desk.counted == [0, 0, 0, 0, 0]

    @pytest.mark.parametrize("raises", [True, False])
    async def test_it_refuses_by_returning_or_raising(self, raises: bool) -> None:
        async def hook(who: Identity, room: str, message: Message) -> Refuse:
            if raises:
                raise Refuse("not\nthat", 2.5)
            return Refuse("not\nthat", 2.5)

        desk = Desk(hook)
        assert await desk.hooks.check([attempt()]) == [
            Refusal(ErrorCode.FORBIDDEN, "not that", 2.5)
        ]
        assert desk.counted == [1, 0, 0, 0, 0]

    async def test_it_changes_what_is_said(self) -> None:
        async def hook(who: Identity, room: str, message: Message) -> Message:
            return dataclasses.replace(
                message, text=" a\nb ", color=1, mode="bottom", size=12, shadow=True
            )

        one = attempt()
        assert await Desk(hook).hooks.check([one]) == [PASS]
        assert one == Attempt("a", "a b", WHO, 5, "vip", True, 1, "bottom", 12, "c-1")

    async def test_what_it_makes_of_it_is_no_longer_than_a_viewer_may_say(self) -> None:
        async def hook(who: Identity, room: str, message: Message) -> Message:
            return dataclasses.replace(message, text="x" * 301)

        [verdict] = await Desk(hook).hooks.check([attempt()])
        assert isinstance(verdict, Refusal)
        assert verdict.code is ErrorCode.TEXT_TOO_LONG

    async def test_those_of_a_turn_are_asked_about_at_once(self) -> None:
        together = asyncio.Barrier(3)

        async def hook(who: Identity, room: str, message: Message) -> None:
            await together.wait()

        assert await Desk(hook).hooks.check([attempt() for _ in range(3)]) == [PASS] * 3


class TestFailures:
    @pytest.mark.parametrize(
        "answer",
        [
            *(True, False, "text", 5, {"text": "x"}),
            Message(5, 7, "top", 36),  # type: ignore[arg-type]
            *(Message("x", -1, "top", 36), Message("x", 7, "sideways", 36)),
            *(Message("x", 7, "top", 11), Message("x", 7, "top", 36, 1)),  # type: ignore[arg-type]
            *(Refuse("x", -1), Refuse("x", float("nan")), Refuse("x", 1e9)),
            Refuse(5),  # type: ignore[arg-type]
        ],
    )
    async def test_what_is_none_of_its_answers_is_one(self, answer: Any) -> None:
        one = attempt()
        desk = Desk(lambda *_: answer)
        assert await desk.hooks.check([one]) == [PASS]
        assert one == attempt()
        assert desk.counted == [0, 1, 0, 1, 0]

    @pytest.mark.parametrize(
        ("mode", "counted"), [("open", [0, 1, 0, 1, 0]), ("closed", [0, 1, 0, 0, 1])]
    )
    async def test_one_costs_that_message_only(
        self, mode: str, counted: list[int], caplog: pytest.LogCaptureFixture
    ) -> None:
        async def hook(who: Identity, room: str, message: Message) -> None:
            if message.text == "bad":
                raise ValueError("a bug of the operator's")

        desk = Desk(hook, hooks_failing=mode)
        with caplog.at_level(logging.WARNING):
            verdicts = await desk.hooks.check([attempt(), attempt("bad"), attempt()])
        assert (verdicts[0], verdicts[2]) == (PASS, PASS)
        if mode == "open":
            assert verdicts[1] is PASS
        else:
            assert isinstance(verdicts[1], Refusal)
            assert verdicts[1].code is ErrorCode.UNAVAILABLE
            assert verdicts[1].retry_after
        assert desk.counted == counted
        [record] = caplog.records
        assert vars(record)["room"] == "a"
        assert record.getMessage() == (
            "on_message of rooms.hooks failed: ValueError: a bug of the operator's"
        )
        assert "in hook" in caplog.text  # where it was raised

    @pytest.mark.parametrize("awaits", [True, False])
    async def test_a_slow_one_is_counted_apart(self, awaits: bool) -> None:
        may_go = threading.Event()

        async def hang(*_: object) -> None:
            await asyncio.Event().wait()

        desk = Desk(
            hang if awaits else lambda *_: may_go.wait(), hooks_budget_ms=10, hooks_failing="closed"
        )
        [verdict] = await desk.hooks.check([attempt()])
        assert isinstance(verdict, Refusal)
        assert desk.counted == [0, 0, 1, 0, 1]
        may_go.set()
        desk.hooks.stop()


class TestArrivals:
    async def test_connecting_and_joining_are_asked_about(self) -> None:
        class Made:
            async def on_connect(self, who: Identity) -> Refuse | None:
                return Refuse("go away") if who.uid == "bad" else None

            def on_join(self, who: Identity, room: str) -> Refuse | None:
                return None if room.startswith("public:") else Refuse("members only", 60)

        counts = Scoreboard(FIELDS, 1).row(0)
        hooks = Hooks(Made(), Rooms(hooks_budget_ms=5000), Limits(), counts, lambda: 0.0)
        assert (hooks.connects, hooks.joins, hooks.messages) == (True, True, False)
        assert await hooks.connect(WHO) is PASS
        bad = await hooks.connect(Identity("bad", "bad", "user"))
        assert bad == Refusal(ErrorCode.FORBIDDEN, "go away")
        assert await hooks.join(WHO, "public:1") is PASS
        assert await hooks.join(WHO, "a") == Refusal(ErrorCode.FORBIDDEN, "members only", 60)
        assert counts[ChatCount.REFUSED_BY_HOOK] == 2
        hooks.stop()

    async def test_who_is_not_asked_allows(self) -> None:
        desk = Desk(allow)
        assert await desk.hooks.connect(WHO) is PASS
        assert await desk.hooks.join(WHO, "a") is PASS

    async def test_a_message_is_no_answer_to_them(self) -> None:
        class Made:
            def on_join(self, who: Identity, room: str) -> Message:
                return Message("x", 1, "top", 25)

        counts = Scoreboard(FIELDS, 1).row(0)
        rooms = Rooms(hooks_failing="closed", hooks_budget_ms=5000)
        hooks = Hooks(Made(), rooms, Limits(), counts, lambda: 0.0)
        assert isinstance(await hooks.join(WHO, "a"), Refusal)
        assert counts[ChatCount.HOOKS_FAILED] == 1
        hooks.stop()


GOOD = "class Good:\n    def on_message(self, who, room, message, extra=None): ...\n"


class TestLoading:
    @pytest.fixture
    def put(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
        """Write a module where the node was started; its name."""

        def write(source: str) -> str:
            name = f"hooks_{tmp_path.name.replace('-', '_')}"
            (tmp_path / f"{name}.py").write_text(source)
            return name

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.path", ["/nowhere"])
        return write

    def test_a_class_in_the_directory_one_starts_in_is_found(
        self, put: Callable[[str], str]
    ) -> None:
        assert load(f"{put(GOOD)}:Good").__name__ == "Good"

    @pytest.mark.parametrize(
        ("source", "name", "problem"),
        [
            ("raise OSError('no disk')", "X", "{module} cannot be imported: OSError: no disk"),
            ("import nonexistent_thing", "X", "cannot be imported: ModuleNotFoundError"),
            ("class", "X", "{module} cannot be imported: SyntaxError"),
            (GOOD, "Bad", "{module} has no class Bad"),
            ("X = 5", "X", "{module} has no class X"),
            ("class X: pass", "X", "{module}:X has none of on_connect, on_join, on_message"),
            (
                "class X:\n    def on_mesage(self, who, room, message): ...",
                "X",
                "{module}:X has on_mesage, which is no hook; did you mean on_message?",
            ),
            (
                "class X:\n    def on_message(self, message): ...",
                "X",
                "{module}:X needs on_message(self, who, room, message)",
            ),
            ("class X:\n    on_join = 5", "X", "{module}:X needs on_join(self, who, room)"),
            (
                "class X:\n    def __init__(self, a): ...\n    def on_connect(self, who): ...",
                "X",
                "{module}:X cannot be made without arguments",
            ),
        ],
    )
    def test_what_cannot_be_used_is_told_in_a_sentence(
        self, put: Callable[[str], str], source: str, name: str, problem: str
    ) -> None:
        module = put(source)
        with pytest.raises(BadHooks) as bad:
            load(f"{module}:{name}")
        assert problem.format(module=module) in str(bad.value)
        assert "\n" not in str(bad.value)

    def test_a_module_that_is_not_there_is_told(self, put: Callable[[str], str]) -> None:
        with pytest.raises(BadHooks, match="nowhere_at_all cannot be imported"):
            load("nowhere_at_all:X")

    @pytest.mark.parametrize(
        "source",
        [
            "class X:\n    @staticmethod\n    def on_join(who, room): ...",
            "class X:\n    @classmethod\n    async def on_join(cls, who, room): ...",
            "class X:\n    async def on_join(self, *args): ...",
        ],
    )
    def test_any_method_that_takes_what_it_is_given_will_do(
        self, put: Callable[[str], str], source: str
    ) -> None:
        load(f"{put(source)}:X")
