"""Responses: a Struct as JSON, and a refusal in its one shape."""

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
) -> Response:
    """`{"error": {"code", "message", "problems"}}`."""
    told = Failure(code, message, list(problems), accepted, lines)
    return answer(FailureOut(told), status, headers)
