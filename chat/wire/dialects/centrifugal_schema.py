"""What crosses the wire in the Centrifugal client protocol, version 2: commands in, replies out.

Rules. Types only, under the protocol's names; `NUMBERS` is how Protobuf knows them. What is default
is not written; where a room is has no default, so that JSON tells its beginning, too. Of a command
only what is read stands here, and both forms pass over what they do not know. `data` is JSON, as
bytes: what is in it is not the protocol's.
"""

from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType

Data = Raw | UnsetType


class Nothing(Struct):
    """A request of which nothing is read, and a result that says nothing."""


class ConnectRequest(Struct):
    token: str = ""
    data: Data = UNSET


class SubscribeRequest(Struct):
    channel: str = ""
    token: str = ""
    recover: bool = False
    epoch: str = ""
    offset: int = 0


class PublishRequest(Struct):
    channel: str = ""
    data: Data = UNSET


class OfChannel(Struct):
    """A request that says no more than which channel."""

    channel: str = ""


class StreamPosition(Struct):
    offset: int = 0
    epoch: str = ""


class HistoryRequest(Struct):
    channel: str = ""
    limit: int = 0
    since: StreamPosition | None = None
    reverse: bool = False


class RefreshRequest(Struct):
    token: str = ""


class SubRefreshRequest(Struct):
    channel: str = ""
    token: str = ""


class Command(Struct):
    """One of the requests has a value; in the answer to a ping, none."""

    id: int = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: OfChannel | None = None
    publish: PublishRequest | None = None
    presence: OfChannel | None = None
    presence_stats: OfChannel | None = None
    history: HistoryRequest | None = None
    ping: Nothing | None = None
    send: Nothing | None = None
    rpc: Nothing | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None


METHODS: Final = tuple(name for name in Command.__struct_fields__ if name != "id")


class Fields(Struct, omit_defaults=True):
    """What is default is not written."""


class Failure(Fields):
    code: int
    message: str
    temporary: bool = False


class ClientInfo(Fields):
    user: str = ""


class Publication(Fields):
    """`epoch` stands where the client may not know it."""

    data: Data
    info: ClientInfo | None = None
    offset: int = 0
    epoch: str = ""


class Unsubscription(Fields):
    code: int
    reason: str


class OfNoChannel(Fields):
    """A push to a client."""

    data: Data


class Push(Fields):
    channel: str = ""
    pub: Publication | None = None
    unsubscribe: Unsubscription | None = None
    message: OfNoChannel | None = None


class ConnectResult(Fields):
    client: str
    version: str
    ping: int
    pong: bool
    expires: bool = False
    ttl: int = 0
    data: Data = UNSET


class SubscribeResult(Fields):
    """`recovered` stands where it was asked for."""

    recoverable: bool
    positioned: bool
    epoch: str
    offset: int
    was_recovering: bool = False
    recovered: bool | UnsetType = UNSET
    data: Data = UNSET
    publications: list[Publication] = []


class PresenceStatsResult(Fields):
    num_clients: int
    num_users: int


class HistoryResult(Fields):
    publications: list[Publication]
    epoch: str
    offset: int


class RefreshResult(Fields):
    version: str
    expires: bool = False
    ttl: int = 0


class Reply(Fields):
    """The answer to the command `id`, or a push."""

    id: int = 0
    error: Failure | None = None
    push: Push | None = None
    connect: ConnectResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: Nothing | None = None
    publish: Nothing | None = None
    presence_stats: PresenceStatsResult | None = None
    history: HistoryResult | None = None
    ping: Nothing | None = None
    refresh: RefreshResult | None = None
    sub_refresh: Nothing | None = None


NUMBERS: Final[dict[type[Struct], dict[str, tuple[int, str]]]] = {
    Nothing: {},
    ConnectRequest: {"token": (1, "string"), "data": (2, "bytes")},
    SubscribeRequest: {
        "channel": (1, "string"),
        "token": (2, "string"),
        "recover": (3, "bool"),
        "epoch": (6, "string"),
        "offset": (7, "uint64"),
    },
    PublishRequest: {"channel": (1, "string"), "data": (2, "bytes")},
    OfChannel: {"channel": (1, "string")},
    StreamPosition: {"offset": (1, "uint64"), "epoch": (2, "string")},
    HistoryRequest: {
        "channel": (1, "string"),
        "limit": (7, "int32"),
        "since": (8, "StreamPosition"),
        "reverse": (9, "bool"),
    },
    RefreshRequest: {"token": (1, "string")},
    SubRefreshRequest: {"channel": (1, "string"), "token": (2, "string")},
    Command: {
        "id": (1, "uint32"),
        "connect": (4, "ConnectRequest"),
        "subscribe": (5, "SubscribeRequest"),
        "unsubscribe": (6, "OfChannel"),
        "publish": (7, "PublishRequest"),
        "presence": (8, "OfChannel"),
        "presence_stats": (9, "OfChannel"),
        "history": (10, "HistoryRequest"),
        "ping": (11, "Nothing"),
        "send": (12, "Nothing"),
        "rpc": (13, "Nothing"),
        "refresh": (14, "RefreshRequest"),
        "sub_refresh": (15, "SubRefreshRequest"),
    },
    Failure: {"code": (1, "uint32"), "message": (2, "string"), "temporary": (3, "bool")},
    ClientInfo: {"user": (1, "string")},
    Publication: {
        "data": (4, "bytes"),
        "info": (5, "ClientInfo"),
        "offset": (6, "uint64"),
        "epoch": (14, "string"),
    },
    Unsubscription: {"code": (2, "uint32"), "reason": (3, "string")},
    OfNoChannel: {"data": (1, "bytes")},
    Push: {
        "channel": (2, "string"),
        "pub": (4, "Publication"),
        "unsubscribe": (7, "Unsubscription"),
        "message": (8, "OfNoChannel"),
    },
    ConnectResult: {
        "client": (1, "string"),
        "version": (2, "string"),
        "expires": (3, "bool"),
        "ttl": (4, "uint32"),
        "data": (5, "bytes"),
        "ping": (7, "uint32"),
        "pong": (8, "bool"),
    },
    SubscribeResult: {
        "recoverable": (3, "bool"),
        "epoch": (6, "string"),
        "publications": (7, "Publication"),
        "recovered": (8, "bool"),
        "offset": (9, "uint64"),
        "positioned": (10, "bool"),
        "data": (11, "bytes"),
        "was_recovering": (12, "bool"),
    },
    PresenceStatsResult: {"num_clients": (1, "uint32"), "num_users": (2, "uint32")},
    HistoryResult: {
        "publications": (1, "Publication"),
        "epoch": (2, "string"),
        "offset": (3, "uint64"),
    },
    RefreshResult: {"version": (2, "string"), "expires": (3, "bool"), "ttl": (4, "uint32")},
    Reply: {
        "id": (1, "uint32"),
        "error": (2, "Failure"),
        "push": (4, "Push"),
        "connect": (5, "ConnectResult"),
        "subscribe": (6, "SubscribeResult"),
        "unsubscribe": (7, "Nothing"),
        "publish": (8, "Nothing"),
        "presence_stats": (10, "PresenceStatsResult"),
        "history": (11, "HistoryResult"),
        "ping": (12, "Nothing"),
        "refresh": (14, "RefreshResult"),
        "sub_refresh": (15, "Nothing"),
    },
}
"""What a field is called in Protobuf: its number, and its type."""
