"""Request bodies: bytes in, checked messages out, every problem by its path.

Rules. No I/O and no framework: bytes or lines in. A document is all or nothing; of a stream of
lines the good ones count and the bad ones are listed. Paths read like the client's own code:
`[3].color`, `messages[0].text`, `rooms[2]`. A document of many messages is read in steps, so that
others have their turns: a megabyte of the shortest is seconds of work.
"""

from collections.abc import Generator, Iterator
from math import isinf
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, structs

from chat.api.models import MAX_PRODUCT, BroadcastIn, MessageIn, Problem
from chat.config.sections import Limits
from chat.policy.gate import Attempt, backend_gate
from chat.policy.identity import BACKEND, MAX_UID, Identity
from chat.policy.text import room_problem, uid_problem
from chat.wire.data import data_problem

S = TypeVar("S", bound=Struct)
T = TypeVar("T")
Steps = Generator[None, None, T]
"""What is read in steps, and comes with the last."""

MAX_LISTED: Final = 100
"""Problems told of one request; a million lines may all be bad."""
MOST_EXACT: Final = 2**53
"""Up to here a float says which whole number it is."""
NULLABLE: Final = frozenset({"rooms", "users", "message", "messages"})
"""What a broadcast may name and not give."""
MAX_QUOTED: Final = 64
"""Characters of what was sent that are told back."""
STEP: Final = 200
"""Messages that are checked before others have a turn: some ten milliseconds."""


class BadBody(Exception):
    """A body that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: list[Problem], message: str = "the request is not valid") -> None:
        super().__init__(message)
        self.problems = problems[:MAX_LISTED]


def read_messages(data: bytes, limits: Limits) -> Steps[list[MessageIn]]:
    """In steps, the messages of a JSON document: one object or an array. Raises BadBody."""
    document = parse(data)
    if isinstance(document, dict):
        return (yield from _messages({"": document}, limits))
    if not isinstance(document, list):
        raise BadBody([Problem("expected a message or an array of messages")])
    if not document:
        raise BadBody([Problem("the array is empty")])
    return (yield from _messages({f"[{i}]": item for i, item in enumerate(document)}, limits))


def read_line(line: bytes, limits: Limits) -> MessageIn | Problem:
    """The message of one NDJSON line, or what is wrong with it."""
    try:
        return message_of(parse(line), "", limits)
    except BadBody as bad:
        return bad.problems[0]


def read_broadcast(data: bytes, limits: Limits) -> Steps[tuple[BroadcastIn, list[MessageIn]]]:
    """In steps, a broadcast and its messages. Raises BadBody."""
    document = parse(data)
    if not isinstance(document, dict):
        raise BadBody([Problem("expected an object")])
    document = {k: v for k, v in document.items() if v is not None or k not in NULLABLE}
    problems = _one_of_each(document)
    messages: list[MessageIn] = []
    heading = {k: v for k, v in document.items() if k not in ("message", "messages")}
    broadcast = BroadcastIn()
    try:
        broadcast = msgspec.convert(heading, BroadcastIn)
    except msgspec.ValidationError as error:
        problems.append(_problem(error, ""))
    for i, room in enumerate(broadcast.rooms or ()):
        wrong = room_problem(room, limits.room_chars)
        if wrong is not None:
            problems.append(Problem(wrong, f"rooms[{i}]"))
    for i, uid in enumerate(broadcast.users or ()):
        wrong = uid_problem(uid, MAX_UID)
        if wrong is not None:
            problems.append(Problem(wrong, f"users[{i}]"))
    try:
        messages = yield from _messages(_by_path(document), limits)
    except BadBody as bad:
        problems += bad.problems
    if len(messages) * len(broadcast.rooms or ()) > MAX_PRODUCT:
        problems.append(Problem(f"at most {MAX_PRODUCT} messages times rooms at once", "rooms"))
    if problems:
        raise BadBody(problems)
    return broadcast, messages


def _one_of_each(document: dict[str, Any]) -> list[Problem]:
    problems = []
    if sum(bool(document.get(name)) for name in ("rooms", "all", "users")) != 1:
        problems.append(Problem('name exactly one of "rooms", "all": true, "users"'))
    if ("message" in document) == ("messages" in document):
        problems.append(Problem('give either "message" or "messages"'))
    return problems


def _by_path(document: dict[str, Any]) -> dict[str, Any]:
    """A broadcast's messages by where they stand. Raises BadBody."""
    if "message" in document:
        return {"message": document["message"]}
    many = document.get("messages", [])
    if not isinstance(many, list) or ("messages" in document and not many):
        raise BadBody([Problem("expected an array with a message at least", "messages")])
    return {f"messages[{i}]": item for i, item in enumerate(many)}


def _messages(documents: dict[str, Any], limits: Limits) -> Steps[list[MessageIn]]:
    """Messages by their paths, checked; all of them or BadBody."""
    problems: list[Problem] = []
    messages = []
    for done, (path, document) in enumerate(documents.items(), 1):
        try:
            messages.append(message_of(document, path, limits))
        except BadBody as bad:
            problems += bad.problems
            if len(problems) >= MAX_LISTED:  # no more of them are told
                break
        if done % STEP == 0:
            yield
    if problems:
        raise BadBody(problems)
    return messages


def message_of(document: Any, path: str, limits: Limits) -> MessageIn:
    """A message that has passed the gate, its text and name cleaned. Raises BadBody."""
    try:
        message = msgspec.convert(document, MessageIn)
    except msgspec.ValidationError as error:
        raise BadBody(_field_problems(document, path) or [_problem(error, path)]) from None
    who = Identity(message.uid, message.name, BACKEND, badges=tuple(message.badges))
    attempt = Attempt("", message.text, who)
    refusals = backend_gate(limits).refusals(attempt)
    problems = [Problem(one.message, _at(path, one.field)) for one in refusals]
    if message.data is not None and (wrong := data_problem(message.data)) is not None:
        problems.append(Problem(wrong, _at(path, "data")))
    if problems:
        raise BadBody(problems)
    message.text, message.name = attempt.text, attempt.who.name
    return message


def _field_problems(document: Any, path: str) -> list[Problem]:
    """What is wrong with a message's fields. msgspec stops at the first, so each goes alone."""
    if not isinstance(document, dict):
        return []
    probes = [{"text": "", name: value} for name, value in document.items()]
    if "text" not in document:
        probes.append({})
    problems: list[Problem] = []
    for probe in probes:
        try:
            msgspec.convert(probe, MessageIn)
        except msgspec.ValidationError as error:
            problems.append(_problem(error, path))
        if len(problems) == MAX_LISTED:
            break
    return problems


def read_fields(data: bytes, kind: type[S]) -> S:
    """A JSON object as a Struct, all its fields checked by themselves. Raises BadBody."""
    document = parse(data)
    if not isinstance(document, dict):
        raise BadBody([Problem("expected an object")])
    known = {field.name: field for field in structs.fields(kind)}
    unknown = sorted(document.keys() - known)
    problems = [Problem("there is no such field", name[:MAX_QUOTED]) for name in unknown]
    for name, field in known.items():
        if name in document:
            try:
                msgspec.convert(document[name], field.type)
            except msgspec.ValidationError as error:
                problems.append(_problem(error, name))
        elif field.required:
            problems.append(Problem("this field is needed", name))
    if problems:
        raise BadBody(problems)
    return msgspec.convert(document, kind)


def _at(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")


def _number(literal: str) -> int | float:
    """A number with a point or an exponent. A whole one is whole, as JSON Schema has it."""
    value = float(literal)
    if isinf(value):
        raise ValueError("Number out of range")
    return int(value) if value.is_integer() and abs(value) <= MOST_EXACT else value


_decode: Final = msgspec.json.Decoder(float_hook=_number).decode


def parse(data: bytes) -> Any:
    """A JSON document. Raises BadBody."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody([Problem(f"not JSON: {error}")]) from None


def _problem(error: msgspec.ValidationError, path: str) -> Problem:
    """msgspec's "what - at `$.where`" as a Problem."""
    message, _, where = str(error).partition(" - at `$")
    return Problem(message, f"{path}{where.rstrip('`')}".lstrip("."))


class LineSplitter:
    """Lines out of chunks. A line longer than `most` bytes is given as None and passed over."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """The lines that `chunk` completes."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
            else:
                whole = bytes(self._rest) + line
                yield whole if len(whole) <= self._most else None
            self._rest.clear()
        if not self._skipping:
            self._rest += rest
            if len(self._rest) > self._most:
                yield None
                self._skipping = True
                self._rest.clear()

    def finish(self) -> Iterator[bytes]:
        """The last line, if it was not ended."""
        if self._rest:
            yield bytes(self._rest)
        self._rest.clear()
