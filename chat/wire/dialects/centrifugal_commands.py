"""Commands of the Centrifugal client protocol, version 2: what they ask for, in our words.

    connect, subscribe, publish, …  -> Connect, Subscribe, Send, …

Rules. A channel is a room, (epoch, offset) is (epoch, seq). A frame that is no sequence of commands
ends the connection; a command that cannot be carried out is answered, by its `id`. An empty command
answers a ping. What an application would be sent (`send`) nobody hears.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NoReturn

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from chat.wire.commands import MAX_PAGE, Auth, Ping, Send, Since
from chat.wire.dialects.centrifugal_schema import (
    METHODS,
    Command,
    ConnectRequest,
    Data,
    HistoryRequest,
    PublishRequest,
    SubscribeRequest,
)
from chat.wire.dialects.dialect import BadCommand
from chat.wire.foreign import (
    Alive,
    Asked,
    Connect,
    Invalid,
    Read,
    Renew,
    Stats,
    Subscribe,
    Unheard,
    Unsubscribe,
)
from chat.wire.schema import (
    NORMAL_SIZE,
    SCROLL,
    UNREADABLE,
    WHITE,
    Color,
    ErrorCode,
    Kind,
    MessageId,
    Mode,
    Ref,
    Size,
)
from shard.closecodes import CloseCode

MOST: Final = 2**53
"""No position is beyond it."""
MAX_REF: Final = 2**32 - 1
MAX_DETAIL: Final = 200
NO_COMMAND: Final = "this is no command of the Centrifugal protocol"


class Spoken(Struct):
    """What is published, where it is an object; a string is a text alone."""

    text: str
    color: Color = WHITE
    mode: Mode = SCROLL
    size: Size = NORMAL_SIZE
    id: MessageId | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET


class Introduced(Struct):
    """What a connect may say in its data: a guest's key, and the name a guest would like."""

    guest: str | None = None
    name: str | None = None


_spoken: Final = msgspec.json.Decoder(str | Spoken).decode
_introduced: Final = msgspec.json.Decoder(Introduced).decode


def _text(data: Data) -> str:
    """Data as a text: what Protobuf carries may be none, and what is not read is not looked at by
    who reads it. Raises UnicodeDecodeError."""
    return bytes(data).decode() if isinstance(data, Raw) else ""


def broken(why: str = NO_COMMAND) -> NoReturn:
    """A fault of the peer's that has no answer."""
    raise BadCommand(ErrorCode.BAD_REQUEST, why, closes=CloseCode.PROTOCOL_ERROR)


def asked(commands: Iterable[Command]) -> list[Asked]:
    """What commands ask for, in their order. Raises BadCommand."""
    found: list[Asked] = []
    for command in commands:
        given = [name for name in METHODS if getattr(command, name) is not None]
        if not given and not command.id:
            found.append(Alive())
        elif len(given) != 1 or not 0 <= command.id <= MAX_REF:
            broken()
        elif given == ["send"]:
            found.append(Unheard())
        elif not command.id:
            broken("a command needs an id")
        else:
            found.append(_ASKED[given[0]](getattr(command, given[0]), command.id))
    return found


def _connect(request: ConnectRequest, ref: Ref) -> Asked:
    who = Introduced()
    if isinstance(request.data, Raw):
        with suppress(*UNREADABLE):  # else it is between the application and itself
            who = _introduced(_text(request.data))
    return Connect(request.token or None, who.guest, who.name, ref, retries=True)


def _subscribe(request: SubscribeRequest, ref: Ref) -> Asked:
    since = Since(request.epoch, request.offset) if request.recover else None
    if not 0 <= request.offset <= MOST:
        return _nowhere(ref)
    return Subscribe(request.channel, since, ref, token=request.token or None)


def _publish(request: PublishRequest, ref: Ref) -> Asked:
    try:
        said = _spoken(_text(request.data))
    except UNREADABLE as error:
        message = f"data is a text, or an object with a text: {error}"[:MAX_DETAIL]
        return Invalid(ErrorCode.BAD_REQUEST, message, ref)
    if isinstance(said, str):
        return Send(request.channel, said, ref=ref)
    return Send(
        *(request.channel, said.text, said.color, said.mode, said.size, said.id, ref, said.kind)
    )


def _history(request: HistoryRequest, ref: Ref) -> Asked:
    since = None
    if request.since is not None:
        if not 0 <= request.since.offset <= MOST:
            return _nowhere(ref)
        since = Since(request.since.epoch, request.since.offset)
    limit = MAX_PAGE if request.limit < 0 else min(request.limit, MAX_PAGE)
    return Read(request.channel, limit, since, request.reverse, ref)


def _nowhere(ref: Ref) -> Invalid:
    return Invalid(ErrorCode.BAD_REQUEST, "there is no such offset", ref)


def _not_here(request: Any, ref: Ref) -> Invalid:
    return Invalid(ErrorCode.UNKNOWN_COMMAND, "not available", ref)


_ASKED: Final[dict[str, Callable[[Any, int], Asked]]] = {
    "connect": _connect,
    "subscribe": _subscribe,
    "unsubscribe": lambda request, ref: Unsubscribe(request.channel, ref),
    "publish": _publish,
    "presence": _not_here,
    "presence_stats": lambda request, ref: Stats(request.channel, ref),
    "history": _history,
    "ping": lambda request, ref: Ping(ref),
    "rpc": _not_here,
    "refresh": lambda request, ref: Auth(request.token, ref),
    "sub_refresh": lambda request, ref: Renew(request.channel, request.token, ref),
}
