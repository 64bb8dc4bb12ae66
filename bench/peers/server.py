"""A server of any make with its viewers: how it starts, how one gets in, how one says something.

Rule: everyone has rooms, 0 and up, over which viewers are spread by `$room`. What differs between
servers is data: a path, a greeting, three words that tell the viewers what a frame says (viewers.c,
`words`), and what a viewer sends.
Rule: CPU and memory are those of all its processes, with all their threads. On one core the server
has that core alone; on two nothing is pinned, and the viewers share both.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from typing import ClassVar, Self

from bench.child import Child, build, python
from bench.harness import (
    CLIENT_CORE,
    SERVER_CORE,
    Unavailable,
    cpu_ns,
    deferred_ns,
    memory_bytes,
    pin,
    settle,
)
from bench.load import connect

TEXT = "$stamp$me 前方高能"
TEXT_BYTES = len(f"@{0:020}#{0:05} 前方高能".encode())
OWN = "$me"
MASKED_HEADER = 6


class Server(ABC):
    """One server; a subclass says how it starts and what its protocol is."""

    path = "/room-$room"
    greeting = ""
    words: ClassVar[tuple[str, str, str]] = ("-", "-", "-")
    """In the frame that says one is in; in the answer to what one said; in each message."""
    say = TEXT
    quiet_s = 1.0
    """The longest it waits before it says something of its own accord."""
    pids: list[int]
    port: int

    def __init__(self, cores: int = 1) -> None:
        self.cores = (SERVER_CORE, CLIENT_CORE)[:cores]
        with ExitStack() as stack:
            self.start(stack)
            child = Child([build("viewers"), str(self.port)], CLIENT_CORE)
            self.viewers = stack.enter_context(child)
            if cores > 1:
                pin(self.viewers.pid, *self.cores)
            self.viewers.ask(f"words {' '.join(self.words)}")
            if self.greeting:
                self.viewers.ask(f"greet {self.greeting}")
            self._open = stack.pop_all()

    @abstractmethod
    def start(self, stack: ExitStack) -> None:
        """Start it on `self.cores`, set `pids` and `port`; what has to end goes on the stack."""

    def connect(self, size: int, rooms: int = 1) -> None:
        """So many viewers more. Raises RuntimeError when one did not get in."""
        connect(self.viewers, size, self.path, rooms)

    def relaying(self, members: int) -> AbstractContextManager[None]:
        """In it everybody may type, in rooms of so many."""
        return nullcontext()

    def settle(self) -> None:
        settle(*self.pids)

    def cpu_ns(self) -> int:
        """All its processes', and what the kernel deferred on their cores."""
        return sum(map(cpu_ns, self.pids)) + deferred_ns(*self.cores)

    def memory(self) -> dict[str, int]:
        """`Pss`, `Private_Dirty` … of all its processes, in bytes."""
        each = [memory_bytes(pid) for pid in self.pids]
        return {name: sum(one[name] for one in each) for name in each[0]}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


class Floor(Server):
    """The C loop: plain sockets instead of upgrades, a recv and ten sends a message."""

    words = ("-", OWN, "@")

    def start(self, stack: ExitStack) -> None:
        self._child = stack.enter_context(Child([build("floor")], SERVER_CORE))
        pin(self._child.pid, *self.cores)
        self.pids, self.port = [self._child.pid], self._child.hello["port"]

    def connect(self, size: int, rooms: int = 1) -> None:
        self.viewers.tell(f"raw {size}")
        self._child.ask(f"accept {size}")
        if failure := self.viewers.answer()["failure"]:
            raise RuntimeError(failure)

    @contextmanager
    def relaying(self, members: int) -> Iterator[None]:
        self._child.ask(f"relay {members} {MASKED_HEADER + TEXT_BYTES}")
        yield
        if torn := self._child.answer()["torn"]:
            raise RuntimeError(f"{torn} bytes came in reads of half a frame")


class Library(Server):
    """A Python library's child, which serves rooms as `room.serve` has it do; one process."""

    words = ("-", OWN, "@")

    def __init__(self, module: str, cores: int = 1) -> None:
        if find_spec(module) is None:
            raise Unavailable(f"not installed: pip install {module}")
        self._module = module
        super().__init__(cores)

    def start(self, stack: ExitStack) -> None:
        command = python(f"bench.peers.{self._module}", "--rooms")
        child = stack.enter_context(Child(command, SERVER_CORE))
        pin(child.pid, *self.cores)
        self.pids, self.port = [child.pid], child.hello["port"]
