"""Moderation by HTTP: mutes, bans, kicks, what is taken back, and a room's settings.

Rules. A request becomes an order, which `Moderation` carries out as it does a moderator's; so both
have one set of rules, and one audit. Every answer says what is now true. PUT and DELETE may be
repeated: who is not muted is unmuted by being left alone. Lists are read page by page.
"""

import time
from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, structs
from starlette.requests import Request
from starlette.responses import Response

from chat.api import asked
from chat.api.answers import answer
from chat.api.doors import Doors
from chat.api.incoming import Drain
from chat.api.parts import Parts
from chat.api.rulings import (
    AddressBanned,
    AddressBanOut,
    AddressBansOut,
    BanOut,
    BansOut,
    ClearedOut,
    KickIn,
    KickOut,
    MuteOut,
    MutesOut,
    Sanctioned,
    SanctionIn,
    SettingsIn,
    SettingsOut,
    TakenBackOut,
)
from chat.api.wording import Wording, read_list
from chat.bus.pages import page_of_fields
from chat.config.sections import Config
from chat.policy.orders import SETTINGS, Everywhere, Owners, address_name
from chat.policy.rules import ADDRESS, BAN, MUTE, OWNERS, RoomRules, Sanction, read_sanction
from chat.policy.rules import SETTINGS as SETTINGS_FIELD
from chat.wire.commands import Moderate

MAX_PAGE: Final = 1000


class Moderating:
    """The handlers."""

    def __init__(self, config: Config, doors: Doors, drain: Drain, wording: Wording) -> None:
        self._config = config
        self._doors = doors
        self._drain = drain
        self._wording = wording

    def routes(self) -> Sequence[Parts]:
        """What is served; an address before a uid, which could be called like its path."""
        room = "/v1/rooms/{room}"
        return [
            Parts(f"{room}/mutes", GET=self.mutes),
            Parts(f"{room}/mutes/{{uid}}", PUT=self.mute, DELETE=self.unmute),
            Parts("/v1/mutes", GET=self.mutes),
            Parts("/v1/mutes/{uid}", PUT=self.mute, DELETE=self.unmute),
            Parts(f"{room}/bans", GET=self.bans),
            Parts(f"{room}/bans/{{uid}}", PUT=self.ban, DELETE=self.unban),
            Parts("/v1/bans", GET=self.bans),
            Parts("/v1/bans/addresses", GET=self.address_bans),
            Parts("/v1/bans/addresses/{address}", PUT=self.ban_address, DELETE=self.unban_address),
            Parts("/v1/bans/{uid}", PUT=self.ban, DELETE=self.unban),
            Parts(f"{room}/kicks", POST=self.kick),
            Parts(f"{room}/messages/{{seq}}", DELETE=self.remove),
            Parts(f"{room}/settings", GET=self.settings, PATCH=self.change_settings),
        ]

    # --- mutes and bans ------------------------------------------------------------------------

    async def mute(self, request: Request) -> Response:
        room, uid = self._whose(request)
        until = await self._sanction(request, MUTE, room, uid)
        return answer(MuteOut(uid, True, room, until))

    async def unmute(self, request: Request) -> Response:
        room, uid = self._whose(request)
        await self._lift(request, MUTE, room, uid)
        return answer(MuteOut(uid, False, room))

    async def ban(self, request: Request) -> Response:
        room, uid = self._whose(request)
        until = await self._sanction(request, BAN, room, uid)
        return answer(BanOut(uid, True, room, until))

    async def unban(self, request: Request) -> Response:
        room, uid = self._whose(request)
        await self._lift(request, BAN, room, uid)
        return answer(BanOut(uid, False, room))

    async def ban_address(self, request: Request) -> Response:
        address = address_name(request.path_params["address"])
        given = await self._body(request)
        order = Everywhere("ban", "", address, given.seconds, given.reason or "")
        outcome = await self._doors.moderation.act(order, asked.actor(request))
        return answer(AddressBanOut(address, True, outcome.until))

    async def unban_address(self, request: Request) -> Response:
        address = address_name(request.path_params["address"])
        order = Everywhere("unban", "", address, None, asked.reason(request))
        await self._doors.moderation.act(order, asked.actor(request))
        return answer(AddressBanOut(address, False))

    def _whose(self, request: Request) -> tuple[str | None, str]:
        """The room, None for everywhere, and the uid in a path."""
        return self._room_or_all(request), asked.uid(request.path_params["uid"])

    def _room_or_all(self, request: Request) -> str | None:
        return asked.room(request, self._config) if "room" in request.path_params else None

    async def _body(self, request: Request) -> SanctionIn:
        return await asked.fields(request, self._config, self._drain, SanctionIn, optional=True)

    async def _sanction(
        self, request: Request, kind: str, room: str | None, uid: str
    ) -> int | None:
        """Mute or ban somebody as the body says; until when that holds."""
        given = await self._body(request)
        action: Final = "mute" if kind == MUTE else "ban"
        order: Everywhere | Moderate
        if room is None:
            order = Everywhere(action, uid, "", given.seconds, given.reason or "")
        else:
            seconds = UNSET if given.seconds is None else given.seconds
            order = Moderate(room, action, uid=uid, seconds=seconds, reason=given.reason or UNSET)
        return (await self._doors.moderation.act(order, asked.actor(request))).until

    async def _lift(self, request: Request, kind: str, room: str | None, uid: str) -> None:
        action: Final = "unmute" if kind == MUTE else "unban"
        reason = asked.reason(request)
        order: Everywhere | Moderate
        if room is None:
            order = Everywhere(action, uid, "", None, reason)
        else:
            order = Moderate(room, action, uid=uid, reason=reason or UNSET)
        await self._doors.moderation.act(order, asked.actor(request))

    # --- lists ---------------------------------------------------------------------------------

    async def mutes(self, request: Request) -> Response:
        found, more = await self._page(request, MUTE, self._room_or_all(request))
        return answer(MutesOut([_listed(*one) for one in found], more))

    async def bans(self, request: Request) -> Response:
        found, more = await self._page(request, BAN, self._room_or_all(request))
        return answer(BansOut([_listed(*one) for one in found], more))

    async def address_bans(self, request: Request) -> Response:
        found, more = await self._page(request, ADDRESS, None)
        listed = [AddressBanned(whose, one.until, one.reason, one.by) for whose, one in found]
        return answer(AddressBansOut(listed, more))

    async def _page(
        self, request: Request, kind: str, room: str | None
    ) -> tuple[list[tuple[str, Sanction]], str | None]:
        """Those of a kind that hold now."""
        limit = asked.number(request, "limit", 100, 1, MAX_PAGE)
        after = request.query_params.get("after", "")
        store = self._doors.store
        found, more = await page_of_fields(store, store.keys.rules(room), kind, after, limit)
        now = int(time.time() * 1000)
        read = [(whose, read_sanction(packed)) for whose, packed in found]
        return [(whose, one) for whose, one in read if one is not None and one.holds(now)], more

    # --- rooms ---------------------------------------------------------------------------------

    async def kick(self, request: Request) -> Response:
        room = asked.room(request, self._config)
        given = await asked.fields(request, self._config, self._drain, KickIn)
        order = Moderate(room, "kick", uid=asked.uid(given.uid), reason=given.reason or UNSET)
        await self._doors.moderation.act(order, asked.actor(request))
        return answer(KickOut(room, given.uid, True))

    async def remove(self, request: Request) -> Response:
        room, seq = asked.room(request, self._config), asked.seq(request)
        order = Moderate(room, "delete", seq=seq, reason=asked.reason(request) or UNSET)
        await self._doors.moderation.act(order, asked.actor(request))
        return answer(TakenBackOut(room, seq, True))

    async def clear(self, request: Request) -> Response:
        room = asked.room(request, self._config)
        uid, reason = self._whose_messages(request), asked.reason(request)
        whose = UNSET if uid is None else uid
        order = Moderate(room, "clear", uid=whose, reason=reason or UNSET)
        await self._doors.moderation.act(order, asked.actor(request))
        return answer(ClearedOut(room, True, uid))

    def _whose_messages(self, request: Request) -> str | None:
        """The uid of a query; None for everybody."""
        given = request.query_params.get("uid")
        return None if given is None else asked.uid(given)

    async def settings(self, request: Request) -> Response:
        return await self._settings(request, asked.room(request, self._config))

    async def change_settings(self, request: Request) -> Response:
        room = asked.room(request, self._config)
        given = await asked.fields(request, self._config, self._drain, SettingsIn)
        actor = asked.actor(request)
        owners = () if given.owners is UNSET else tuple(given.owners)
        for one in owners:
            asked.uid(one, "owners")
        words = None if given.words is UNSET else await read_list(given.words, "words")
        reason = given.reason or ""
        named = {name: getattr(given, name) for name in SETTINGS}
        if any(value is not UNSET for value in named.values()):
            order = Moderate(room, "settings", reason=reason or UNSET, **named)
            await self._doors.moderation.act(order, actor)
        if given.owners is not UNSET:
            await self._doors.moderation.act(Owners(room, owners, reason), actor)
        if words is not None:
            await self._wording.put(room, words, actor, reason)
        return await self._settings(request, room)

    async def _settings(self, request: Request, room: str) -> Response:
        fields = await self._doors.moderation.rules.fetch(room, [SETTINGS_FIELD, OWNERS])
        rules = RoomRules(fields)
        settings = structs.asdict(rules.settings)
        told = SettingsOut(room, **settings, owners=sorted(rules.owners))
        if asked.may(request, "moderate"):
            told.words = await self._wording.listed(room)
        return answer(told)


def _listed(whose: str, one: Sanction) -> Sanctioned:
    return Sanctioned(whose, one.until, one.reason, one.by)
