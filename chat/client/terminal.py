"""A room in a terminal or a pipe: events in, lines out.

Rules. What people said, what is missing of it and what is ruled goes to standard output, one line
each, written at once; everything about the connection goes to standard error. Nothing here decides
when to come back or what is new (`client.py` does).

Danger: messages are strangers' text. What would steer a terminal, end a line or turn the writing
direction around is taken out, and nothing in it is markup.
"""

import asyncio
import os
import re
import stat
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from io import TextIOWrapper
from typing import Any, Final

import msgspec
from msgspec import UNSET
from rich.console import Console
from rich.text import Text

from chat.client.client import Client
from chat.client.follower import News
from chat.client.link import ClientError
from chat.wire.schema import (
    WHITE,
    Clear,
    Delete,
    Error,
    ErrorCode,
    Gap,
    Joined,
    Joins,
    Left,
    Msg,
    Notice,
    State,
    Welcome,
)

STEERING: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, among them the one that begins an escape sequence
    "\u2028\u2029"  # line and paragraph separator
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+"  # directions of writing
)

OUTPUT: Final = 1  # standard output's file descriptor
FIRST_TRIES: Final = 3

Content = Msg | Gap | Notice | Delete | Clear | State
Show = Callable[[Content], None]


class Terminal(Console):
    """A console that lets its caller know of a broken pipe, instead of ending the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


async def tail(url: str, room: str, token: str, json_lines: bool) -> None:
    """Show `room` on standard output for as long as somebody reads that.

    Raises ClientError when the node or the room cannot be had.
    """
    if isinstance(sys.stdout, TextIOWrapper):  # what a terminal cannot show must not end this
        sys.stdout.reconfigure(errors="replace")
    notes = Terminal(stderr=True)

    def note(text: str) -> None:
        notes.print(Text(text, style="dim"), soft_wrap=True)

    def away(reason: str, away_s: float) -> None:
        note(f"{plain(reason)}; coming back in {away_s:.1f} s")

    show = as_json if json_lines else as_text(Terminal())
    async with Client(url, room, token=token, first_tries=FIRST_TRIES, on_away=away) as client:
        following = asyncio.create_task(follow(client, show, note))
        watch_pipe(OUTPUT, following.cancel)
        try:
            await asyncio.wait([following])
        finally:
            following.cancel()
    if following.cancelled() or isinstance(following.exception(), BrokenPipeError):
        silence(OUTPUT)
    else:
        following.result()


async def follow(events: AsyncIterator[News], show: Show, note: Callable[[str], None]) -> None:
    """Show a room's content, and note what else happens, until the events end.

    Raises ClientError when the room cannot be had, or not any more.
    """
    async for event in events:
        match event:
            case Msg() | Gap() | Notice() | Delete() | Clear() | State():
                show(event)
            case Welcome():
                note(f"connected as {plain(event.name)} ({plain(event.role)})")
            case Joined():
                note(f"{event.room}: {event.online} watching")
                if event.state is not UNSET and (said := rules(event.state)):
                    note(said)
            case Joins():
                note(f"{event.room}: {who_came(event)} came in")
            case Left(reason=str(reason)):
                raise ClientError(f"sent out of {event.room}: {plain(reason)}")
            case Error(retry_after=float(after)) if event.code != ErrorCode.BANNED:
                note(f"{plain(event.message)}; again in {after:.1f} s")
            case Error():
                raise ClientError(f"{event.code}: {plain(event.message)}")


def as_json(content: Content) -> None:
    """One object of the wire a line."""
    print(msgspec.json.encode(content).decode(), flush=True)


def as_text(console: Console) -> Show:
    """One line for people, in the message's colour where there are colours."""
    # Without soft_wrap a line is cut into pieces of 80 columns when it goes into a pipe.
    return lambda content: console.print(line(content), soft_wrap=True)


def line(content: Content) -> Text:
    """What happens in a room as a line; what was taken back, too: nothing can be unprinted."""
    if isinstance(content, Delete | Clear):
        return Text(f"-- {taken_back(content)} --", style="dim")
    if isinstance(content, State):
        said = rules(content.state) or "the room has no rules any more"
        return Text(f"-- {said} --", style="bold cyan")
    if isinstance(content, Gap):
        lost = {0: "messages were lost, nobody knows how many", 1: "1 message was lost"}
        text = lost.get(content.lost, f"{content.lost} messages were lost")
        return Text(f"-- {text} --", style="bold yellow")
    told = "notice" if isinstance(content, Notice) else content.kind
    return Text.assemble(
        (clock(content.ts), "dim"),
        " ",
        ("" if told is UNSET else f"[{plain(told)}] ", "bold magenta"),
        (plain(content.name), "bold"),
        (marks(content), "cyan"),
        (": ", "bold"),
        (plain(content.text), "" if content.color == WHITE else f"#{content.color:06x}"),
        (times(content), "bold magenta"),
    )


def times(content: Msg | Notice) -> str:
    """How many said it at once, where that is more than one."""
    if isinstance(content, Notice) or content.times is UNSET:
        return ""
    return f" × {content.times}"


def who_came(joins: Joins) -> str:
    """The names that are told, and how many came beside those."""
    names, others = [plain(name) for name in joins.names], joins.count - len(joins.names)
    more = [f"{others} more"] if names and others > 0 else []
    *first, last = (names or [str(joins.count)]) + more
    return f"{', '.join(first)} and {last}" if first else last


def taken_back(told: Delete | Clear) -> str:
    """What of the lines before should be there no more."""
    if isinstance(told, Delete):
        return f"message {told.target} was taken back"
    whose = "" if told.uid is UNSET else f" of {plain(told.uid)}"
    return f"all messages{whose} were taken back"


def marks(content: Msg | Notice) -> str:
    """The level and the badges behind a name: staff is known by them."""
    if isinstance(content, Notice):
        return ""
    level = [] if content.level is UNSET else [f"Lv {content.level}"]
    badges = () if content.badges is UNSET else content.badges
    said = ", ".join([*level, *badges])
    return f" ({plain(said)})" if said else ""


def rules(state: dict[str, Any]) -> str:
    """Those of a room's rules that are no defaults; "" where all are. What is not known is left."""
    pinned, said = state.get("pinned"), []
    if slow := state.get("slow_s"):
        said.append(f"slow mode, {slow} s")
    if (silence := state.get("silence", "none")) != "none":
        said.append(f"silence, {'moderators' if silence == 'all' else silence} and above may type")
    if (least := state.get("min_role", "guest")) != "guest":
        said.append(f"{least} and above may type")
    if repeats := state.get("no_repeats_s"):
        said.append(f"no repeats, {repeats} s")
    if isinstance(pinned, dict):
        said.append(f"pinned, {pinned.get('name', pinned.get('uid'))}: {pinned.get('text')}")
    if announcement := state.get("announcement"):
        said.append(f"announcement, {announcement}")
    return plain("; ".join(said))


def plain(text: str) -> str:
    """Text that stays on its line and does nothing to a terminal."""
    return STEERING.sub(" ", text)


def clock(ts: int) -> str:
    """Local time of day; `ts` in milliseconds since 1970."""
    try:
        return datetime.fromtimestamp(ts / 1000).strftime("%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "--:--:--"


def watch_pipe(file_number: int, gone: Callable[[], object]) -> None:
    """Call `gone` when nobody reads the pipe any more, though nothing is being written to it.

    The writing end of a pipe is never readable, but epoll reports EPOLLERR on it then (pipe(7)).
    """
    if not stat.S_ISFIFO(os.fstat(file_number).st_mode):
        return
    loop = asyncio.get_running_loop()

    def broken() -> None:
        loop.remove_reader(file_number)
        gone()

    loop.add_reader(file_number, broken)


def silence(file_number: int) -> None:
    """Nobody reads there: what is left in a buffer must not raise at the interpreter's end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, file_number)
    os.close(null)
