"""The console as somebody at it sees it, for the tests in a browser."""

from dataclasses import dataclass
from urllib.parse import quote

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from bench.local import Node

KEY = "evening-0123456789abcdef"
READER = "reader-0123456789abcdef"


@dataclass
class Console:
    """One that is open."""

    page: Page
    headers: dict[str, str]

    @property
    def told(self) -> Locator:
        """What it says of the last thing that was done."""
        return self.page.locator("#told")

    def go(self, section: str) -> None:
        """Open a section, as its link does."""
        self.page.evaluate("to => { location.hash = to; }", quote(section))
        part = section.partition("/")[0].replace("watch", "rooms")
        current = self.page.locator(f".sections a[data-section={part}]")
        expect(current).to_have_attribute("aria-current", "page")

    def save(self, form: Locator) -> None:
        """Press a form's button, and have the server's answer: what was told before may stand there
        still."""
        with self.page.expect_response(lambda one: one.request.method in ("PUT", "PATCH")):
            form.get_by_role("button", name="Save").click()

    def row(self, text: str) -> Locator:
        """The row of a table with a text."""
        return self.page.locator("tbody tr", has_text=text)

    def line(self, text: str) -> Locator:
        """A line of a room."""
        return self.page.locator(".line", has_text=text)

    def act_on(self, text: str) -> Locator:
        """The dialog about whoever said it."""
        self.line(text).locator("button.line-who").click()
        return self.page.get_by_role("dialog")


def open_console(browser: Browser | BrowserContext, node: Node, key: str, at: str = "") -> Console:
    """A console at the WebSocket's port, or at another address, opened with a key."""
    context = browser if isinstance(browser, BrowserContext) else browser.new_context(locale="en")
    page = context.new_page()
    page.goto(at or f"{node.probes}/console")
    page.locator("input[name=key]").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator(".connection")).to_have_attribute("data-state", "open")
    return Console(page, {"Authorization": f"Bearer {key}"})
