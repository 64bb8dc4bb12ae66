"""What a client can ask of a server beside being in rooms and sending: a method for each command.

Rules. Each is asked by `Questions` and answered once. What the server judges is left to it: a value
that is wrong comes back in its words. What one has to be in a room for waits until one is, also on
the next connection.
"""

from typing import Final, TypedDict, Unpack, cast

import msgspec
from msgspec import UNSET

from chat.client.link import Link, Token, ask_for
from chat.client.questions import CommandRefused, Questions
from chat.wire.batch import expand
from chat.wire.commands import Action, Auth, History, Like, Moderate, Report, Silence
from chat.wire.schema import LIKE, Authed, Done, Gap, Paged, Sequenced, Welcome

MOST_PLACES: Final = 100
"""In a page of history."""


class Order(TypedDict, total=False):
    """The fields of a moderator's action; which of them it takes, docs/moderation.md says."""

    uid: str
    seconds: int
    reason: str
    seq: int
    slow_s: int
    silence: Silence
    no_repeats_s: int
    min_role: str
    pinned: int | None
    announcement: str | None
    messages_per_s: int
    shown_per_s: int
    merge_duplicates: bool
    join_notices: bool


class Asking:
    """The methods of a `Client` that ask. All of them raise CommandRefused where the server says
    no, Unanswered where it says nothing, Unsent where there was no connection for too long,
    TurnedAway or Unreachable where there will be none any more."""

    me: Welcome | Authed | None
    _questions: Questions
    _link: Link

    async def authenticate(self, token: Token) -> Authed:
        """Be who a token says, from now on and on connections to come."""
        await self._questions.connected()
        given = await ask_for(token)
        before, self._link.token = self._link.token, token
        try:
            return await self._auth(Auth(given))
        except CommandRefused:  # the next connection comes with what was good for this one
            self._link.token = before
            raise

    async def rename(self, name: str) -> Authed:
        """Be called something else, as a guest, from now on and on connections to come; "" gives
        the name up."""
        authed = await self._auth(Auth(name=name))
        self._link.name = name
        return authed

    async def _auth(self, command: Auth) -> Authed:
        authed = await self._questions.ask(lambda ref: msgspec.structs.replace(command, ref=ref))
        self.me = cast(Authed, authed)
        return self.me

    async def moderate(self, room: str, action: Action, **fields: Unpack[Order]) -> Done:
        """Carry out a moderator's action, which holds on every node when this returns.

        Raises ValueError where a field is none of docs/moderation.md's, or out of its range.
        """
        given = {"t": "moderate", "room": room, "action": action, **fields}
        try:
            order = msgspec.convert(given, Moderate)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        done = await self._questions.ask(lambda ref: msgspec.structs.replace(order, ref=ref))
        return cast(Done, done)

    async def report(self, room: str, seq: int, reason: str = "", epoch: str = "") -> Done:
        """Ask those who judge it to look at a message; `epoch` makes sure that it is that one."""
        asked = Report(room, seq, reason or UNSET, epoch=epoch or UNSET)
        done = await self._questions.ask(
            lambda ref: msgspec.structs.replace(asked, ref=ref), room=room
        )
        return cast(Done, done)

    async def like(self, room: str, count: int = 1, kind: str = LIKE) -> Done:
        """Like a room, up to 100 times at once: who counts taps sends them once a second.

        Raises Unanswered where nobody knows whether it was counted: it is not sent again then.
        """
        done = await self._questions.ask(
            lambda ref: Like(room, kind, count, ref), repeatable=False, room=room
        )
        return cast(Done, done)

    async def history(
        self, room: str, before: int | None = None, limit: int = 50
    ) -> tuple[list[Sequenced], bool]:
        """At most `limit` places of a room before a seq, or its newest, oldest first; and whether
        more stand before them."""
        page = await self._page(room, before, limit)
        return list(expand(page.room, page.epoch, page.history)), page.more

    async def missed(self, gap: Gap) -> tuple[list[Sequenced], int]:
        """What is still kept of what a Gap among the events says is missing, oldest first; and how
        many places are gone for good.

        It asks for pages of at most 100 places. Nothing is asked where nobody knows how much is
        missing (`lost` is 0), and nothing given where numbers have begun anew.
        """
        places: list[Sequenced] = []
        seen, before, more = gap.seq - gap.lost, gap.seq + 1, True
        while more and before > seen + 1:
            limit = min(MOST_PLACES, before - seen - 1)
            page = await self._page(gap.room, before, limit)
            if page.epoch != gap.epoch:
                break
            older = list(expand(page.room, page.epoch, page.history))
            # Without a first place all of them are hidden.
            before, more = older[0].seq if older else before - limit, page.more
            places[:0] = [place for place in older if place.seq > seen]
        return places, max(0, before - seen - 1)

    async def _page(self, room: str, before: int | None, limit: int) -> Paged:
        asked = await self._questions.ask(lambda ref: History(room, before, limit, ref), room=room)
        return cast(Paged, asked)
