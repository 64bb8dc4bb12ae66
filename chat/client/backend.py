"""The HTTP API as a person at a terminal calls it: one request, what is true now, or a sentence.

Rules. Knows the API's one shape of refusals, and no operation of it. Whatever goes wrong is a
ClientError whose text says it to the person who asked, and what to do about it; nothing is tried
again, because everything asked here may be repeated. Each path part is percent-encoded once, here.

Danger: an error's text goes to a terminal or a log. The key must not be in it.
"""

from collections.abc import Iterator
from typing import Any, Final, NoReturn, Self
from urllib.parse import quote

import httpx

from chat.client.link import ClientError, is_loopback

TIMEOUT_S: Final = 30.0


class Refused(ClientError):
    """The API said no. `status` is HTTP's; `problems` are its sentences, one a field."""

    def __init__(self, status: int, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.problems = problems


class Answer(dict[str, Any]):
    """A JSON object of the API's. What it lacks is a ClientError: it is another server's."""

    def __missing__(self, name: str) -> NoReturn:
        raise ClientError(f"what answers says nothing of {name!r}; is it the API?")


class Backend:
    """The API at `url`, with a key or without. Raises ClientError.

    actor  who is at the terminal, for the audit
    """

    def __init__(self, url: str, key: str = "", actor: str = "") -> None:
        headers = {}
        key = key.strip()
        if not key.isprintable():
            raise ClientError("the key cannot be one: there is a control character in it")
        if key:
            headers[b"Authorization"] = b"Bearer " + key.encode()
        if actor:
            headers[b"X-Danmaku-Actor"] = actor.encode()
        self._url = url.rstrip("/")
        self._key = bool(key)
        host = httpx.URL(url).host if _is_http(url) else ""
        if not host:
            raise ClientError(f"{url!r} is no address of an API, as http://127.0.0.1:8001 is")
        self._http = httpx.Client(
            headers=headers, timeout=TIMEOUT_S, trust_env=not is_loopback(url)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(
        self, method: str, *path: str, body: object = None, query: dict[str, Any] | None = None
    ) -> Any:
        """The Answer to `method /v1/…`. Raises Refused, and ClientError where none comes."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            where = "/".join(quote(part, safe="") for part in ("v1", *path))
            answer = self._http.request(method, f"{self._url}/{where}", json=body, params=given)
        except (httpx.HTTPError, ValueError) as error:
            raise unanswered(error, self._url, TIMEOUT_S) from None
        if answer.is_success:
            return _parsed(answer)
        raise refused(answer, self._url, self._key)

    def pages(self, name: str, *path: str, after: str = "", limit: int = 1000) -> Iterator[Answer]:
        """All of a list that comes in pages, called `name` in the answers."""
        while True:
            page = self.ask("GET", *path, query={"after": after or None, "limit": limit})
            items, behind = page[name], page["next"]
            objects = isinstance(items, list) and all(isinstance(one, Answer) for one in items)
            if not objects or behind == after:
                raise ClientError(f"what answers has no pages of {name!r}; is it the API?")
            yield from items
            if behind is None:
                return
            after = behind


def unanswered(error: Exception, url: str, timeout_s: float) -> ClientError:
    """What httpx raised, as who asked is told it."""
    if isinstance(error, httpx.TimeoutException):
        return ClientError(f"{url} did not answer within {timeout_s:.0f} s")
    if isinstance(error, httpx.ConnectError):
        return ClientError(f"{url} cannot be reached ({error}); is a node up?")
    return ClientError(f"{url} cannot be asked: {error}")


def refused(answer: httpx.Response, url: str, with_key: bool) -> Refused:
    """An answer that is no success, as who asked is told it."""
    status = answer.status_code
    try:
        error = answer.json()["error"]
        message, problems = str(error["message"]), error.get("problems", [])
        told = tuple(": ".join(filter(None, (p.get("path"), p["message"]))) for p in problems)
        again = error.get("retry_after")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Refused(status, f"{url} answers HTTP {status}; is it the API's address?")
    if status == 401:
        had = "the key is none of this server's" if with_key else "a key is needed here"
        message = f"{had}: give one with --key or in DANMAKU_API_KEY"
    again = again or answer.headers.get("Retry-After")
    if again:
        message = f"{message.removesuffix('; try again')}; try again in {again} s"
    return Refused(status, message, told)


def _parsed(answer: httpx.Response) -> Any:
    try:
        found = answer.json(object_hook=Answer)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Answer):
        raise ClientError(
            f"{answer.url.copy_with(path='/', query=None)} answers no JSON object; is it the API?"
        )
    return found


def _is_http(url: str) -> bool:
    try:
        return httpx.URL(url).scheme in {"http", "https"}
    except httpx.InvalidURL:
        return False
