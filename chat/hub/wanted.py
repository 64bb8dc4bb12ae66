"""What a newcomer asks for by its request.

Rules. Connections that came with the same header block share a request, and so their dialect: it is
read once for all of them.
"""

from collections.abc import Sequence

from msgspec import Struct

from chat.wire.commands import Join
from chat.wire.dialects.dialect import Dialect
from shard.handshake import Request


class Wanted(Struct, frozen=True):
    """How somebody speaks, who it is, as `Admission.admit` has it, and which rooms it wants."""

    dialect: Dialect
    token: str | None
    guest: str | None
    name: str | None
    joins: Sequence[Join]


def wanted_by(request: Request, dialect: Dialect) -> Wanted:  # hot: once per viewer that connects
    """What a request of a dialect asks for."""
    wanted = request.made
    if type(wanted) is not Wanted:
        first, dialect = request.first, dialect.asked_by(request)
        wanted = request.made = Wanted(
            *(dialect, request.token, first("guest"), first("name")),
            tuple(dialect.opening(request)),
        )
    return wanted
