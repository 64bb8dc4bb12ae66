"""What moderators do: checked, carried out, written down. One way, for sockets and for HTTP.

    fields -> the actor's rank -> the target's rank -> rules and streams -> audit

Rules. Who acts is a moderator or more, there; and acts on lower ranks only, as far as the target's
is known: by a connection here, or as an owner. An action is done when Redis has it, with what tells
the shards; the audit is written after that. All actions may be repeated: one whose answer did not
come is done again by who asked for it, and is the same then.

What cannot be done is a NotDone, which says why and, where it helps, when to ask again.
"""

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, Struct, structs

from chat.bus.audit import Audit
from chat.bus.connect import StoreError
from chat.bus.entries import Disconnected, Ruled, pack
from chat.bus.redaction import Redaction
from chat.bus.rules import Full, Outdated, Rules
from chat.bus.store import Store
from chat.config.sections import Limits
from chat.policy import rules as fields_of
from chat.policy.gate import Refusal
from chat.policy.identity import USER
from chat.policy.orders import (
    SETTINGS,
    Actor,
    Everywhere,
    NotDone,
    Order,
    Owners,
    Words,
    address_name,
    bad,
    check_fields,
    check_uid,
    forbidden,
    missing,
    record,
)
from chat.policy.roles import ADMIN, MODERATOR, OWNER, RANKS, rank
from chat.policy.rules import (
    RoomRules,
    Sanction,
    Settings,
    pack_owners,
    pack_sanction,
    pack_settings,
)
from chat.policy.text import clean_text, room_problem
from chat.wire.batch import shorten
from chat.wire.commands import Moderate
from chat.wire.schema import GUEST, ErrorCode, Msg

KICKED_S: Final = 60
"""How long who was kicked out of a room stays out."""
RECONNECT_S: Final = 60.0
"""When who was disconnected may come back."""
RETRY_S: Final = 1.0
TRIES: Final = 5
"""Of a change that another moderator's got ahead of."""
ENDED: Final = 1_000
"""Mutes and bans that are taken out together, when there is no room for one more."""
MOST_OWNERS: Final = 100
MOST_REASON: Final = 200
MOST_SECONDS: Final = 315_360_000
"""As in the wire's Moderate."""


class Outcome(Struct, frozen=True):
    """What is now true. `until` is milliseconds since 1970, 0 for good; None: nothing holds."""

    until: int | None = None
    settings: Settings | None = None


class TakingBack(Protocol):
    """Takes messages back, and tells the room's viewers. Both raise StoreError."""

    async def remove(self, room: str, seq: int) -> object:
        """One message. Raises LookupError where there never was one."""

    async def clear(self, room: str, uid: str | None) -> object:
        """All messages so far, or all of one user."""


RoleOf = Callable[[str, str], Awaitable[str | None]]
"""What a user (uid) is in a room, where that is known. May raise StoreError."""


async def nobody(uid: str, room: str) -> None:
    """Of whom nothing is known."""


class Moderation:
    """Carries out what moderators and backends ask for.

    redaction  takes messages back; by default that of the store
    role_of    the role of whom an action is about
    wall       seconds since 1970
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        audit: Audit,
        wall: Callable[[], float],
        role_of: RoleOf = nobody,
        redaction: TakingBack | None = None,
    ) -> None:
        self.rules = Rules(store)
        self._store = store
        self._limits = limits
        self._audit = audit
        self._wall = wall
        self._role_of = role_of
        self._redaction = redaction or Redaction(store, wall)

    async def act(self, order: Order, actor: Actor) -> Outcome:
        """Do it. Raises NotDone."""
        try:
            match order:
                case Moderate():
                    found, role = await self._in_room(order, actor)
                case Everywhere():
                    found, role = await self._everywhere(order, actor), actor.role
                case Owners():
                    found, role = await self._owners(order, actor)
                case Words():
                    found, role = await self._words(order, actor)
            await self._audit.write(record(order, actor, role, self._now_ms()))
        except StoreError:
            raise NotDone(
                Refusal(ErrorCode.UNAVAILABLE, "it may not have been done; ask again", RETRY_S)
            ) from None
        except Full as full:
            message = f"there are too many mutes and bans: {full}; lift some"
            raise NotDone(Refusal(ErrorCode.BAD_REQUEST, message)) from None
        return found

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    # --- who may -------------------------------------------------------------------------------

    async def _rules_of(self, room: str) -> RoomRules:
        """What decides who may do what in a room. Raises NotDone for a room that is none."""
        fault = room_problem(room, self._limits.room_chars)
        if fault is not None:
            raise NotDone(Refusal(ErrorCode.BAD_ROOM, fault, field="room"))
        return RoomRules(await self.rules.fetch(room, [fields_of.SETTINGS, fields_of.OWNERS]))

    async def _check_target(self, uid: str, room: str, owners: Collection[str], role: str) -> None:
        """Who is at least as high is not acted on."""
        theirs = OWNER if uid in owners else USER
        theirs = higher(theirs, await self._role_of(uid, room) or GUEST)
        if rank(role) <= rank(theirs):
            raise forbidden(f"{uid} is {theirs} here, and you are {role}")

    # --- in a room -----------------------------------------------------------------------------

    async def _in_room(self, order: Moderate, actor: Actor) -> tuple[Outcome, str]:
        check_fields(order)
        rules = await self._rules_of(order.room)
        role = require(MODERATOR, actor, rules)
        theirs = order.action == "clear" and order.uid == actor.uid
        if order.uid is not UNSET and not theirs:
            await self._check_target(order.uid, order.room, rules.owners, role)
        match order.action:
            case "settings":
                return await self._settings(order, rules), role
            case "delete":
                await self._delete(order.room, int(order.seq or 0), rules, actor.uid, role)
            case "clear":
                await self._clear(order.room, order.uid or None)
            case action:
                seconds = KICKED_S if action == "kick" else order.seconds or None
                sanction = self._sanction(seconds, order.reason or "", actor)
                lifts = action in ("unmute", "unban")
                name = f"{action.removeprefix('un')}:{order.uid}"
                return await self._put(order.room, name, None if lifts else sanction), role
        return Outcome(), role

    def _sanction(self, seconds: int | None, reason: str, actor: Actor) -> Sanction:
        """One that begins now; without `seconds` it is for good."""
        until = self._now_ms() + 1000 * seconds if seconds else 0
        return Sanction(until, clean_text(reason), actor.uid)

    async def _put(self, room: str | None, name: str, sanction: Sanction | None) -> Outcome:
        """A field of the rules is this sanction from now on; None: nothing."""
        if sanction is None:
            await self.rules.change(room, {name: None})
            return Outcome()
        packed = pack_sanction(sanction)
        try:
            await self.rules.change(room, {name: packed})
        except Full:
            await self._take_out_ended(room)
            await self.rules.change(room, {name: packed})
        return Outcome(sanction.until)

    async def _take_out_ended(self, room: str | None) -> None:
        """Mutes and bans that have ended are still kept; as many as are told at once go."""
        [kept] = await self.rules.load([room])
        ended = list(RoomRules(kept).ended(self._now_ms()))[:ENDED]
        if ended:
            with suppress(Outdated):
                await self.rules.change(room, dict.fromkeys(ended), expected=kept.version)

    # --- settings ------------------------------------------------------------------------------

    async def _settings(self, order: Moderate, rules: RoomRules) -> Outcome:
        given = {name: value for name in SETTINGS if (value := getattr(order, name)) is not UNSET}
        if order.pinned is not UNSET and order.pinned is not None:
            given["pinned"] = await self._message(order.room, order.pinned)
        if order.announcement is not UNSET and order.announcement is not None:
            given["announcement"] = clean_text(order.announcement)
            if not given["announcement"]:
                raise bad("announcement", "it is empty; null takes it away")
        outcome = await self._set(
            order.room, rules, lambda settings: structs.replace(settings, **given)
        )
        pinned = given.get("pinned")
        if pinned is not None and await self._find(order.room, pinned["seq"]) is None:
            # It was taken back meanwhile, by who found nothing pinned yet.
            return await self._unpin(order.room, lambda now: now == pinned)
        return outcome

    async def _set(
        self, room: str, rules: RoomRules, change: Callable[[Settings], Settings]
    ) -> Outcome:
        """Change settings as they are now, whoever else is changing them."""
        for _ in range(TRIES):
            settings = change(rules.settings)
            if settings == rules.settings:
                return Outcome(settings=settings)
            state = b""
            if settings.state() != rules.settings.state():
                state = pack(Ruled(settings.state(), self._now_ms()))
            fields = {fields_of.SETTINGS: pack_settings(settings)}
            with suppress(Outdated):
                await self.rules.change(room, fields, expected=rules.version, state=state)
                return Outcome(settings=settings)
            rules = await self._rules_of(room)
        message = "others are changing these settings; ask again"
        raise NotDone(Refusal(ErrorCode.UNAVAILABLE, message, RETRY_S))

    async def _message(self, room: str, seq: int) -> dict[str, Any]:
        """A message as it is shown to who joins. Raises NotDone for one that is not there."""
        message = await self._find(room, seq)
        if message is None:
            raise missing("pinned", f"there is no message {seq} in the history")
        found: dict[str, Any] = msgspec.to_builtins(shorten([message], None)[0])
        return found

    async def _find(self, room: str, seq: int) -> Msg | None:
        known = await self._store.peek_room(room)
        if known is None:
            return None
        places = await self._store.history(room, known[0], seq - 1, 1)
        found = places[0] if places else None
        return found if isinstance(found, Msg) and found.seq == seq else None

    # --- messages ------------------------------------------------------------------------------

    async def _delete(self, room: str, seq: int, rules: RoomRules, own: str, role: str) -> None:
        """What one has said oneself one may take back, whoever else is as high."""
        message = await self._find(room, seq)
        if message is not None and message.uid != own:
            await self._check_target(message.uid, room, rules.owners, role)
        try:
            await self._redaction.remove(room, seq)
        except LookupError as error:
            raise missing("seq", str(error)) from None
        await self._unpin(room, lambda pinned: pinned.get("seq") == seq)

    async def _clear(self, room: str, uid: str | None) -> None:
        await self._redaction.clear(room, uid)
        await self._unpin(room, lambda pinned: uid is None or pinned.get("uid") == uid)

    async def _unpin(self, room: str, gone: Callable[[dict[str, Any]], bool]) -> Outcome:
        """A message that was taken back is not pinned any more."""

        def unpinned(settings: Settings) -> Settings:
            pinned = settings.pinned
            return structs.replace(settings, pinned=None) if pinned and gone(pinned) else settings

        return await self._set(room, await self._rules_of(room), unpinned)

    # --- by backends ---------------------------------------------------------------------------

    async def _everywhere(self, order: Everywhere, actor: Actor) -> Outcome:
        require(ADMIN, actor)
        if bool(order.uid) == bool(order.address):
            raise bad("uid", "it is of a user or of an address")
        if len(order.reason) > MOST_REASON:
            raise bad("reason", f"at most {MOST_REASON} characters")
        if order.seconds is not None and not 1 <= order.seconds <= MOST_SECONDS:
            raise bad("seconds", f"1 to {MOST_SECONDS}")
        if order.address and order.action not in ("ban", "unban"):
            raise bad("address", "an address can only be banned")
        if order.address:
            name = f"{fields_of.ADDRESS}:{address_name(order.address)}"
        else:
            check_uid(order.uid)
            name = f"{order.action.removeprefix('un')}:{order.uid}"
        if order.action == "kick":
            reason = clean_text(order.reason)
            await self._store.notify(pack(Disconnected(order.uid, reason, RECONNECT_S)))
            return Outcome()
        sanction = self._sanction(order.seconds, order.reason, actor)
        lifts = order.action in ("unmute", "unban")
        return await self._put(None, name, None if lifts else sanction)

    async def _owners(self, order: Owners, actor: Actor) -> tuple[Outcome, str]:
        role = require(OWNER, actor, await self._rules_of(order.room))
        if len(order.uids) > MOST_OWNERS:
            raise bad("owners", f"at most {MOST_OWNERS}")
        for uid in order.uids:
            check_uid(uid, "owners")
        packed = pack_owners(set(order.uids)) if order.uids else None
        await self.rules.change(order.room, {fields_of.OWNERS: packed})
        return Outcome(), role

    async def _words(self, order: Words, actor: Actor) -> tuple[Outcome, str]:
        if order.room is None:
            role = require(ADMIN, actor)
        else:
            role = require(OWNER, actor, await self._rules_of(order.room))
        await self.rules.change(order.room, {fields_of.WORDS: order.lists or None})
        return Outcome(), role


def require(least: str, actor: Actor, rules: RoomRules | None = None) -> str:
    """What the actor is here, an owner perhaps. Raises NotDone when that is too low."""
    role = actor.role
    if rules is not None and actor.via == "socket" and actor.uid in rules.owners:
        role = higher(role, OWNER)
    if rank(role) < RANKS[least]:
        raise forbidden(f"this takes a {least} or more, and you are {role} here")
    return role


def higher(one: str, other: str) -> str:
    """The higher of two roles; the first where they are equal."""
    return other if rank(other) > rank(one) else one
