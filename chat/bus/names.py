"""Names nobody else has: of epochs and of shards.

Rules. Random, short, in 0-9a-z, so that they are the same in keys, in JSON and in a log.
"""

import secrets
from typing import Final

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_epoch() -> str:
    """A name for a room's count of messages that will not occur again."""
    return base36(secrets.randbelow(36**6)).rjust(6, "0")


def new_shard() -> str:
    """A name for one life of one shard; random, so that none is taken for another."""
    return base36(secrets.randbits(40)).rjust(8, "0")


def base36(number: int) -> str:
    """A non-negative number in 0-9a-z."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
