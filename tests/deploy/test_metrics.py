"""What deploy/ asks for is what a running node tells: names, labels and their values."""

import asyncio
import re
import socket
import time
from collections import defaultdict
from pathlib import Path

import jwt
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.local import Node
from tests.deploy.queries import BY, DEPLOY, MATCHER, SELECTOR, WORD, expressions
from tests.e2e.viewers import Viewer
from tests.patience import PATIENCE_S

SECRET = "a secret of at least thirty-two bytes"
KEY = "k" * 40
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
ROOM = "live:metrics"
PROMETHEUS_OWN = {"instance", "job"}
UNTESTED_VALUES = {"status"}
"""Labels with values that no test can bring about."""

Series = dict[str, list[dict[str, str]]]
"""The labels of all samples, by their name."""


async def say_something(node: Node) -> None:
    """A bit of everything: typing, coming back, moderating, publishing, asking, being refused."""
    claims = {"sub": "mod", "role": "moderator", "exp": int(time.time()) + 3_600}
    token = jwt.encode(claims, SECRET, "HS256")
    viewers = [await Viewer.open(node.ws, ROOM) for _ in range(8)]
    moderator = await Viewer.open(node.ws, ROOM, token=token)
    for i in range(20):
        assert (await viewers[i % 8].type(ROOM, f"{i}"))["t"] == "ack"
    mute = {"t": "moderate", "room": ROOM, "action": "mute", "uid": "somebody"}
    assert (await moderator.ask(mute))["t"] == "done"
    path = f"/v1/rooms/{ROOM}/messages"
    assert node.request("POST", path, [{"text": "x"}] * 100, AUTHORIZED)[0] == 200
    assert node.request("POST", path, [{"text": ""}], AUTHORIZED)[0] == 400
    for viewer in (*viewers, moderator):
        await viewer.until(lambda viewer: len(viewer.of("msg")) == 120)
    since = {"epoch": moderator.epoch, "seq": 100}
    back = await Viewer.open(node.ws)
    joined = await back.ask({"t": "join", "room": ROOM, "since": since})
    assert joined["recovered"]
    for viewer in (*viewers, moderator, back):
        await viewer.close()
    with socket.create_connection(("127.0.0.1", node.api_port), 10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
        assert b" 431 " in stranger.recv(4_096)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a node says of itself after that."""
    folder: Path = tmp_path_factory.mktemp("node")
    with Node(folder, auth_secret=SECRET, api_key=KEY) as node:
        asyncio.run(say_something(node))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, text = node.request("GET", "/metrics", headers=AUTHORIZED)
            assert status == 200
            # A lag is told at a tick, and when all is written after a viewer has it.
            told = summed(text)
            if all(told[f"danmaku_{name}_seconds_sum"] for name in ("loop_lag", "delivery")):
                return str(text)
            assert time.monotonic() < deadline
            time.sleep(0.05)


def summed(scraped: str) -> dict[str, float]:
    """The sums of all samples, by their name."""
    totals: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            totals[sample.name] += sample.value
    return totals


@pytest.fixture(scope="module")
def series(scraped: str) -> Series:
    found: Series = defaultdict(list)
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            found[sample.name].append(sample.labels)
    return found


def test_every_word_that_looks_like_a_metric_is_one(series: Series) -> None:
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    assert len(files) > 1
    words = {(file.name, word) for file in files for word in WORD.findall(file.read_text())}
    assert len(words) > 60
    assert {(file, word) for file, word in words if word not in series} == set()


def test_every_label_that_is_asked_for_is_there_and_has_such_a_value(series: Series) -> None:
    asked = 0
    for where, expr in expressions().items():
        for name, matchers in SELECTOR.findall(expr):
            for label, how, value in MATCHER.findall(matchers):
                if label in PROMETHEUS_OWN:
                    continue
                there = {labels[label] for labels in series[name] if label in labels}
                assert there, f"{where}: {name} has no label {label}"
                pattern = value if how == "=~" else re.escape(value)
                parts = pattern.split("|") if label not in UNTESTED_VALUES else []
                for part in parts:
                    assert any(re.fullmatch(part, one) for one in there), f"{where}: {part}"
                asked += 1
    assert asked > 5


def test_every_label_that_is_kept_is_there(series: Series) -> None:
    for where, expr in expressions().items():
        names = [name for name, _ in SELECTOR.findall(expr)]
        there = {label for name in names for labels in series[name] for label in labels}
        kept = {label.strip() for by in BY.findall(expr) for label in by.split(",")}
        assert kept <= there | PROMETHEUS_OWN, where


def test_what_was_done_is_what_is_told(scraped: str) -> None:
    totals = summed(scraped)
    assert totals["danmaku_messages_in_total"] == 20
    assert totals["danmaku_messages_published_total"] == 20
    assert totals["danmaku_api_published_total"] == 100
    assert totals["danmaku_messages_delivered_total"] == 9 * 120
    assert totals["danmaku_moderation_actions_total"] == 1
    assert totals["danmaku_joins_total"] == 10
    assert totals["danmaku_resumes_total"] == 1
    assert totals["danmaku_flush_messages_sum"] >= 120
    assert totals["danmaku_flush_messages_count"] == totals["danmaku_flushes_total"]
    assert totals["danmaku_bus_connected"] == 2
    for name in ("delivery", "publish", "turn", "loop_lag", "bus_request", "api_request"):
        assert totals[f"danmaku_{name}_seconds_count"] > 0, name
        assert totals[f"danmaku_{name}_seconds_sum"] > 0, name
    for name in ("writes", "sent_bytes", "received_bytes", "received_frames", "commands"):
        assert totals[f"danmaku_{name}_total"] > 0, name
    for name in ("handler_errors", "bus_errors", "gap_messages"):
        assert totals[f"danmaku_{name}_total"] == 0, name
