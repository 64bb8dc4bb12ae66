"""A video of one's own on the page, behind the danmaku; without it the lake."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.axe import AXE, broken
from bench.local import Node
from bench.site import File, Site, clip, site
from tests.e2e.browsers import IN_CHROMIUM, enter, until_flown
from tests.patience import until

pytestmark = IN_CHROMIUM


@pytest.fixture(scope="module")
def host() -> Iterator[Site]:
    with site() as host:
        yield host


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, host: Site) -> Iterator[Node]:
    url = f"{host.origin}/live.webm?t=1&u=2"
    with Node(tmp_path_factory.mktemp("node"), server_video=url) as node:
        yield node


def comes(page: Page, expression: str) -> None:
    """Asked from outside, as the page's policy lets nothing be evaluated inside it."""
    until(lambda: page.evaluate(expression), expression)


def fly(page: Page, text: str) -> None:
    page.fill("#input", text)
    page.click("#send")
    until_flown(page, text)


def test_it_plays_behind_what_flies(browser: Browser, node: Node, host: Site) -> None:
    host.files["/live.webm"] = clip(browser)
    page = enter(browser, node, "video:plays")
    film = page.locator("#film")
    expect(film).to_be_visible()
    expect(page.locator("#backdrop")).to_be_hidden()
    comes(page, "document.querySelector('#film').currentTime > 0.1")
    assert film.evaluate("film => film.muted && film.loop && film.currentSrc") == (
        f"{host.origin}/live.webm?t=1&u=2"
    )
    fly(page, "over the video")
    comes(
        page,
        """(() => {
          const { left, top, width, height } = film.getBoundingClientRect();
          const over = document.elementsFromPoint(left + width / 3, top + height - 20);
          return over[0] === film;
        })()""",
    )  # its controls can be reached
    if AXE.exists():
        assert broken(page) == []


def test_danmaku_stand_while_it_is_paused(browser: Browser, node: Node, host: Site) -> None:
    host.files["/live.webm"] = clip(browser)
    page = enter(browser, node, "video:paused")
    comes(page, "document.querySelector('#film').currentTime > 0.1")
    fly(page, "stands")
    page.evaluate("film.pause()")
    moving = """document.querySelector('.danmaku').getAnimations().some(
      (one) => one.playbackRate !== 0 && one.playState === 'running')"""
    comes(page, f"!({moving})")
    page.evaluate("film.play()")
    comes(page, moving)


def test_who_asked_for_less_motion_begins_it(browser: Browser, node: Node, host: Site) -> None:
    host.files["/live.webm"] = clip(browser)
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.goto(f"{node.page}/?room=video:calm")
    expect(page.locator("#film")).to_be_visible()
    assert page.evaluate("film.paused && film.currentTime === 0")


@pytest.mark.parametrize("file", [None, File(b"no video", "video/webm")])
def test_without_a_picture_there_is_the_lake(
    browser: Browser, node: Node, host: Site, file: File | None
) -> None:
    host.files.pop("/live.webm", None)
    if file:
        host.files["/live.webm"] = file
    page = enter(browser, node, "video:none")
    comes(page, "film.error !== null")
    expect(page.locator("#film")).to_be_hidden()
    expect(page.locator("#backdrop")).to_be_visible()
    fly(page, "over the lake")


def test_the_lake_is_alive(browser: Browser, tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        page = enter(browser, node, "video:lake")
        lake = page.locator("#backdrop")
        expect(lake).to_be_visible()
        assert page.evaluate("film.currentSrc") == ""
        page.evaluate("window.before = backdrop.toDataURL()")
        comes(page, "backdrop.toDataURL() !== window.before")
