"""What a message says, and which one it is by that.

Rules. Pure. A text is its number, and padding that does not deflate. Where many are to say the same
it is a chant: the same letters for all, as the server compares them, the number is in their case.
"""

import random
from typing import Final

CHANTS: Final = ("ha", "wo", "ky")
LETTERS: Final = 24


def written(number: int, padding: int) -> str:
    """A text that is like no other."""
    if not padding:
        return str(number)
    letters = random.Random(number).choices(range(0x4E00, 0x9FFF), k=padding)
    return f"{number} {''.join(map(chr, letters))}"


def chanted(number: int, chant: str) -> str:
    """A text that is like others of the same chant but for its case."""
    letters = (chant * LETTERS)[:LETTERS]
    return "".join(c.upper() if number >> i & 1 else c for i, c in enumerate(letters))


def number_of(text: str) -> int:
    """The number of a text."""
    if text[0].isdigit():
        return int(text.split(" ", 1)[0])
    return sum(1 << i for i, letter in enumerate(text) if letter.isupper())
