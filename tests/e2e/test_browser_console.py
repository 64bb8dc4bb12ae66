"""The console in a real browser: an evening run from it, on a node of two shards."""

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.local import Node
from tests.e2e.browsers import IN_CHROMIUM, SECRET, enter, said, say, until_said
from tests.e2e.console import KEY, READER, Console, open_console

pytestmark = IN_CHROMIUM

SETTINGS = {
    "auth_secret": SECRET,
    "api_key": KEY,
    "api_keys": f'[{{name = "reader", key = "{READER}", scopes = ["read"]}}]',
}


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    return f"con:{request.node.originalname}"[:64]


@pytest.fixture
def console(browser: Browser, node: Node) -> Console:
    return open_console(browser, node, KEY)


class TestEvening:
    def test_rooms_are_there_by_size_and_a_line_comes_as_it_is_said(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room, "u1", name="阿花")
        enter(browser, node, room)
        console.go("rooms")
        row = console.row(room)
        expect(row.locator(".count-cell").first).to_have_text("2")
        row.get_by_role("link").click()
        expect(console.page.get_by_role("heading", level=1)).to_contain_text(room)
        say(viewer, "前方高能 <b>x</b>")
        line = console.line("前方高能 <b>x</b>")
        expect(line.locator(".line-who")).to_have_text("阿花")
        assert console.page.locator(".lines b").count() == 0

    def test_a_line_is_deleted_its_sender_muted_for_a_time_and_banned(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room, "rude", name="Rude")
        console.go(f"rooms/{room}")
        say(viewer, "vile")
        console.line("vile").get_by_role("button", name="Delete “vile” of Rude").click()
        expect(console.told).to_have_text("Deleted.")
        expect(said(viewer, "vile")).to_have_count(0)
        expect(console.line("vile")).to_have_count(0)
        expect(console.line("taken back")).to_have_count(1)

        say(viewer, "more")
        dialog = console.act_on("more")
        dialog.get_by_label("For").select_option("600")
        dialog.get_by_label("Reason").fill("enough")
        dialog.get_by_role("button", name="Mute", exact=True).click()
        expect(console.told).to_have_text("Rude is muted.")
        expect(dialog).to_have_count(0)
        say(viewer, "am I muted")
        expect(viewer.locator("#error")).to_be_visible()
        [mute] = node.request("GET", f"/v1/rooms/{room}/mutes", headers=console.headers)[1]["mutes"]
        assert (mute["uid"], mute["reason"]) == ("rude", "enough")
        assert mute["until"] > 0

        dialog = console.act_on("more")
        dialog.get_by_role("button", name="Ban", exact=True).click()
        expect(console.told).to_have_text("Rude is banned.")
        expect(viewer.locator("#connection")).to_have_attribute("data-state", "closed")
        console.page.locator(".fold summary", has_text="Bans").click()
        lift = console.page.get_by_role("button", name="Lift for rude")
        lift.click()
        expect(console.told).to_have_text("Lifted.")
        expect(lift).to_have_count(0)

    def test_rules_an_announcement_and_a_pinned_message_reach_viewers(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room)
        console.go(f"rooms/{room}")
        rules = console.page.get_by_role("form", name="Rules")
        rules.get_by_label("Slow mode (seconds)").fill("45")
        rules.get_by_label("Announcement").fill("Be nice 请友善")
        rules.get_by_role("button", name="Save").click()
        expect(console.told).to_have_text("Saved.")
        expect(viewer.locator("#rules-now")).to_contain_text("Be nice 请友善")
        settings = node.request("GET", f"/v1/rooms/{room}/settings", headers=console.headers)[1]
        assert (settings["slow_s"], settings["announcement"]) == (45, "Be nice 请友善")

        say_form = console.page.get_by_role("form", name="Say something")
        say_form.get_by_label("Text").fill("read this")
        say_form.get_by_label("Name").fill("Host")
        say_form.get_by_role("button", name="Send").click()
        expect(said(viewer, "read this")).to_have_count(1)
        expect(console.line("read this")).to_have_count(1)

    def test_what_is_wrong_is_said_at_its_field(self, room: str, console: Console) -> None:
        console.go(f"rooms/{room}")
        rules = console.page.get_by_role("form", name="Rules")
        slow = rules.get_by_label("Slow mode (seconds)")
        slow.fill("999999")
        rules.get_by_role("button", name="Save").click()
        expect(slow).to_have_attribute("aria-invalid", "true")
        expect(slow).to_be_focused()
        expect(rules.locator(".problem", has_text="86400")).to_be_visible()
        slow.fill("0")
        rules.get_by_role("button", name="Save").click()
        expect(console.told).to_have_text("Saved.")
        expect(slow).not_to_have_attribute("aria-invalid", "true")

    def test_rules_that_somebody_else_changes_take_nothing_that_was_typed(
        self, node: Node, room: str, console: Console
    ) -> None:
        console.go(f"rooms/{room}")
        rules = console.page.get_by_role("form", name="Rules")
        slow = rules.get_by_label("Slow mode (seconds)")
        path = f"/v1/rooms/{room}/settings"
        expect(slow).to_have_value("0")
        node.request("PATCH", path, {"slow_s": 7}, console.headers)
        expect(slow).to_have_value("7")
        rules.get_by_label("Announcement").fill("half a sen")
        node.request("PATCH", path, {"slow_s": 8}, console.headers)
        expect(console.page.get_by_text("Somebody has changed these rules")).to_be_visible()
        expect(rules.get_by_label("Announcement")).to_have_value("half a sen")
        console.page.get_by_role("button", name="Load them").click()
        expect(slow).to_have_value("8")

    def test_words_hold_and_are_tried_out(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room)
        console.go("moderation/words")
        words = console.page.get_by_role("form", name="Words")
        words.get_by_label("Refuse").fill("badword\n坏词\n")
        words.get_by_label("Mask with *").fill("damn")
        console.save(words)
        expect(console.told).to_have_text("Saved.")
        tried = console.page.get_by_role("form", name="Try a text")
        outcome = console.page.locator(".outcome")
        for text, told in (
            ("b.a.d.w.o.r.d", "Is refused."),
            ("damn it", "Is shown as: **** it"),
            ("good", "Passes."),
        ):
            tried.get_by_label("Text").fill(text)
            tried.get_by_role("button", name="Try").click()
            expect(outcome).to_have_text(told)
        until_said(viewer, "damn that", "**** that")
        words.get_by_label("Refuse").fill("")
        words.get_by_label("Mask with *").fill("c++")
        words.get_by_role("button", name="Save").click()
        expect(words.get_by_label("Mask with *")).to_have_attribute("aria-invalid", "true")
        words.get_by_label("Mask with *").fill("")
        console.save(words)
        expect(words.get_by_label("Refuse")).to_have_value("")

    def test_a_broadcast_reaches_everybody_once_it_is_meant(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room)
        console.go("broadcast")
        form = console.page.get_by_role("form", name="Broadcast")
        form.get_by_label("To", exact=True).select_option("all")
        form.get_by_label("Text").fill("the show begins")
        form.get_by_role("button", name="Send").click()
        console.page.get_by_role("button", name="Cancel").click()
        form.get_by_role("button", name="Send").click()
        console.page.get_by_role("dialog").get_by_role("button", name="Send").click()
        expect(console.told).to_have_text("Sent to everybody.")
        expect(viewer.locator("#chat .message", has_text="the show begins")).to_have_count(1)
        form.get_by_label("To", exact=True).select_option("rooms")
        form.get_by_label("Names, one a line").fill("no room")
        form.get_by_label("Text").fill("x")
        form.get_by_role("button", name="Send").click()
        expect(form.get_by_label("Names, one a line")).to_have_attribute("aria-invalid", "true")

    def test_a_user_is_found_and_disconnected_and_the_audit_has_it_all(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        viewer = enter(browser, node, room, "u-lost", name="Lost One")
        console.go("users")
        console.page.get_by_label("Part of a name or uid").fill("lost o")
        console.page.keyboard.press("Enter")
        console.row("Lost One").get_by_role("link").click()
        expect(console.page.get_by_role("heading", level=1)).to_have_text("u-lost")
        expect(console.page.get_by_role("link", name=room)).to_be_visible()
        console.page.get_by_role("button", name="Disconnect").click()
        console.page.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
        expect(console.told).to_have_text("Connections closed: 1.")
        expect(viewer.locator("#connection")).not_to_have_attribute("data-state", "open")
        expect(console.page.get_by_text("Not connected.")).to_be_visible()
        console.go("moderation/audit")
        expect(console.row("u-lost")).to_contain_text("kick")
        node.request("PUT", "/v1/mutes/u-later", {"reason": "live"}, console.headers)
        expect(console.page.locator("tbody tr").first).to_contain_text("u-later")

    def test_a_report_comes_and_is_dealt_with(
        self, browser: Browser, node: Node, room: str, console: Console
    ) -> None:
        other, viewer = enter(browser, node, room), enter(browser, node, room)
        console.go("moderation/reports")
        say(other, "buy followers")
        said(viewer, "buy followers").locator(".name").click()
        viewer.get_by_role("menuitem", name="Report to the moderators").click()
        row = console.row("buy followers")
        row.get_by_role("button", name="Delete").click()
        expect(said(viewer, "buy followers")).to_have_count(0)
        row.get_by_role("button", name="Done").click()
        expect(row).to_have_count(0)


class TestKeys:
    def test_a_key_that_is_none_is_said_and_the_next_one_opens(
        self, browser: Browser, node: Node
    ) -> None:
        page = gate(browser, node)
        for given, told in (("wrong-key-of-nobody", "no key of this server's"), ("钥匙", "ASCII")):
            page.get_by_label("API key").fill(given)
            page.keyboard.press("Enter")
            expect(page.locator("#app")).to_contain_text(told)
        page.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator(".connection")).to_have_text("Live")

    def test_the_key_is_the_tabs_and_in_no_address(self, browser: Browser, node: Node) -> None:
        console = open_console(browser, node, KEY)
        page = console.page
        seen: list[str] = []
        page.on("request", lambda request: seen.append(request.url))
        page.reload()
        expect(page.locator(".connection")).to_have_text("Live")
        assert any("/v1/live" in url for url in seen)
        assert not any(KEY in url for url in [*seen, page.url])
        assert KEY not in page.evaluate("JSON.stringify(localStorage) + document.cookie")
        page.get_by_role("button", name="Forget the key").click()
        expect(page.get_by_label("API key")).to_be_visible()
        page.reload()
        expect(page.get_by_label("API key")).to_be_visible()

    def test_what_a_key_may_not_is_said_and_no_button(
        self, browser: Browser, node: Node, room: str
    ) -> None:
        viewer = enter(browser, node, room)
        say(viewer, "hello")
        console = open_console(browser, node, READER)
        page = console.page
        for section, scope in (
            ("overview", "metrics"),
            ("users", "moderate"),
            ("moderation/words", "moderate"),
            ("broadcast", "publish"),
        ):
            console.go(section)
            expect(page.locator(".main .needs").first).to_contain_text(f"“{scope}”")
            expect(page.locator(".main").get_by_role("button")).to_have_count(0)
        console.go(f"rooms/{room}")
        expect(console.line("hello")).to_have_count(1)
        expect(page.get_by_text("Slow mode (seconds)")).to_be_visible()
        expect(page.locator(".main").get_by_role("button")).to_have_count(0)


def gate(browser: Browser, node: Node) -> Page:
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(f"{node.probes}/console")
    expect(page.get_by_label("API key")).to_be_focused()
    return page
