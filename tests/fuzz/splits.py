"""Fuzz bytes as flags, a body and how the body is split.

The first byte holds the flags (the upper five bits) and how many lengths follow (the lower three);
then come the lengths of the pieces, a byte each, then the body. What is left of the body after
these pieces is the last one.
"""


def unpack(data: bytes) -> tuple[int, list[bytes]]:
    """Flags, 0 to 31, and the pieces of the body, of which some may be empty."""
    head = data[0] if data else 0
    start = 1 + (head & 7)
    lengths, body = data[1:start], data[start:]
    pieces = []
    for length in lengths:
        pieces.append(body[:length])
        body = body[length:]
    return head >> 3, [*pieces, body]


def pack(body: bytes, *lengths: int, flags: int = 0) -> bytes:
    """The fuzz bytes that `unpack` reads like this; for seeds."""
    return bytes((flags << 3 | len(lengths), *lengths)) + body
