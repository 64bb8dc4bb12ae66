"""`danmaku top` on a terminal: asks, draws, and ends when it is told to.

Rules. Each node is asked in a task of its own, so one that does not answer holds up no other; what
is drawn is what is known. Where nobody looks on, at a pipe or a file, there is one frame: two looks
an interval apart. However it ends, the terminal is as it was.
"""

import asyncio
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Final

from rich.console import Console
from rich.live import Live

from chat.client.top_frame import frame
from chat.client.top_nodes import Node, Rooms

NARROWEST: Final = 120
"""Columns of a frame that goes to no terminal."""
QUIT: Final = frozenset(b"qQ\x03\x04")


async def top(urls: Sequence[str], key: str, interval_s: float, most_rooms: int, once: bool) -> int:
    """Watch these nodes until q is pressed; or `once`. The exit status: 1 where a single frame had
    a node that did not answer."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, NARROWEST))
        once = True
    rooms = Rooms(most_rooms)
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Node(url, key)) for url in urls]
        if not once:
            await _live(nodes, rooms, interval_s, console)
            return 0
        for pause in (interval_s, 0.0):
            await asyncio.gather(*(node.look() for node in nodes))
            await rooms.look(nodes)
            await asyncio.sleep(pause)
        console.print(frame(nodes, rooms, _title(nodes, interval_s)))
        return 1 if any(node.why for node in nodes) else 0


async def _live(nodes: Sequence[Node], rooms: Rooms, interval_s: float, console: Console) -> None:
    done = asyncio.Event()
    with keys(done.set), Live(console=console, screen=True, auto_refresh=False) as live:
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(_again(node.look, interval_s)) for node in nodes]
            asking.append(group.create_task(_again(lambda: rooms.look(nodes), interval_s)))
            while not done.is_set():
                title = f"{_title(nodes, interval_s)} · q ends"
                live.update(frame(nodes, rooms, title, console), refresh=True)
                await _either(done, min(interval_s, 1.0))
            for task in asking:
                task.cancel()


async def _again(look: Callable[[], Awaitable[None]], interval_s: float) -> None:
    """Look for ever, so many seconds apart, however long a look takes."""
    while True:
        began = time.monotonic()
        await look()
        await asyncio.sleep(max(0.0, began + interval_s - time.monotonic()))


async def _either(done: asyncio.Event, seconds: float) -> None:
    """Until it is done, or so many seconds have passed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()


def _title(nodes: Sequence[Node], interval_s: float) -> str:
    away = sum(bool(node.why) for node in nodes)
    seen = (node.between.now for node in nodes if node.between is not None)
    viewers = sum(look.total("danmaku_connections") or 0 for look in seen)
    parts = [
        time.strftime("danmaku top · %H:%M:%S"),
        f"{viewers:,.0f} viewers",
        f"{len(nodes) - away} of {len(nodes)} nodes answer",
        f"rates over {interval_s:g} s",
    ]
    return " · ".join(parts)


@contextmanager
def keys(quit_: Callable[[], object]) -> Iterator[None]:
    """Call when q is pressed, the terminal is gone, or SIGTERM asks; a terminal is as it was behind
    it. Ctrl-C is whoever started this' to take."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, quit_)
    try:
        if not sys.stdin.isatty():
            yield
            return
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        tty.setcbreak(fd)
        loop.add_reader(fd, _pressed, fd, quit_)
        try:
            yield
        finally:
            loop.remove_reader(fd)
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _pressed(fd: int, quit_: Callable[[], object]) -> None:
    try:
        typed = os.read(fd, 64)
    except OSError:
        typed = b""
    if not typed or QUIT.intersection(typed):
        quit_()
