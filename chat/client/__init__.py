"""The Python client; and in the terminal a room, and a moderator's commands.

    from chat.client import Client, BlockingClient

What the two take and give, with examples: docs/client.md. They are loaded when they are asked for:
the command line needs neither for most of what it does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chat.client.blocking import BlockingClient
    from chat.client.client import Client, SendRefused
    from chat.client.link import ClientError, TurnedAway, Unreachable
    from chat.client.questions import CommandRefused, Unanswered

__all__ = [
    "BlockingClient",
    "Client",
    "ClientError",
    "CommandRefused",
    "SendRefused",
    "TurnedAway",
    "Unanswered",
    "Unreachable",
]

_MODULES: Final = ("blocking", "client", "link", "questions")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in (import_module(f"chat.client.{one}") for one in _MODULES):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"chat.client has no {name}")
