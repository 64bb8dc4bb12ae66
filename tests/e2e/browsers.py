"""Chromium, and the page of a node in it as its viewers have it.

Rules. What a page should show is waited for under the bound of all tests; what a test would find
there already, from before, it does not wait for.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from bench.local import Node
from tests.patience import PATIENCE_S, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SECRET = "a secret of at least thirty-two bytes"
"""That of nodes which know tokens."""

IN_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium"),
]
"""The marks of what needs it."""

SKY = """
window.flew = [];
new MutationObserver((changes) => changes.forEach(({ addedNodes }) =>
  addedNodes.forEach((one) => one.matches?.(".danmaku") && flew.push(one.textContent))))
  .observe(document, { childList: true, subtree: true });
"""
"""Notes what flies, which is gone again before a busy machine looks for it."""

expect.set_options(timeout=1000 * PATIENCE_S)


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", *more],
        )
        try:
            yield browser
        finally:
            browser.close()


def visit(browser: Browser | BrowserContext, url: str, **context: Any) -> Page:
    """A page at an address, once it is connected; in a context made so, or in one that is there."""
    made = browser.new_context(**context) if isinstance(browser, Browser) else browser
    page = made.new_page()
    page.add_init_script(SKY)
    page.goto(url)
    expect(page.locator("#connection")).to_have_attribute("data-state", "open")
    return page


def enter(
    browser: Browser | BrowserContext, node: Node, room: str, uid: str = "", **claims: Any
) -> Page:
    """A page of a guest, or of a user with a token; in a browser of its own, or in a context."""
    named = f"#token={token(uid, **claims)}" if uid else ""
    return visit(browser, f"{node.page}/?room={room}{named}")


def until_said(page: Page, text: str, shown: str) -> None:
    """Say something until it is shown so: shards know of a rule within a second."""

    def is_shown() -> bool:
        say(page, text)
        return said(page, shown).count() > 0

    until(is_shown, shown, 0.5)


def until_flown(page: Page, text: str) -> None:
    """Wait until a line with this text is in the sky of a page, or was."""
    until(lambda: any(text in one for one in page.evaluate("flew")), f"{text} in the sky")


def token(uid: str, **claims: Any) -> str:
    return jwt.encode({"sub": uid, "exp": int(time.time()) + 3600, **claims}, SECRET, "HS256")


def say(page: Page, text: str) -> None:
    page.fill("#input", text)
    page.click("#send")


def said(page: Page, text: str) -> Locator:
    return page.locator("#chat .message[data-uid]", has_text=text)
