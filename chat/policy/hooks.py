"""Hooks: an operator's Python class that is asked who may connect, join and say what.

    class Hooks:
        async def on_connect(self, who): ...
        async def on_join(self, who, room): ...
        async def on_message(self, who, room, message): ...

Rules. Each method may be there or not, and be a coroutine or a plain function. It returns None to
allow, a Refuse (or raises one), and `on_message` a changed Message. Anything else, an exception, or
more than `rooms.hooks_budget_ms` is a failure: it is counted, and what was asked about goes through
or not as `rooms.hooks_failing` says. One failure is one message's, join's or connection's.

Danger: the code runs in the shard's process. What `calls.py` says of blocking holds.
"""

import asyncio
import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from chat.config.sections import Limits, Rooms
from chat.counters import ChatCount
from chat.policy import gate
from chat.policy.calls import Calls, Failed, TooSlow
from chat.policy.gate import PASS, Attempt, Verdict
from chat.policy.identity import Identity
from chat.policy.outside import Failing, refused, reword
from chat.wire.schema import Mode

MAX_AFTER_S: Final = 1_000_000
"""The longest time to try again after: some days."""
PARAMETERS: Final = {
    "on_connect": ("who",),
    "on_join": ("who", "room"),
    "on_message": ("who", "room", "message"),
}
"""Every hook there is, and what it is given."""


class BadHooks(Exception):
    """`rooms.hooks` names nothing that can be used; why, in a sentence."""


class Refuse(Exception):
    """What a hook returns or raises to refuse; `message` is for the viewer, `retry_after` seconds
    says that trying again will help."""

    def __init__(self, message: str = "not allowed", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody is about to say; change it with `dataclasses.replace`.

    color   0 to 0xFFFFFF; mode "scroll", "top", "bottom" or "reverse"; size 12 to 64
    shadow  whether only its sender is to see it
    id      the client's own, "" for none; role: what the sender is in the room. Not to be changed
    """

    text: str
    color: int
    mode: str
    size: int
    shadow: bool = False
    id: str = ""
    role: str = ""


def load(path: str) -> type:
    """The class at `module:Class`, from the directory the node was started in or from what is
    installed. Raises BadHooks."""
    module, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise BadHooks(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    made = getattr(found, name, None)
    if not inspect.isclass(made):
        raise BadHooks(f"{module} has no class {name}")
    fault = _fault(made)
    if fault is not None:
        raise BadHooks(f"{path} {fault}")
    return made


def _fault(made: type) -> str | None:
    """What is wrong with a class of hooks."""
    names = [name for name in dir(made) if name.startswith("on_")]
    for name in names:
        if name not in PARAMETERS:
            near = difflib.get_close_matches(name, PARAMETERS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"has {name}, which is no hook{hint}"
        if not _takes(made, name):
            return f"needs {name}(self, {', '.join(PARAMETERS[name])})"
    if not names:
        return f"has none of {', '.join(PARAMETERS)}"
    try:
        inspect.signature(made).bind()
    except (TypeError, ValueError):
        return "cannot be made without arguments"
    return None


def _takes(made: type, name: str) -> bool:
    """Whether a method can be called with what it is given."""
    method = getattr(made, name)
    static = isinstance(inspect.getattr_static(made, name), staticmethod | classmethod)
    try:
        inspect.signature(method).bind(*([] if static else [None]), *PARAMETERS[name])
    except (TypeError, ValueError):
        return False
    return True


class Hooks:
    """One shard's hooks; `made` is an instance of the operator's class.

    connects, joins, messages  which there are
    """

    def __init__(
        self,
        made: Any,
        rooms: Rooms,
        limits: Limits,
        counts: "memoryview[int]",
        clock: Callable[[], float],
    ) -> None:
        self._made = made
        self._rooms = rooms
        self.connects, self.joins, self.messages = (hasattr(made, name) for name in PARAMETERS)
        self._calls = Calls(rooms.hooks_budget_ms / 1000)
        self._failing = Failing(rooms.hooks_failing, counts, clock)
        self._text = gate.text(limits)
        self._counts = counts

    def apply(self) -> None:
        """The configuration has changed; calls under way have the time they had."""
        self._calls.budget_s = self._rooms.hooks_budget_ms / 1000
        self._failing.mode = self._rooms.hooks_failing

    def stop(self) -> None:
        """No more will be asked."""
        self._calls.stop()

    async def connect(self, who: Identity) -> Verdict:
        """Whether somebody may connect."""
        return await self._ask("on_connect", who) if self.connects else PASS

    async def join(self, who: Identity, room: str) -> Verdict:
        """Whether somebody may join a room."""
        return await self._ask("on_join", who, room) if self.joins else PASS

    async def check(self, attempts: Sequence[Attempt]) -> Sequence[Verdict]:
        """What of a turn's messages may be said; each by itself, at once."""
        if len(attempts) == 1:
            return [await self._check(attempts[0])]
        return await asyncio.gather(*map(self._check, attempts))

    async def _check(self, attempt: Attempt) -> Verdict:
        asked = Message(
            *(attempt.text, attempt.color, attempt.mode, attempt.size, attempt.shadowed),
            *(attempt.id, attempt.role),
        )
        return await self._ask("on_message", attempt.who, attempt.room, asked, attempt=attempt)

    async def _ask(self, hook: str, *args: Any, attempt: Attempt | None = None) -> Verdict:
        """What comes of one call."""
        try:
            found = await self._call(getattr(self._made, hook), *args)
            if isinstance(found, Refuse):
                if not _can_be_told(found):
                    raise Failed(
                        f"it refused with {found.message!r:.60}, {found.retry_after!r:.60}"
                    )
                self._counts[ChatCount.REFUSED_BY_HOOK] += 1
                return refused(found.message, found.retry_after)
            if found is None:
                return PASS
            if attempt is None or not isinstance(found, Message):
                raise Failed(f"it returned {_shown(found)}")
            return self._change(attempt, found)
        except Failed as error:
            slow = isinstance(error, TooSlow)
            self._counts[ChatCount.HOOKS_SLOW if slow else ChatCount.HOOKS_FAILED] += 1
            self._failing.say(f"{hook} of rooms.hooks failed", error, *args[1:2])
            return self._failing.verdict()

    async def _call(self, hook: Any, *args: Any) -> Any:
        try:
            return await self._calls.call(hook, *args)
        except Failed as error:
            if isinstance(error.__cause__, Refuse):
                return error.__cause__
            raise

    def _change(self, attempt: Attempt, to: Message) -> Verdict:
        """The message becomes another, which is looked at as the viewer's was. Raises Failed."""
        if not _is_sound(to):
            raise Failed(f"it returned what cannot be said: {_shown(to)}")
        attempt.color, attempt.mode, attempt.size = to.color, to.mode, to.size
        attempt.shadowed = to.shadow
        return reword(attempt, to.text, self._text)


def _can_be_told(no: Refuse) -> bool:
    after = no.retry_after
    return isinstance(no.message, str) and (
        after is None or (isinstance(after, int | float) and 0 <= after <= MAX_AFTER_S)
    )


def _is_sound(to: Message) -> bool:
    numbers = isinstance(to.color, int) and isinstance(to.size, int)
    return (
        isinstance(to.text, str)
        and numbers
        and 0 <= to.color <= 0xFFFFFF
        and 12 <= to.size <= 64
        and to.mode in get_args(Mode)
        and isinstance(to.shadow, bool)
    )


def _shown(found: Any) -> str:
    return f"{type(found).__name__} {found!r:.60}"
