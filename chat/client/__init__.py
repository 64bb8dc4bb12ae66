"""The Python client; and in the terminal a room, and a moderator's commands.

    from chat.client import Client, BlockingClient

What the two take and give, with examples: docs/client.md.
"""

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
