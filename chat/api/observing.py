"""What moderators look at by HTTP: a user on all nodes, the audit, and what viewers reported.

Rules. Shards are asked about a user when somebody wants to know, and the answer says whether all
have answered. What is dealt with or closed here is in the audit like any action; so is who has
asked for a user's addresses, which are personal data and are told only then.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from chat.api import asked
from chat.api.answers import answer
from chat.api.bodies import BadBody
from chat.api.doors import Doors
from chat.api.live_paths import MAX_SEARCH, FoundUserOut, UsersOut
from chat.api.models import Problem
from chat.api.parts import Parts
from chat.api.rulings import (
    AuditEntryOut,
    AuditOut,
    ConnectionOut,
    DealtOut,
    DisconnectedOut,
    ReportOut,
    ReportsOut,
    RoomSanction,
    UserOut,
)
from chat.bus.inquiry import MOST_FOUND, Answers
from chat.bus.pages import is_id
from chat.bus.reports import Listed
from chat.policy.orders import SETTINGS, Actor, Everywhere
from chat.policy.rules import BAN, MUTE, read_sanction
from chat.wire.schema import UNREADABLE
from shard.logids import REQUEST

MAX_PAGE: Final = 1000
MOST_ROOMS: Final = 100
"""Of a user's rooms in which mutes and bans are looked for."""


class Observing:
    """The handlers."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def routes(self) -> Sequence[Parts]:
        """What is served."""
        return [
            Parts("/v1/users", GET=self.users),
            Parts("/v1/users/{uid}", GET=self.user),
            Parts("/v1/users/{uid}/connections", DELETE=self.disconnect),
            Parts("/v1/audit", GET=self.audit),
            Parts("/v1/reports", GET=self.reports),
            Parts("/v1/reports/{id}", DELETE=self.deal),
        ]

    # --- users ---------------------------------------------------------------------------------

    async def users(self, request: Request) -> Response:
        given = request.query_params.get("q", "")
        text = given.strip()
        if not text or len(given) > MAX_SEARCH:
            raise BadBody([Problem(f"expected 1 to {MAX_SEARCH} characters to look for", "q")])
        limit = asked.number(request, "limit", 50, 1, MOST_FOUND)
        answers = await self._doors.inquiry.search(text)
        users = merged(answers)
        more = len(users) > limit
        return answer(UsersOut(users[:limit], more, *_whole(answers)))

    async def user(self, request: Request) -> Response:
        uid = asked.uid(request.path_params["uid"])
        addresses, actor = asked.flag(request, "addresses"), asked.actor(request)
        if addresses:
            await self._write("addresses", actor, uid)
        answers = await self._doors.inquiry.ask(uid, addresses)
        connections = [
            ConnectionOut(one.name, shard, one.role, one.rooms, one.address)
            for shard, found in sorted(answers.found.items())
            for one in found.connections
        ]
        rooms = sorted({room for one in connections for room in one.rooms})
        mutes, bans = await self._sanctions(uid, rooms[:MOST_ROOMS])
        found = UserOut(uid, _count(answers), connections, rooms, mutes, bans, *_whole(answers))
        return answer(found)

    async def _sanctions(
        self, uid: str, rooms: Sequence[str]
    ) -> tuple[list[RoomSanction], list[RoomSanction]]:
        """A user's mutes and bans, of everywhere and of these rooms, that hold now."""
        store = self._doors.store
        where = [None, *rooms]
        names = [f"{MUTE}:{uid}", f"{BAN}:{uid}"]
        asking = [
            (key, lambda pipe, on, key=key: pipe.hmget(key, names))
            for key in map(store.keys.rules, where)
        ]
        found = await store.servers.ask_all(asking)
        now = int(time.time() * 1000)
        kinds: tuple[list[RoomSanction], list[RoomSanction]] = ([], [])
        for room, values in zip(where, found, strict=True):
            for held, packed in zip(kinds, values, strict=True):
                one = None if packed is None else read_sanction(packed)
                if one is not None and one.holds(now):
                    held.append(RoomSanction(one.until, room, one.reason, one.by))
        return kinds

    async def disconnect(self, request: Request) -> Response:
        uid = asked.uid(request.path_params["uid"])
        actor, reason = asked.actor(request), asked.reason(request)
        answers = await self._doors.inquiry.ask(uid)
        order = Everywhere("kick", uid, "", None, reason)
        await self._doors.moderation.act(order, actor)
        return answer(DisconnectedOut(uid, _count(answers), *_whole(answers)))

    # --- the audit -----------------------------------------------------------------------------

    async def _write(
        self,
        action: str,
        actor: Actor,
        uid: str,
        room: str | None = None,
        seq: int | None = None,
        reason: str | None = None,
    ) -> None:
        """Write down what is no order, and is to be known all the same."""
        entry = AuditEntryOut("", int(time.time() * 1000), action, actor.uid, actor.name)
        entry.role, entry.via, entry.request = actor.role, actor.via, REQUEST.get()
        entry.uid, entry.room, entry.seq, entry.reason = uid, room, seq, reason
        await self._doors.audit.write(msgspec.json.encode(entry))

    async def audit(self, request: Request) -> Response:
        limit = asked.number(request, "limit", 100, 1, MAX_PAGE)
        after = asked.after(request)
        if "before" in request.query_params:
            before = asked.before(request)
            entries, more = await self._doors.audit.page_before(before, limit, after)
        else:
            entries, more = await self._doors.audit.page(after, limit)
        return answer(AuditOut(audit_entries(entries), more))

    # --- reports -------------------------------------------------------------------------------

    async def reports(self, request: Request) -> Response:
        limit = asked.number(request, "limit", 100, 1, MAX_PAGE)
        listed, more = await self._doors.reports.page(asked.after(request), limit)
        return answer(ReportsOut([_report(one) for one in listed], more))

    async def deal(self, request: Request) -> Response:
        report_id = request.path_params["id"]
        if not is_id(report_id):
            raise BadBody([Problem("there can be no report of this ID", "id")])
        actor, reason = asked.actor(request), asked.reason(request)
        report = await self._doors.reports.find(report_id)
        found = False
        if report is not None:
            # First, because of one that is gone nobody knows any more what it was.
            message = report.message
            what = (message.uid, message.room, message.seq, reason or None)
            await self._write("dealt", actor, *what)
            found = await self._doors.reports.take(report_id)
        return answer(DealtOut(report_id, found))


def merged(answers: Answers) -> list[FoundUserOut]:
    """Whom shards have found, by name; one that is on several once."""
    users: dict[str, FoundUserOut] = {}
    for found in answers.found.values():
        for one in found.users:
            known = users.setdefault(one.uid, FoundUserOut(one.uid, one.name, one.role, 0, []))
            known.count += one.count
            known.rooms = sorted({*known.rooms, *one.rooms})
    return sorted(users.values(), key=lambda user: (user.name.casefold(), user.uid))


def _count(answers: Answers) -> int:
    return sum(found.count for found in answers.found.values())


def _whole(answers: Answers) -> tuple[bool, int, int]:
    """Whether all have answered, how many did, of how many."""
    return answers.answered == answers.known, answers.answered, answers.known


def _report(listed: Listed) -> ReportOut:
    report_id, report = listed
    message, reason = report.message, report.reason
    return ReportOut(
        *(report_id, report.ts, report.reporter, message.room, message.seq, message),
        None if reason is UNSET else reason,
    )


def audit_entries(page: Sequence[tuple[str, bytes]]) -> list[AuditEntryOut]:
    """What can be read of a page of the audit."""
    found = []
    for entry_id, packed in page:
        with suppress(*UNREADABLE):
            told = msgspec.json.decode(packed, type=dict[str, Any])
            settings = {name: told.pop(name) for name in SETTINGS if name in told}
            given = {name: told[name] for name in AuditEntryOut.__struct_fields__ if name in told}
            given |= {"id": entry_id} | ({"settings": settings} if settings else {})
            found.append(msgspec.convert(given, AuditEntryOut))
    return found
