"""Replies of the Centrifugal client protocol, version 2: what our events are in its words.

    Welcome, Joined, Ack, Error, …  -> the reply to a command
    Left, Gap, Notice               -> pushes: unsubscribe, or a message of no channel

Rules. What has no number is not answered, and what the protocol has no word for is left out: how
many are online, likes, who came in, what was shed. The `data` of a publication is what takes the
place: a message, or a `delete`, `clear` or `state`, by its `t`.

Danger: a client takes a close reason that is JSON for advice of another kind, and comes back, or
not, whatever the code.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType, structs

from chat.wire.batch import Shown, expand
from chat.wire.commands import Since
from chat.wire.dialects.centrifugal_schema import (
    ClientInfo,
    ConnectResult,
    Failure,
    HistoryResult,
    Nothing,
    OfNoChannel,
    PresenceStatsResult,
    Publication,
    Push,
    RefreshResult,
    Reply,
    SubscribeResult,
    Unsubscription,
)
from chat.wire.foreign import Counted, Declined, Excerpt, Fault, Renewed, Told
from chat.wire.schema import (
    Ack,
    Authed,
    Error,
    ErrorCode,
    Gap,
    Joined,
    Left,
    LeftOut,
    Msg,
    Notice,
    Pong,
    Ref,
    Removed,
    Sequenced,
    Shadowed,
    Welcome,
)
from shard.closecodes import CloseCode

VERSION: Final = "danmaku 1"
"""What the server says it is."""
SENT_OUT, INSUFFICIENT = 2000, 2500
"""Of an `unsubscribe`: the client stays out; it subscribes again, from where it is."""
CLOSE_BYTES: Final = 123

_encode: Final = msgspec.json.Encoder().encode

INTERNAL, DENIED, ALREADY, LIMIT, BAD, NOT_AVAILABLE = 100, 103, 105, 106, 107, 108
EXPIRED, TOO_MANY, UNRECOVERABLE = 109, 111, 112
_ERRORS: Final = {
    ErrorCode.BAD_REQUEST: BAD,
    ErrorCode.UNKNOWN_COMMAND: NOT_AVAILABLE,
    ErrorCode.BAD_ROOM: BAD,
    ErrorCode.TOO_MANY_ROOMS: LIMIT,
    ErrorCode.NOT_JOINED: DENIED,
    ErrorCode.TEXT_EMPTY: BAD,
    ErrorCode.TEXT_TOO_LONG: LIMIT,
    ErrorCode.RATE_LIMITED: TOO_MANY,
    ErrorCode.READ_ONLY: DENIED,
    ErrorCode.FORBIDDEN: DENIED,
    ErrorCode.BANNED: DENIED,
    ErrorCode.MUTED: DENIED,
    ErrorCode.SILENCED: DENIED,
    ErrorCode.SLOW_MODE: TOO_MANY,
    ErrorCode.REPEATED: TOO_MANY,
    ErrorCode.WORD_REFUSED: DENIED,
    ErrorCode.ROOM_BUSY: TOO_MANY,
    ErrorCode.ID_REUSED: BAD,
    ErrorCode.UNAVAILABLE: INTERNAL,
}
_FAULTS: Final = {
    Fault.JOINED_ALREADY: ALREADY,
    Fault.TOKEN_EXPIRED: EXPIRED,
    Fault.OTHER_EPOCH: UNRECOVERABLE,
}
_TIME_HELPS: Final = frozenset({ErrorCode.FORBIDDEN, ErrorCode.TOO_MANY_ROOMS})
"""Errors that a client tries again after, where they say when."""


# --- publications --------------------------------------------------------------------------------


def data(place: Shown) -> bytes:  # hot: once per message
    """What a publication carries."""
    return _encode(place)


def for_viewers(place: Shown) -> Shown:
    """A place of a history without what viewers are not told: live, it has none of it."""
    if type(place) is Msg and (place.priority is not UNSET or place.until is not UNSET):
        return structs.replace(place, priority=UNSET, until=UNSET)
    return place


def publications(places: Iterable[Sequenced]) -> list[Publication]:
    """The places there is a word for."""
    return [
        Publication(
            Raw(data(for_viewers(place))),
            ClientInfo(place.uid) if isinstance(place, Msg) else None,
            place.seq,
        )
        for place in places
        if not isinstance(place, (Removed, Shadowed, LeftOut))
    ]


# --- replies -------------------------------------------------------------------------------------


def reply(event: Told, wall: Callable[[], float]) -> Reply | None:
    """An event that is no publication; None where there is no word for it, or nobody asked."""
    match event:
        case Left(room, reason=str(reason)):
            return Reply(push=Push(room, unsubscribe=Unsubscription(SENT_OUT, reason)))
        case Gap(room):
            again = Unsubscription(INSUFFICIENT, "insufficient state")
            return Reply(push=Push(room, unsubscribe=again))
        case Notice():
            return Reply(push=Push(message=OfNoChannel(Raw(_encode(event)))))
    ref = getattr(event, "ref", UNSET)
    if not isinstance(ref, int):
        return None
    return _answer(event, ref, wall)


def _answer(event: Told, ref: int, wall: Callable[[], float]) -> Reply | None:
    match event:
        case Error():
            return Reply(ref, failure(event))
        case Declined(fault, message):
            return Reply(ref, Failure(_FAULTS[fault], message))
        case Ack():
            return Reply(ref, publish=Nothing())
        case Left():
            return Reply(ref, unsubscribe=Nothing())
        case Pong():
            return Reply(ref, ping=Nothing())
        case Welcome():
            return Reply(ref, connect=_connected(event, wall))
        case Authed(expires=expires):
            refreshed = RefreshResult(VERSION, *_ttl(expires, wall))
            return Reply(ref, refresh=refreshed)
        case Renewed():
            return Reply(ref, sub_refresh=Nothing())
        case Counted(online=online):
            return Reply(ref, presence_stats=PresenceStatsResult(online, online))
        case Excerpt(epoch=epoch, seq=seq, places=places):
            return Reply(ref, history=HistoryResult(publications(places), epoch, seq))
    return None


def failure(error: Error) -> Failure:
    """Why a command was refused; our own code stands before the sentence."""
    code = _ERRORS[error.code]
    if error.message == CloseCode.TOKEN_EXPIRED.reason:
        code = EXPIRED
    again = code in (INTERNAL, TOO_MANY)
    again = again or (error.code in _TIME_HELPS and error.retry_after is not UNSET)
    return Failure(code, f"{error.code}: {error.message}", again)


def refused(code: CloseCode, ref: Ref | UnsetType) -> Reply | None:
    """What a connect is answered that fails; None where the close says it."""
    if code is CloseCode.TOKEN_EXPIRED and isinstance(ref, int):
        return Reply(ref, Failure(EXPIRED, "token expired"))
    return None


def subscribed(event: Joined, since: Since | None) -> Reply:
    """The answer to a subscribe. One that recovers has everything behind `since`, from which the
    client counts on; another one only says where the room is."""
    about: dict[str, Any] = {"online": event.online}
    if event.state is not UNSET:
        about["state"] = event.state
    for name in ("role", "likes"):
        if (value := getattr(event, name)) is not UNSET:
            about[name] = value
    result = SubscribeResult(
        recoverable=True,
        positioned=True,
        epoch=event.epoch,
        offset=event.seq,
        was_recovering=since is not None,
        recovered=UNSET if since is None else event.recovered,
        data=Raw(_encode(about)),
    )
    if since is not None and event.recovered:
        result.offset = since.seq
        result.publications = publications(expand(event.room, event.epoch, event.history))
    return Reply(event.ref if isinstance(event.ref, int) else 0, subscribe=result)


def _connected(event: Welcome, wall: Callable[[], float]) -> ConnectResult:
    about = {"uid": event.uid, "name": event.name, "role": event.role}
    if event.guest is not UNSET:
        about["guest"] = event.guest
    expires = 0 if event.expires is UNSET else event.expires
    return ConnectResult(
        *(event.conn, VERSION, event.heartbeat, True),
        *_ttl(expires, wall),
        Raw(_encode(about)),
    )


def _ttl(expires: int, wall: Callable[[], float]) -> tuple[bool, int]:
    """Whether something ends, and in how many seconds."""
    return (True, max(1, round(expires - wall()))) if expires else (False, 0)


# --- closing -------------------------------------------------------------------------------------

_CLOSES: Final[dict[int, int]] = {
    CloseCode.RESTART: 3001,
    CloseCode.INTERNAL_ERROR: 3004,
    CloseCode.TOKEN_EXPIRED: 3005,
    CloseCode.SLOW_READER: 3008,
    CloseCode.STALLED: 3008,
    CloseCode.HEARTBEAT_TIMEOUT: 3012,
    CloseCode.BAD_TOKEN: 3500,
    CloseCode.GUESTS_REFUSED: 3500,
    CloseCode.PROTOCOL_ERROR: 3501,
    CloseCode.UNSUPPORTED_DATA: 3501,
    CloseCode.INVALID_PAYLOAD: 3501,
    CloseCode.TOO_BIG: 3501,
    CloseCode.UNINTRODUCED: 3502,
    CloseCode.FLOODING: 3503,
    CloseCode.BANNED: 3503,
    CloseCode.KICKED: 3503,
    CloseCode.REPLACED: 3503,
    CloseCode.ALREADY_CONNECTED: 3503,
    CloseCode.POLICY_VIOLATION: 3507,
}
"""3000 to 3499: come back; 3500 to 3999: do not. Any other is 3000."""


def closing(code: int, reason: str) -> tuple[int, str]:
    """One of our close codes as a client knows it, and a reason that is no JSON."""
    told = _CLOSES.get(code, 3000)
    reason = reason.encode()[:CLOSE_BYTES].decode(errors="ignore")
    try:
        json.loads(reason or '""')
    except (ValueError, RecursionError):
        return told, reason
    return told, f"closed: {reason}" if reason else "closed"
