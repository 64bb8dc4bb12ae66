"""What a library's child is built from: rooms by the request's path, served in one of two ways.

What it measures: CPU of this process per delivery when the library sends one text to everyone,
from the call until its loop has written it all: floor.c's lines in, its answers out. The library's
loop runs only inside `turn` and `broadcast`, so nothing it does between flushes is counted, for or
against it. With --rooms the loop runs by itself, and what somebody says goes to all of its room.
"""

import asyncio
import os
import sys
import threading
import time
from abc import ABC, abstractmethod

import uvloop

from bench.pyloop import live_no_longer_than_parent, say
from shard.listen import raise_descriptor_limit

BACKLOG = 4096
ACCEPT_TIMEOUT_S = 50.0
ROOM = "/"
"""Where everyone is when a flush comes."""


class Room(ABC):
    """Everyone who is connected, in the library's own terms."""

    port: int

    @abstractmethod
    def __len__(self) -> int:
        """How many have upgraded."""

    @abstractmethod
    def run(self) -> None:
        """The library's loop, for as long as the process lives."""

    @abstractmethod
    def turn(self) -> None:
        """Let the library's loop take what has come in."""

    @abstractmethod
    def broadcast(self, text: bytes) -> None:
        """One text frame to everyone, written when this returns."""


class AsyncioRoom(Room):
    """A room on uvloop, the loop both asyncio libraries here recommend."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.port = self.loop.run_until_complete(self.listen())

    @abstractmethod
    async def listen(self) -> int:
        """Start the server on any free port of 127.0.0.1; the port."""

    @abstractmethod
    def send(self, text: bytes) -> None:
        """The library's call; what it leaves to the loop is written a pass later."""

    def run(self) -> None:
        self.loop.run_forever()

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0.001))

    def broadcast(self, text: bytes) -> None:
        self.loop.run_until_complete(self._send(text))

    async def _send(self, text: bytes) -> None:
        self.send(text)
        await asyncio.sleep(0)


def accept(room: Room, wanted: int) -> None:
    deadline = time.monotonic() + ACCEPT_TIMEOUT_S
    while len(room) < wanted and time.monotonic() < deadline:
        room.turn()
    say(f'{{"accepted":{len(room)}}}')


def flush(room: Room, text: bytes, times: int, pace_us: int) -> None:
    spent = 0
    began = due = time.monotonic_ns()
    for _ in range(times):
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        due += pace_us * 1000
        cpu = time.process_time_ns()
        room.broadcast(text)
        spent += time.process_time_ns() - cpu
    wall = time.monotonic_ns() - began
    say(f'{{"sends":{times * len(room)},"refused":0,"cpu_ns":{spent},"wall_ns":{wall}}}')


def serve(kind: type[Room]) -> None:
    """Be the child: open a room of this kind and obey until stdin closes."""
    live_no_longer_than_parent()
    raise_descriptor_limit()
    room = kind()
    say(f'{{"port":{room.port}}}')
    if "--rooms" in sys.argv:
        threading.Thread(target=end_with_stdin, daemon=True).start()
        room.run()
    obey(room)


def end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def obey(room: Room) -> None:
    text = b"x" * 128
    for line in sys.stdin:
        word, *numbers = line.split()
        if word == "frame":
            text = b"x" * int(numbers[0])
            say(f'{{"frame":{len(text)}}}')
        elif word == "accept":
            accept(room, int(numbers[0]))
        elif word == "flush":
            flush(room, text, int(numbers[0]), int(numbers[1]))
        else:
            say('{"error":"unknown command"}')
