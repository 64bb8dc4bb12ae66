"""Pages of another origin than a node's, in Chromium, with the node's stage on their video.

Rules. Their policy is the one that docs/embed.md says, without a hole; their style sheet does to a
stage what it can. What a page complains of fails its test.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page

from bench.local import Node
from bench.site import File, Site, clip, site
from tests.e2e.browsers import SECRET, chromium
from tests.patience import until

DOCUMENT = (Path(__file__).parents[2] / "docs" / "embed.md").read_text("utf-8")
[POLICY] = re.findall(r"```\nContent-Security-Policy: (.*?)```", DOCUMENT, re.DOTALL)

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Live</title>
<link rel="stylesheet" href="/hostile.css">
<p id="above">Above</p>
<div class="player"><video id="live" src="/live.webm" muted loop playsinline></video></div>
<div id="box"></div>
<p id="below">Below</p>
<script type="module" src="/page.js"></script>
"""
STYLE = """
div { color: red; font-size: 99px; transform: rotate(3deg); }
.player, #box { transform: none; }
div div { display: none !important; }
p, span, button { position: static !important; text-transform: uppercase; }
.player { display: grid; grid-template-columns: 1fr 3fr; }
.player > video { width: 100%; aspect-ratio: 16 / 9; grid-column: 2; }
#box { height: 300px; }
.danmaku { display: none !important; }
"""

SAME_PLACE = """((one, other) =>
  ["left", "top", "width", "height"].every((side) => Math.abs(one[side] - other[side]) < 1)
)(host.getBoundingClientRect(), video.getBoundingClientRect())"""
UNCHANGED = "() => JSON.stringify(layout()) === JSON.stringify(before)"
ON_TOP = """lines.some((line) => {
  const { left, top, width } = line.getBoundingClientRect();
  const [over] = document.elementsFromPoint(left + width / 2, top + 5);
  return document.fullscreenElement.contains(host) && over === host;
})"""
OVERLAPS = """((places) => [
  places.length,
  places.flatMap((one, nth) => places.slice(nth + 1).filter((other) =>
    one.left < other.right && other.left < one.right
    && one.top < other.bottom && other.top < one.bottom)).length,
])(lines.map((line) => line.getBoundingClientRect()))"""
SHARE = """async (url) => {
  window.client = connect(url, { rooms: ["stage:other"] });
  await new Promise((resolve) => client.on("joined", resolve));
  const there = new Promise((resolve) => client.on("joined", resolve));
  window.stage = mount(document.querySelector("video"), { client, room: "stage:shared" });
  await there;
}"""

rooms = count()


def address(node: Node, text: str) -> str:
    """What stands in the document, of this node."""
    return text.replace("chat.example.com", f"127.0.0.1:{node.port}").replace(
        "wss://", "ws://"
    ).replace(f"https://127.0.0.1:{node.port}", f"http://127.0.0.1:{node.port}")  # fmt: skip


class Embedded:
    """A page with a stage on its video, and what goes on in its room."""

    def __init__(self, page: Page, node: Node, room: str) -> None:
        self.page, self.node, self.room = page, node, room

    def say(self, *texts: str, **more: object) -> list[int]:
        said = [{"uid": "u", "name": more.get("uid", "u"), "text": text, **more} for text in texts]
        path = f"/v1/rooms/{self.room}/messages"
        status, answer = self.node.request("POST", path, said)
        assert status == 200, answer
        return list(range(answer["first"], answer["last"] + 1))

    def order(self, method: str, path: str, body: object = None) -> Any:
        status, answer = self.node.request(method, f"/v1/rooms/{self.room}{path}", body)
        assert status == 200, answer
        return answer

    def line(self, text: str) -> Locator:
        return self.page.locator(".danmaku", has_text=text)

    def run(self, expression: str, *args: object) -> Any:
        return self.page.evaluate(expression, *args)

    def inside(self, expression: str) -> Any:
        """An expression of the stage's shadow `tree`, its `video` and their page."""
        return self.run(
            f"""() => {{
              const host = document.querySelector(".danmaku-stage");
              const [tree, video] = [host?.shadowRoot, document.querySelector("video")];
              const lines = [...(tree?.querySelectorAll(".danmaku") ?? [])];
              return {expression};
            }}"""
        )

    @property
    def stats(self) -> dict[str, float]:
        found: dict[str, float] = self.run("() => stage.stats")
        return found

    def where(self, text: str) -> float:
        """How far a line is from the left, as it is seen."""
        box = self.line(text).bounding_box()
        assert box is not None
        return box["x"]

    def flies(self, text: str) -> bool:
        before = self.where(text)
        time.sleep(0.3)
        return self.where(text) < before - 1

    def items(self) -> list[str]:
        return self.page.get_by_role("menuitem").all_inner_texts()


@dataclass
class Theatre:
    """A node of two shards, a site that it lets in, and what is shown there."""

    node: Node
    host: Site
    browser: Browser
    video: File


@contextmanager
def opened_theatre(folder: Path) -> Iterator[Theatre]:
    with site() as host, chromium() as browser:
        origins = json.dumps([host.origin])
        with Node(folder, auth_secret=SECRET, server_origins=origins) as node:
            yield Theatre(node, host, browser, clip(browser))


@contextmanager
def embedding(theatre: Theatre) -> Iterator[Callable[..., Embedded]]:
    """Opens pages that have the stage mounted with options, in a room of their own."""
    opened: list[Page] = []
    problems: list[str] = []
    node, host, video = theatre.node, theatre.host, theatre.video
    room = f"stage:{next(rooms)}"
    host.files["/live.webm"] = video
    host.files["/hostile.css"] = File(STYLE.encode(), "text/css")

    def open_one(
        on: str = "#live", context: dict[str, Any] | None = None, **options: Any
    ) -> Embedded:
        given = {"url": node.ws, "room": room, **options}
        host.files["/page.js"] = File(
            f"""import {{ mount }} from "http://127.0.0.1:{node.port}/client/stage.js";
            import {{ connect }} from "http://127.0.0.1:{node.port}/client/danmaku.js";
            const layout = () => [...document.querySelectorAll("p, video, .player, #box")]
              .map((one) => JSON.stringify(one.getBoundingClientRect()));
            const before = layout();
            const stage = mount(document.querySelector({json.dumps(on)}), {json.dumps(given)});
            Object.assign(window, {{ mount, connect, stage, layout, before, heard: [], flew: [] }});
            stage.client.on("message", ({{ text }}) => heard.push(text));
            new MutationObserver((changes) => changes.forEach(({{ addedNodes }}) =>
              addedNodes.forEach(({{ textContent }}) => flew.push(textContent))))
              .observe(document.querySelector(".danmaku-stage").shadowRoot.querySelector(".sky"),
                {{ childList: true }});
            stage.client.on("joined", () => (window.joined = true));
            """.encode(),
            "text/javascript",
        )
        policy = address(node, POLICY).replace("\n", " ").strip()
        page = theatre.browser.new_context(**(context or {})).new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(host.page("/embedded", PAGE, Content_Security_Policy=policy))
        until(lambda: page.evaluate("() => window.joined"), "the room")
        opened.append(page)
        return Embedded(page, node, room)

    yield open_one
    for page in opened:
        page.context.close()
    assert not [one for one in problems if "WebSocket" not in one]
