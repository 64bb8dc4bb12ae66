"""The stage on a page: 3,000 lines a minute over a playing video, in Chromium, for `--seconds`.

What it measures: frames a second as the page sees them (requestAnimationFrame), the longest pauses
between two, and the share of lines that was left out; JavaScript's heap and the number of nodes,
each behind a forced collection, before and after. The page is of another origin than the node, 1280
px wide, as docs/embed.md says. Chromium draws without a GPU, which a viewer's does not, so nothing
is pinned: it needs both cores. Beside that, what axe finds wrong with the node's own page and with
its console, where npm has installed axe.
"""

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.axe import AXE, broken
from bench.harness import CLIENT_CORE, SERVER_CORE, Figures, Unavailable, pin
from bench.local import Node
from bench.report import Aim, Column, Section
from bench.site import Site, clip, site
from bench.workloads import Settings

PER_SECOND = 50
WARM_S = 15
QUICK_S = 5
ROOM = "page"
HAN = "前方高能预警主播加油这波操作太秀了哈哈哈"
FEWEST_FPS, MOST_GROWTH_MB = 58, 2.0

PAGE = """<!doctype html>
<meta charset="utf-8"><title>Bench</title>
<video src="/live.webm" width="1280" height="720" autoplay muted loop playsinline></video>
<script type="module">
  import {{ mount }} from "{node}/client/stage.js";
  const options = {{ url: "{ws}", room: "{room}", log: false }};
  const stage = mount(document.querySelector("video"), options);
  const gaps = new Float32Array(100_000);
  let [count, last] = [0, 0];
  const frame = (now) => {{
    if (last && count < gaps.length) gaps[count++] = now - last;
    last = now;
    requestAnimationFrame(frame);
  }};
  requestAnimationFrame(frame);
  window.begin = () => {{ [count, last] = [0, 0]; }};
  window.gaps = () => [...gaps.subarray(0, count)];
  window.stats = () => stage.stats;
  stage.client.on("joined", () => (window.joined = true));
</script>
"""

COLUMNS = [
    Column("fps", "frames/s", "{:.1f}"),
    Column("p99_ms", "p99 ms between frames", "{:.1f}"),
    Column("worst_ms", "longest", "{:.0f}"),
    Column("lines", "lines", "{:,.0f}"),
    Column("left_out", "left out", "{:.0%}"),
    Column("before_mb", "heap MB before", "{:.2f}"),
    Column("after_mb", "after", "{:.2f}"),
    Column("nodes", "nodes more", "{:+,.0f}"),
]


@contextmanager
def opened(node: Node, host: Site) -> Iterator[Any]:
    """A page with the stage on it, joined."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as missing:
        raise Unavailable(f"{missing}: pip install playwright") from missing
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise Unavailable("no Chromium: apt install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        try:
            host.files["/live.webm"] = clip(browser)
            html = PAGE.format(node=node.probes, ws=node.ws, room=ROOM)
            page = browser.new_page(viewport={"width": 1280, "height": 740})
            page.goto(host.page("/", html))
            page.wait_for_function("window.joined")
            yield page
        finally:
            browser.close()


def pour(node: Node, seconds: float) -> int:
    """Post at that rate, ten times a second; how many."""
    began, said = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * PER_SECOND) - said
        if due > 0:
            numbers = range(said, said + due)
            lines = [{"uid": f"u{n % 500}", "text": HAN[: 2 + n * 7 % 18]} for n in numbers]
            status, answer = node.request("POST", f"/v1/rooms/{ROOM}/messages", lines)
            if status != 200:
                raise RuntimeError(f"posting failed: {json.dumps(answer)}")
            said += due
        time.sleep(0.1)
    return said


def held(page: Any) -> tuple[float, int]:
    """The heap in MB and the nodes of a page, behind a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    nodes = session.send("Memory.getDOMCounters")["nodes"]
    session.detach()
    return heap, nodes


def found_wrong(page: Any, node: Node) -> int:
    """How much axe finds in the node's page, lines and all, and in its console."""
    wrong = []
    for path, there in ((f"/?room={ROOM}", "#chat .message"), ("/console", "h1")):
        page.goto(node.page + path)
        page.wait_for_selector(there)
        wrong += broken(page)
    for one in wrong:
        print(f"  axe: {one}")
    return len(wrong)


def measure(page: Any, node: Node, seconds: float, warm_s: float) -> Figures:
    pour(node, warm_s)
    before_mb, nodes_before = held(page)
    flown = page.evaluate("() => { begin(); return stats(); }")
    lines = pour(node, seconds)
    gaps = page.evaluate("() => gaps()")
    stats = page.evaluate("() => stats()")
    after_mb, nodes_after = held(page)
    left, flew = (stats[name] - flown[name] for name in ("left_out", "flown"))
    return {
        "fps": len(gaps) * 1000 / sum(gaps),
        "p99_ms": statistics.quantiles(gaps, n=100)[98],
        "worst_ms": max(gaps),
        "lines": lines,
        "left_out": left / max(1, left + flew),
        "before_mb": before_mb,
        "after_mb": after_mb,
        "nodes": nodes_after - nodes_before,
    }


def run(settings: Settings) -> Section:
    seconds = QUICK_S if settings.quick else settings.seconds
    warm_s = 2 if settings.quick else WARM_S
    pin(0, SERVER_CORE, CLIENT_CORE)
    try:
        row, wrong = look(seconds, warm_s)
    finally:
        pin(0, CLIENT_CORE)
    aims = [
        Aim("frames a second", row["fps"], at_least=FEWEST_FPS),
        Aim("MB more on the heap", row["after_mb"] - row["before_mb"], at_most=MOST_GROWTH_MB),
    ]
    if wrong is not None:
        aims.append(Aim("what axe finds wrong", wrong, at_most=0))
    title = f"Page: {PER_SECOND * 60:,} lines a minute over a video, {seconds} s"
    return Section(title, COLUMNS, {"Danmaku: mount()": row}, aims)


def look(seconds: float, warm_s: float) -> tuple[Figures, int | None]:
    with (
        tempfile.TemporaryDirectory(prefix="danmaku-bench-") as folder,
        Node(Path(folder)) as node,
        site() as host,
        opened(node, host) as page,
    ):
        row = measure(page, node, seconds, warm_s)
        return row, found_wrong(page, node) if AXE.exists() else None
