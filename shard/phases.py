"""The phases of a connection and which may follow which: one table for code, tests and pictures.

    FREE -> HANDSHAKE -> OPEN -> CLOSING -> QUARANTINED -> FREE
                  \\________\\_____________/

HANDSHAKE    accepted; its HTTP request is not complete
OPEN         upgraded; frames flow
CLOSING      our close frame is sent; waiting for the peer's, under a deadline
QUARANTINED  shut down; the descriptor is held so that its number is not reused yet
"""

from pool.table import FREE

HANDSHAKE = 1
OPEN = 2
CLOSING = 3
QUARANTINED = 4

NAMES = {
    FREE: "FREE",
    HANDSHAKE: "HANDSHAKE",
    OPEN: "OPEN",
    CLOSING: "CLOSING",
    QUARANTINED: "QUARANTINED",
}

FOLLOWS = frozenset(
    {
        (FREE, HANDSHAKE),
        (HANDSHAKE, OPEN),
        (HANDSHAKE, QUARANTINED),
        (OPEN, CLOSING),
        (OPEN, QUARANTINED),
        (CLOSING, QUARANTINED),
        (QUARANTINED, FREE),
    }
)
