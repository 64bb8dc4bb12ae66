"""Responses: a Struct as JSON, and a refusal in its one shape."""

import math
from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from chat.api.models import Failure, FailureOut, Problem

_encode = msgspec.json.Encoder().encode


def answer(
    body: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """`body` as JSON."""
    return Response(_encode(body), status, headers, "application/json")


def failure(
    status: int,
    code: str,
    message: str,
    problems: Sequence[Problem] = (),
    accepted: int = 0,
    lines: int | None = None,
    headers: dict[str, str] | None = None,
    retry_after: float | None = None,
) -> Response:
    """`{"error": {"code", "message", "problems"}}`; `retry_after` is in a header, too."""
    told = Failure(code, message, list(problems), accepted, lines, retry_after)
    if retry_after is not None:
        headers = {"Retry-After": str(math.ceil(retry_after)), **(headers or {})}
    return answer(FailureOut(told), status, headers)
