"""The JavaScript client where it runs: in Node, and in Chromium on a page of no node's.

Rules. A test says the same to both, as the body of an async function of `d` and `args`: `d` has
what the package offers, and what a test keeps there. Events are kept as they come, in `d.seen`.
"""

import json
import selectors
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from bench.local import Node
from tests.e2e.browsers import chromium
from tests.patience import PATIENCE_S, until

PACKAGE = Path(__file__).parents[2] / "clients" / "js"
NODE = shutil.which("node")
INSTALLED = (PACKAGE / "node_modules" / "ws").exists()

OPEN = """
  const [url, names, { codec, asks, ...options }] = args;
  const token = () => (d.tokens.length > 1 ? d.tokens.shift() : d.tokens[0]);
  d.client = d.connect(url, { ...options, codec: d[codec], token: asks ? token : undefined });
  d.seen = [];
  for (const name of names) {
    d.client.on(name, (event) => d.seen.push([name, event, performance.now()]));
  }
"""
SEEN = (
    *("connection", "welcome", "authed", "expiring", "bye", "error", "joined", "refused", "left"),
    *("messages", "delete", "clear", "state", "gap", "shed", "likes"),
)


class Runtime(Protocol):
    """Where JavaScript runs."""

    def run(self, body: str, *args: Any) -> Any:
        """What the body of an async function returns. Raises where it throws."""


class InNode:
    """A process of Node's."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [str(NODE), str(PACKAGE / "tests" / "repl.mjs")], stdin=pipe, stdout=pipe, text=True
        )
        assert self._process.stdout is not None
        self._news = selectors.DefaultSelector()
        self._news.register(self._process.stdout, selectors.EVENT_READ)

    def run(self, body: str, *args: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"body": body, "args": args}) + "\n")
        self._process.stdin.flush()
        assert self._news.select(PATIENCE_S), f"no answer to {body}"
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def close(self) -> None:
        """End it, which it does when nothing is asked any more."""
        self._news.close()
        try:
            self._process.communicate(timeout=PATIENCE_S)
        finally:
            self._process.kill()


@contextmanager
def in_node(node: Node) -> Iterator[Runtime]:
    runtime = InNode()
    try:
        yield runtime
    finally:
        runtime.close()


@contextmanager
def in_chromium(node: Node) -> Iterator[Runtime]:
    """On an empty page, which is of another origin than the node."""

    class OnPage:
        def run(self, body: str, *args: Any) -> Any:
            run = "async ([body, args]) => { %s return new Function('d', 'args', body)(d, args); }"
            inner = f"return (async () => {{ {body} }})();"
            return page.evaluate(run % "const d = window.d;", [inner, list(args)])

    with chromium() as browser:
        page = browser.new_page()
        page.evaluate(
            "async (at) => { const load = (path) => import(at + path); window.d = {"
            "...await load('/client/danmaku.js'), ...await load('/clients/js/src/msgpack.js') }; }",
            node.page,
        )
        yield OnPage()


class Client:
    """One client in a runtime. With `tokens` it asks for one as often as it likes: these in turn,
    and the last one again and again."""

    def __init__(
        self, runtime: Runtime, url: str, *rooms: str, tokens: Sequence[str] = (), **options: Any
    ) -> None:
        self.run = runtime.run
        self.run("d.tokens = args;", *tokens)
        options["asks"] = bool(tokens)
        self.run(OPEN, url, SEEN, {"rooms": rooms, **options})

    def events(self, name: str) -> list[Any]:
        return list(
            self.run("return d.seen.filter(([n]) => n === args[0]).map(([, e]) => e);", name)
        )

    def until(self, name: str, holds: Callable[[Any], object] = lambda event: True) -> Any:
        """The first event of that name of which `holds` is true."""
        found: list[Any] = []

        def came() -> bool:
            found[:] = [event for event in self.events(name) if holds(event)]
            return bool(found)

        until(came, name)
        return found[0]

    def messages(self) -> list[Any]:
        return [one for batch in self.events("messages") for one in batch["messages"]]

    def until_said(self, *texts: str) -> None:
        """Until these were heard, in this order, and nothing else."""
        until(lambda: len(self.messages()) >= len(texts), f"the last of {texts}")
        assert [one["text"] for one in self.messages()] == list(texts)

    def send(self, room: str, text: str) -> Any:
        """Its ack, or the code it was refused with."""
        return self.run("return d.client.send(...args).catch(({ code }) => code);", room, text)

    def send_soon(self, room: str, *texts: str) -> None:
        """What becomes of them is in `sent`."""
        self.run(
            "d.sent ??= {}; for (const text of args[1]) d.client.send(args[0], text)"
            ".then((ack) => (d.sent[text] = ack), ({ code }) => (d.sent[text] = code));",
            room, texts,
        )  # fmt: skip

    @property
    def sent(self) -> dict[str, Any]:
        return dict(self.run("return d.sent;"))

    @property
    def state(self) -> Any:
        return self.run("return d.client.state;")

    def close(self) -> None:
        self.run("d.client.close(); d.sent = {};")
