"""What a backend may attach to a message: any JSON, within bounds.

Rules. Pure. What passes here every dialect can write and every reader can read, whoever wrote the
entry it came in: MessagePack can say more than JSON, and JSON has larger numbers.
"""

from typing import Any, Final

import msgspec

MAX_DATA_BYTES: Final = 4096
"""Of data as JSON without spaces."""
MAX_DATA_DEPTH: Final = 32
"""Objects and arrays within each other: readers recurse."""

_json: Final = msgspec.json.Encoder().encode
_read: Final = msgspec.json.Decoder().decode
_packed: Final = msgspec.msgpack.Encoder().encode


def data_problem(data: Any) -> str | None:
    """Why data cannot be attached, or None."""
    if not _is_shallow(data, MAX_DATA_DEPTH):
        return f"data is nested deeper than {MAX_DATA_DEPTH}"
    try:
        written = _json(data)
        _packed(data)
    except (TypeError, ValueError, OverflowError) as error:
        return f"data cannot be written: {error}"
    if len(written) > MAX_DATA_BYTES:
        return f"data is longer than {MAX_DATA_BYTES} bytes"
    return None if _read(written) == data else "data is not what JSON can say"


def _is_shallow(value: Any, left: int) -> bool:
    match value:
        case dict():
            return left > 0 and all(_is_shallow(one, left - 1) for one in value.values())
        case list() | tuple():
            return left > 0 and all(_is_shallow(one, left - 1) for one in value)
    return True
