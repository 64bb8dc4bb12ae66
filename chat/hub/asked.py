"""What a newcomer asks for by its request.

Rules. Connections that came with the same header block share a request, and so their dialect: it is
read once for all of them.
"""

from collections.abc import Sequence

from msgspec import Struct

from chat.wire.commands import Join
from chat.wire.dialects.dialect import Dialect
from shard.handshake import Request


class Asked(Struct, frozen=True):
    """Who somebody is, as `Admission.admit` has it, and which rooms it wants into."""

    token: str | None
    guest: str | None
    name: str | None
    joins: Sequence[Join]


def asked_by(request: Request, dialect: Dialect) -> Asked:  # hot: once per viewer that connects
    """What a request of a dialect asks for."""
    asked = request.made
    if type(asked) is not Asked:
        first = request.first
        joins = tuple(dialect.opening(request))
        asked = request.made = Asked(request.token, first("guest"), first("name"), joins)
    return asked
