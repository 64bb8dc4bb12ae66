"""Changed inputs from seeds, the same for the same random generator.

What atheris does by coverage is done here by chance: one to four changes, each of them one that a
parser of lengths, lists and text may trip over.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

MAX_BYTES: Final = 4_096

TOKENS: Final = (
    *(b"\x00", b"\x7d", b"\x7e", b"\x7f", b"\x80", b"\xff", b"\x00\x7d", b"\x00\x7e", b"\xff\xff"),
    *(b"\x00\x00\x00\x00\x00\x01\x00\x00", b"\x7f" + b"\xff" * 7, b"\x80" + b"\x00" * 7),
    *(b"\r\n", b"\n", b"\r\n\r\n", b": ", b", ", b"; ", b"=", b'"', b"\\u", b"{", b"[", b"1e999"),
    *("雪".encode(), b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"),
)
"""Lengths at their borders, separators, and UTF-8 that is none."""

Change = Callable[[Random, bytes, Sequence[bytes]], bytes]


def mutations(seeds: Sequence[bytes], random: Random, count: int) -> Iterator[bytes]:
    """`count` inputs of at most MAX_BYTES."""
    for _ in range(count):
        data = random.choice(seeds)
        for _ in range(random.randint(1, 4)):
            data = random.choice(CHANGES)(random, data, seeds)[:MAX_BYTES]
        yield data


def _span(random: Random, data: bytes) -> tuple[int, int]:
    """Where a piece of `data` begins and ends; short ones are likelier."""
    start = random.randint(0, len(data))
    return start, random.randint(start, min(len(data), start + random.choice((1, 4, 64))))


def flip_bit(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]


def overwrite(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    token = random.choice(TOKENS)
    at = random.randint(0, len(data))
    return data[:at] + token + data[at + len(token) :]


def insert(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    new = random.choice((random.choice(TOKENS), random.randbytes(random.randint(1, 4))))
    return data[:at] + new + data[at:]


def delete(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def repeat(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:end] * random.randint(1, 3) + data[end:]


def truncate(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return data[: random.randint(0, len(data))]


def splice(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    other = random.choice(seeds)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


CHANGES: Final[tuple[Change, ...]] = (
    *(flip_bit, overwrite, insert, delete),
    *(repeat, truncate, splice),
)
