"""What a request names: rooms, uids, numbers, who acts; each checked, or a BadBody.

Rules. Nothing is looked up. What is wrong is told by the name of the parameter, the field or the
header it stands in.
"""

from typing import Any, Final, TypeVar

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request

from chat.api.bodies import BadBody, read_fields
from chat.api.incoming import Drain, Incoming, content_type
from chat.api.keys import Caller
from chat.api.models import Problem
from chat.bus.pages import BEGINNING, is_id
from chat.config.sections import Config, Scope
from chat.policy.identity import BACKEND, MAX_NAME, MAX_UID
from chat.policy.moderation import MOST_REASON
from chat.policy.orders import Actor
from chat.policy.text import is_clean, room_problem, uid_problem

JSON: Final = "application/json"
ACTOR: Final = "X-Danmaku-Actor"
"""The header that names the human behind a backend's action."""
CALLER: Final = "danmaku.key"
"""Where a request's scope has its caller, by the key's name."""
API: Final = "api"
"""Who acts when nobody is named."""
UNNAMED: Final = frozenset({"", "default", "local"})
"""What a caller is called whose key has no name, or who has none."""
MOST: Final = 2**53
END: Final = "end"
"""Before which a page of the newest is."""

S = TypeVar("S", bound=Struct)


def want_json(kind: str, *kinds: str) -> None:
    """Raises HTTPException for a body of another kind; it names those there are."""
    if kind != JSON:
        raise HTTPException(415, f"the content type must be {' or '.join(kinds or (JSON,))}")


async def document(request: Request, config: Config, drain: Drain, instead: str = "") -> bytes:
    """A request's body, whole. Raises Interrupted, and HTTPException for one too large, with what
    one may do `instead`."""
    limits = config.api
    return await Incoming(request, limits.body_idle_s, drain).whole(limits.body_bytes, instead)


async def fields(
    request: Request, config: Config, drain: Drain, kind: type[S], optional: bool = False
) -> S:
    """A request's JSON object, checked; where it is `optional`, nothing is an empty one."""
    body = await document(request, config, drain)
    if optional and not body:
        return read_fields(b"{}", kind)
    want_json(content_type(request))
    return read_fields(body, kind)


def number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A number of the query."""
    raw = request.query_params.get(name)
    return default if raw is None else _number(raw, name, least, most)


def flag(request: Request, name: str) -> bool:
    """Whether the query asks for something."""
    given = request.query_params.get(name, "false")
    if given not in ("true", "false"):
        raise BadBody([Problem("expected true or false", name)])
    return given == "true"


def seq(request: Request) -> int:
    """The seq in a path."""
    return _number(request.path_params["seq"], "seq", 1, MOST)


def _number(raw: str, name: str, least: int, most: int) -> int:
    # Twenty digits are more than any bound, and int() refuses thousands of them.
    if raw.isascii() and raw.isdigit() and len(raw) <= 20 and least <= int(raw) <= most:
        return int(raw)
    raise BadBody([Problem(f"expected a number from {least} to {most}", name)])


def room(request: Request, config: Config) -> str:
    """The room in a path."""
    name: str = request.path_params["room"]
    wrong = room_problem(name, config.limits.room_chars)
    if wrong is not None:
        raise BadBody([Problem(wrong, "room")])
    return name


def rooms(request: Request, config: Config, most: int) -> list[str]:
    """The rooms in a path, with commas between, which no name has; each once."""
    names = request.path_params["room"].split(",")
    if len(names) > most:
        raise BadBody([Problem(f"at most {most} rooms", "room")])
    for name in names:
        wrong = room_problem(name, config.limits.room_chars)
        if wrong is not None:
            raise BadBody([Problem(wrong, "room")])
    return [*dict.fromkeys(names)]


def uid(given: str, field: str = "uid") -> str:
    """A uid, which may be anybody's."""
    wrong = uid_problem(given, MAX_UID)
    if wrong is not None:
        raise BadBody([Problem(wrong, field)])
    return given


def after(request: Request) -> str:
    """The ID of a stream's entry behind which a page begins; "" is before all."""
    return _entry_id(request.query_params.get("after") or BEGINNING, "after")


def before(request: Request) -> str | None:
    """The ID of a stream's entry before which a page ends; None is behind all."""
    given = request.query_params["before"]
    return None if given == END else _entry_id(given, "before")


def _entry_id(given: str, field: str) -> str:
    """An ID, of which Redis lets the second part be left out: the first of that millisecond."""
    full = given if "-" in given else f"{given}-0"
    if not is_id(full):
        wanted = 'the "next" of the page before, or a time in ms since 1970'
        raise BadBody([Problem(f"expected {wanted}", field)])
    return full


def reason(request: Request) -> str:
    """Why, by the query, where there is no body to say it in; "" where nothing is said."""
    given = request.query_params.get("reason", "")
    if len(given) > MOST_REASON:
        raise BadBody([Problem(f"at most {MOST_REASON} characters", "reason")])
    return given


def caller(request: Request) -> Caller:
    """Who calls."""
    found: Caller = request.scope[CALLER]
    return found


def may(request: Request, scope: Scope) -> bool:
    """Whether the caller's key opens what takes this scope."""
    return scope in caller(request).scopes


def actor(request: Request) -> Actor:
    """Who acts by the API: its key, by name, and the human who is named in the header."""
    known: Any = request.scope.get(CALLER)
    name = getattr(known, "name", "")
    if name in UNNAMED:
        name = API
    return Actor(name, _human(request) or name, BACKEND, "api")


def _human(request: Request) -> str:
    given = request.headers.get(ACTOR, "")
    try:
        name = given.encode("latin-1").decode()  # headers are bytes, names are UTF-8
    except UnicodeDecodeError:
        name = ""
    if given and not (1 <= len(name) <= MAX_NAME and is_clean(name)):
        words = f"a name is 1 to {MAX_NAME} characters of UTF-8 on one line"
        raise BadBody([Problem(words, ACTOR)])
    return name
