"""Every close code this server sends, with the sentence a client developer reads.

Rules. 1000-1015 are RFC 6455 section 7.4.1. Ours are in the private range: 4000-4499 mean "come
back, after a back-off", 4500-4999 mean "do not come back with the same request".
"""

from enum import IntEnum


class CloseCode(IntEnum):
    """A WebSocket close code; `.reason` is sent with it."""

    reason: str

    def __new__(cls, code: int, reason: str) -> "CloseCode":
        member = int.__new__(cls, code)
        member._value_ = code
        member.reason = reason
        return member

    NORMAL = 1000, "bye"
    GOING_AWAY = 1001, "the other side is going away"
    PROTOCOL_ERROR = 1002, "a frame broke the WebSocket protocol"
    UNSUPPORTED_DATA = 1003, "this subprotocol does not use that kind of message"
    INVALID_PAYLOAD = 1007, "a text message was not UTF-8"
    POLICY_VIOLATION = 1008, "not allowed"
    TOO_BIG = 1009, "a message was larger than the server accepts"
    INTERNAL_ERROR = 1011, "the server failed on this connection; it has been logged"

    RESTART = 4000, "the server restarts; come back in a moment"
    SLOW_READER = 4001, "too much unread data had piled up"
    STALLED = 4002, "nothing was read for too long"
    HEARTBEAT_TIMEOUT = 4003, "no answer to a ping"

    BAD_TOKEN = 4500, "the token is not valid"
    TOKEN_EXPIRED = 4501, "the token has expired; get a new one"
    GUESTS_REFUSED = 4502, "a token is needed here"
    FLOODING = 4503, "far too many commands, or frames that are none"
    BANNED = 4504, "banned"
    KICKED = 4505, "sent away by a moderator"
    REPLACED = 4506, "replaced by a newer connection of the same user"
    ALREADY_CONNECTED = 4507, "the user is connected already, and may be only once"
    UNINTRODUCED = 4508, "the first message says who it is, and soon"


class ProtocolError(Exception):
    """The peer broke the protocol; `code` is what the connection is closed with."""

    def __init__(self, code: CloseCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


RECEIVABLE = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
"""Codes below 3000 that may stand in a peer's close frame (IANA registry)."""


def receivable(code: int) -> bool:
    """Whether a peer may send `code` in a close frame (RFC 6455 section 7.4)."""
    return code in RECEIVABLE or 3000 <= code <= 4999
