"""The Python client; and in the terminal a room, and a moderator's commands.

    from chat.client import Client, BlockingClient

What the two take and give, with examples: docs/client.md. With them come the events that they give,
and what they raise. All are loaded when they are asked for: the command line needs none of them for
most of what it does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chat.client.blocking import BlockingClient
    from chat.client.client import Client, SendRefused
    from chat.client.follower import JoinRefused, position
    from chat.client.link import ClientError, TurnedAway, Unreachable
    from chat.client.questions import CommandRefused, Unanswered, Unsent
    from chat.wire.commands import Since
    from chat.wire.schema import (
        Ack,
        Authed,
        Bye,
        Clear,
        Delete,
        Done,
        Error,
        ErrorCode,
        Expiring,
        Gap,
        Joined,
        Joins,
        Left,
        Likes,
        Msg,
        Muted,
        Notice,
        Online,
        Removed,
        Shed,
        State,
        Welcome,
    )

__all__ = [
    "Ack",
    "Authed",
    "BlockingClient",
    "Bye",
    "Clear",
    "Client",
    "ClientError",
    "CommandRefused",
    "Delete",
    "Done",
    "Error",
    "ErrorCode",
    "Expiring",
    "Gap",
    "JoinRefused",
    "Joined",
    "Joins",
    "Left",
    "Likes",
    "Msg",
    "Muted",
    "Notice",
    "Online",
    "Removed",
    "SendRefused",
    "Shed",
    "Since",
    "State",
    "TurnedAway",
    "Unanswered",
    "Unreachable",
    "Unsent",
    "Welcome",
    "position",
]

_MODULES: Final = (
    "chat.wire.schema",
    "chat.wire.commands",
    "chat.client.link",
    "chat.client.questions",
    "chat.client.follower",
    "chat.client.client",
    "chat.client.blocking",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in (import_module(one) for one in _MODULES):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"chat.client has no {name}")
