"""What a browser may do with what is served here: Content-Security-Policy.

Rules. Nothing is allowed but what a document is made of, and nothing inline but Swagger UI's
styles. What is no document may do nothing. The page dials its own origin; where its WebSocket is at
another port or at `server.public_url`, that too and nothing beside it.

Danger: a Host header is written by whoever likes to. Only what is a name, an address and a port
goes into a policy.
"""

import re
from collections.abc import Iterable
from typing import Final

HEADER: Final = "Content-Security-Policy"
HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")
"""Of those that a policy can name; IPv6 addresses it cannot (CSP 3, section 2.3.1)."""
ANY_SOCKET: Final = ("ws:", "wss:")
PARTS: Final = (
    *("default-src 'none'", "script-src 'self'", "font-src 'self'", "form-action 'self'"),
    "base-uri 'none'",
)
NOTHING: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def of_page(connect: Iterable[str], ancestors: Iterable[str], media: str = "") -> str:
    """The page's: it connects to its own origin and to `connect`; `ancestors` may frame it; its
    video is from the origin `media`."""
    return "; ".join(
        [
            *PARTS,
            "style-src 'self'",
            "img-src 'self' https:",  # viewers' avatars
            " ".join(["connect-src 'self'", *connect]),
            *([f"media-src {media}"] if media else []),
            f"frame-ancestors {framers(ancestors)}",
        ]
    )


def of_console() -> str:
    """That of the console: of its own origin only, and in nobody's frame."""
    own = "style-src 'self'", "img-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"
    return "; ".join([*PARTS, *own])


def of_docs() -> str:
    """That of the Swagger UI."""
    return "; ".join(
        [
            *PARTS,
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ]
    )


def framers(ancestors: Iterable[str]) -> str:
    """`server.frame_ancestors` as a policy says it."""
    return " ".join("'self'" if one == "self" else one for one in ancestors) or "'none'"


def sockets(host: str, port: int | None) -> tuple[str, ...]:
    """WebSockets at the host of a Host header: at its own port, or at another one. Some browsers
    do not count those of its own port to 'self'."""
    found = HOST.fullmatch(host)
    if found is not None:
        there = found[1] + (f":{port}" if port is not None else found[2] or "")
        return f"ws://{there}", f"wss://{there}"
    return () if port is None else ANY_SOCKET
