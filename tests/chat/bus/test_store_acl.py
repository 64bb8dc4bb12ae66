"""docs/running.md names the commands that are needed: a user with just these can do everything."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from chat.bus import inquiry as inquiry_module
from chat.bus.audit import Audit
from chat.bus.crowds import Crowds
from chat.bus.devices import Asked, Leases, Other
from chat.bus.entries import Ruled, pack
from chat.bus.groups import ALL, NEW, Groups, Taken
from chat.bus.inquiry import Found, Inquiry
from chat.bus.outgoing import RoomLimits
from chat.bus.pages import BEGINNING, page_of_fields
from chat.bus.redaction import Redaction
from chat.bus.reports import Report, Reports
from chat.bus.rules import Rules
from chat.bus.store import MIN_ID, Receipt, Store
from chat.ops.busserver import look
from chat.ops.engine import EmbeddedEngine
from chat.wire.schema import Msg
from tests.chat.rig import a_store, outgoing

DOCS = Path(__file__).parents[3] / "docs" / "running.md"
RULES = re.findall(r"^ACL SETUSER danmaku (.*)$", DOCS.read_text("utf-8"), re.MULTILINE)


@pytest.fixture
async def user(raw: Any) -> AsyncIterator[str]:
    [rules] = RULES
    await raw.execute_command("ACL", "SETUSER", "danmaku", *rules.split())
    yield "danmaku:PASSWORD"
    await raw.execute_command("ACL", "DELUSER", "danmaku")


@pytest.fixture
def url(valkey: EmbeddedEngine, user: str) -> str:
    return valkey.url.replace("unix://", f"unix://{user}@")


@pytest.fixture
async def store(url: str, prefix: str) -> AsyncIterator[Store]:
    store = a_store(url, f"danmaku:{prefix}")
    yield store
    await store.close()


async def test_all_that_a_worker_asks_for_may_be_asked(store: Store) -> None:
    groups = Groups(store, "g", "a")
    units = [*groups.rooms_units(events=True), groups.everywhere(store.keys.audit)]
    assert await groups.present(60_000) == 1
    assert await groups.lease(units, 60_000) == [(NEW, "")] * 5
    await store.publish([outgoing("r", "a"), outgoing("r", "b")], "e1", 1, 60.0)
    taken = [one for one in await groups.take(units, 1, ALL) if isinstance(one, Taken)]
    [one] = [one for one in taken if one.entries]
    assert await groups.seek(one.unit, one.stream, "0-1", -1) == 1
    await groups.done(taken)
    assert await groups.seek(one.unit, one.stream, "0-1", 0) == 2
    assert await groups.present(0) == 0


async def test_all_that_a_shard_asks_for_may_be_asked(store: Store) -> None:
    await store.ping()
    got = await store.publish([outgoing("r", "a", "id"), outgoing("r", "b")], "e1", 1, 60.0)
    assert [type(one) for one in got] == [Receipt, Receipt]
    assert (await store.open_room("r", newest=9)).seq == 2
    await store.open_room("new")
    await store.renew_room("r", "e1", "e2")
    [peek] = await store.peek_rooms([("r", 2)])
    assert peek is not None
    assert peek.epoch == "e2"
    assert await store.peek_room("r") == ("e2", 2)
    assert len(await store.history("r", "e2", 0, 9)) == 2
    assert (await Redaction(store, lambda: 5.0).remove("r", 1)).count == 1
    assert len((await store.page_before("r", 9, 9)).places) == 3
    partition = store.keys.partition("r")
    crowds = Crowds(store, 20)
    for count in (3, 0):
        await crowds.report(partition, "s1", [("r", count)], {"r": ["u7", "u8"]})
        found = await crowds.of("r")
        assert (found.online, found.peak, found.unique) == (count, 3, 2)
    assert await crowds.reported(partition, "s1") == []
    assert await crowds.top(5) == []
    rules = Rules(store)
    await rules.change("r", {"a": b"1"}, state=pack(Ruled({}, 1)))
    await rules.change(None, {"a": b"1"})
    await rules.give_back(None, {"b": b"1"})
    await rules.fetch("r", ["a"])
    await rules.load([None, "r"])
    await Audit(store, 100).write(b"x")
    devices = [Asked(what, "u7", "s1-0-a", 0.0) for what in ("take", "keep", "free")]
    assert await Leases(store).settle(devices) == [Other()] * 3
    await store.wake("s1")
    await store.notify(b"x")
    assert await store.clock_ms()
    tail = store.tail(store.keys.broadcast, 1.0)
    assert await tail.read({store.keys.broadcast: MIN_ID}, 9)
    await tail.close()


async def test_reports_may_be_queued_and_taken_out(store: Store) -> None:
    reports = Reports(store)
    message = Msg("r", 1, "e1-1", "u", "n", "x", 1, "scroll", 25, 1)
    assert await reports.add(Report(1, "u1", message)) == (True, 0)
    [(report_id, _)], _ = await reports.page(BEGINNING, 9)
    assert await reports.find(report_id)
    assert await reports.take(report_id)


async def test_shards_may_be_asked_and_may_answer(store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(inquiry_module, "ANSWER_S", 0.0)
    monkeypatch.setattr(inquiry_module, "SILENT_S", 0.0)
    inquiry = Inquiry(store, 0.0)
    await inquiry.alive("s1")
    await inquiry.alive("s2")  # and s1 is silent
    await inquiry.answer("i1", "s1", Found(0, []))
    assert (await inquiry.ask("u1")).answered == 0
    await inquiry.gone("s2")


async def test_rules_and_the_audit_may_be_listed(store: Store) -> None:
    assert await page_of_fields(store, store.keys.rules("r"), "mute", "", 9) == ([], None)
    assert await Audit(store, 10).page(BEGINNING, 9) == ([], None)


async def test_no_refusal_is_hidden_in_a_script(store: Store, raw: Any) -> None:
    await raw.execute_command("ACL", "LOG", "RESET")
    limits = RoomLimits(60, 60, 1)
    for _ in range(2):
        limited = structs.replace(outgoing("r", "c"), limits=limits)
        await store.publish([outgoing("r", "a", "id"), outgoing("r", "b"), limited], "e1", 1, 60.0)
    await Redaction(store, lambda: 5.0).clear("r", None)
    for shard, counts in (("dead", [("r", 1)]), ("s1", [("r", 1)]), ("s1", [])):
        await Crowds(store, 0).report(store.keys.partition("r"), shard, counts, {"r": ["u7"]})
    refused = await raw.execute_command("ACL", "LOG")
    assert [one for one in refused if "setinfo" not in str(one)] == []


async def test_other_keys_may_not_be_touched(url: str) -> None:
    store = a_store(url, "elsewhere")
    [outcome] = await store.publish([outgoing("r", "a")], "e1", 1, 60.0)
    assert not isinstance(outcome, Receipt)
    await store.close()


def test_the_doctor_may_look(url: str) -> None:
    assert look(url, 5.0).persistence == "unknown"
