"""How the viewers of a crowd watch: which dialect, compressed or not, with a position or without.

Rules. A table. Dealt out in turn, so every fault meets all of them.
"""

from typing import Final, Literal, NamedTuple

Kind = Literal["json", "msgpack", "sse", "centrifugal", "protobuf", "goim"]


class Way(NamedTuple):
    """How one viewer watches."""

    kind: Kind
    deflate: bool
    resumes: bool

    @property
    def once(self) -> bool:
        """Whether it drops nothing by its number, and so may be sent no place twice."""
        return self.kind not in ("json", "msgpack")

    @property
    def timed(self) -> bool:
        """Whether it says of what time what it has seen last is."""
        return self.kind not in ("centrifugal", "protobuf")


WAYS: Final = (
    Way("json", True, True),
    Way("msgpack", False, True),
    Way("sse", False, True),
    Way("centrifugal", False, True),
    Way("json", False, True),
    Way("msgpack", True, True),
    Way("goim", False, False),
    Way("json", False, False),
    Way("sse", False, True),
    Way("msgpack", False, False),
    Way("protobuf", False, True),
    Way("sse", False, False),
    Way("json", True, False),
)
"""Eight in thirteen resume, three are event streams, three speak the protocols of others."""
