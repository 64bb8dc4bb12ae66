"""Keys of the API: what each opens, how often, and who it says is calling."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import force_setattr
from starlette.routing import Route

from chat.api.app import create_app
from chat.api.guard import CENTRIFUGAL, PROTECTED
from chat.api.incoming import Drain
from chat.api.keys import ALL, NEEDED, Keyring, needed
from chat.api.metrics import API_FIELDS, Metrics
from chat.config.sections import Api as ApiSection
from chat.config.sections import ApiKey, Config, Scope, Server
from chat.counters import FIELDS
from chat.ops.engine import EmbeddedEngine
from pool.scoreboard import Scoreboard
from tests.chat.api.rig import Api, messages_of

MASTER = "master-0123456789abcdef"
KEYS: dict[str, tuple[Scope, ...]] = {
    "game": ("publish",),
    "board": ("read", "metrics"),
    "staff": ("moderate",),
}


def secret(name: str) -> str:
    return f"{name}-0123456789abcdef"


def bearer(name: str) -> str:
    return f"Bearer {secret(name)}"


@pytest.fixture(scope="module")
def api(valkey: EmbeddedEngine) -> Iterator[Api]:
    keys = tuple(ApiKey(name, scopes, secret(name)) for name, scopes in KEYS.items())
    slow = ApiKey("slow", ("read",), secret("slow"), per_s=1, burst=3)
    api = Api(valkey.url, api={"key": MASTER, "keys": (*keys, slow)})
    yield api
    api.close()


class TestScopes:
    @pytest.mark.parametrize(
        ("method", "path", "scope"),
        [
            ("POST", "/v1/rooms/r/messages", "publish"),
            ("POST", "/v1/broadcast", "publish"),
            ("GET", "/v1/rooms/r/messages", "read"),
            ("HEAD", "/v1/rooms/r", "read"),
            ("GET", "/v1/rooms", "read"),
            ("GET", "/metrics", "metrics"),
            ("DELETE", "/v1/rooms/r/messages", "moderate"),
            ("DELETE", "/v1/rooms/r/messages/4", "moderate"),
            ("PUT", "/v1/mutes/u", "moderate"),
            ("GET", "/v1/rooms/r/messages/4", "moderate"),
            ("GET", "/v1/audit", "moderate"),
            ("GET", "/v1/users", "moderate"),
            ("GET", "/v1/nodes", "metrics"),
            ("GET", "/v1/rooms/r/live", "read"),
            ("GET", "/v1/live", None),
            ("GET", "/v1/key", None),
            ("GET", "/v1/rooms/a/b/messages", "moderate"),
            ("POST", "/v1/rooms//messages", "moderate"),
            ("GET", "/metrics/", "moderate"),
            ("GET", "/api/info", "read"),
            ("PUT", "/api/publish", "publish"),
            ("GET", "/api/disconnect", "moderate"),
        ],
    )
    def test_a_request_needs_one(self, method: str, path: str, scope: Scope | None) -> None:
        assert needed(method, path) == scope

    def test_every_route_needs_one_and_the_table_names_no_other(self) -> None:
        metrics = Metrics(Scoreboard(FIELDS, 1), Scoreboard(API_FIELDS, 1))
        config = Config(server=Server(dialects=("centrifugal",)))
        app = create_app(config, "unix:///nowhere", metrics, Drain(), 0)
        served = {
            (method, route.path)
            for route in app.routes
            if isinstance(route, Route) and f"{route.path}/".startswith((*PROTECTED, CENTRIFUGAL))
            for method in route.methods or ()
            if method != "HEAD"
        }
        known = {(method, path) for method, path, _ in NEEDED}
        assert served
        for method, path in served:
            scope = needed(method, path.replace("{room}", "r"))
            told = [one for m, p, one in NEEDED if (m, p) == (method, path)]
            assert told == ([scope] if (method, path) in known else [])
            assert (method, path) in known or scope == "moderate"

    @pytest.mark.parametrize("name", KEYS)
    def test_a_key_opens_its_own_and_the_answer_names_what_is_missing(
        self, api: Api, room: str, name: str
    ) -> None:
        asked: dict[Scope, tuple[str, str]] = {
            "publish": ("POST", messages_of(room)),
            "read": ("GET", "/v1/rooms"),
            "metrics": ("GET", "/metrics"),
            "moderate": ("DELETE", "/v1/mutes/u"),
        }
        for scope, (method, path) in asked.items():
            body = b'{"text": "hi"}' if method == "POST" else None
            answer = api.call(method, path, body, headers={"Authorization": bearer(name)})
            if scope in KEYS[name]:
                assert answer.status in (200, 404)
            else:
                assert (answer.status, answer.error["code"]) == (403, "forbidden")
                assert repr(scope) in answer.error["message"]
                assert secret(name) not in answer.body.decode()

    def test_the_one_key_opens_everything(self, api: Api, room: str) -> None:
        headers = {"Authorization": f"Bearer {MASTER}"}
        assert api.post(room, {"text": "hi"}, **headers).status == 200
        assert api.get("/v1/rooms", **headers).status == 200
        assert api.get("/metrics", **headers).status == 200

    def test_what_was_refused_has_done_nothing(self, api: Api, room: str) -> None:
        assert api.post(room, {"text": "x"}, Authorization=bearer("board")).status == 403
        master = f"Bearer {MASTER}"
        assert api.get(messages_of(room), Authorization=master).status == 404

    @pytest.mark.parametrize("given", ["", "Bearer nobody-0123456789abcdef", f"Basic {MASTER}"])
    def test_no_key_of_ours_is_a_401(self, api: Api, given: str) -> None:
        answer = api.get("/v1/rooms", Authorization=given)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


class TestRates:
    def test_beyond_its_rate_a_key_is_told_when(self, api: Api) -> None:
        answers = [api.get("/v1/rooms", Authorization=bearer("slow")) for _ in range(9)]
        refused = [one for one in answers if one.status == 429]
        assert [one.status for one in answers[:3]] == [200] * 3
        assert refused
        assert refused[-1].error["code"] == "rate_limited"
        assert 0 < refused[-1].error["retry_after"] <= 1
        assert refused[-1].headers["retry-after"] == "1"
        assert api.get("/v1/rooms", Authorization=bearer("board")).status == 200

    def test_without_a_key_an_address_has_its_own(self, valkey: EmbeddedEngine) -> None:
        api = Api(valkey.url, api={"key": MASTER, "open_per_s": 1})
        try:
            answers = [api.get("/healthz") for _ in range(12)]
            assert [one.status for one in answers[:10]] == [200] * 10
            assert answers[-1].status == 429
            assert answers[-1].error["retry_after"] > 0
            # Also with a key that is none, and never with one that is.
            assert api.get("/v1/rooms", Authorization="Bearer x").status == 429
            assert api.get("/v1/rooms", Authorization=f"Bearer {MASTER}").status == 200
        finally:
            api.close()


class TestCounting:
    def test_requests_are_counted_by_the_keys_name(self, api: Api) -> None:
        api.get("/v1/rooms", Authorization=bearer("board"))
        api.get("/metrics", Authorization=bearer("staff"))
        text = api.get("/metrics", Authorization=bearer("board")).body.decode()
        assert 'danmaku_api_key_requests_total{key="board",status="200"}' in text
        assert 'danmaku_api_key_requests_total{key="staff",status="403"}' in text
        assert "0123456789abcdef" not in text


class TestKeyring:
    KEYRING = Keyring(
        ApiSection(
            key=MASTER, keys=(ApiKey("a", ("read",), secret("a")), ApiKey("b", (), secret("b")))
        ),
        lambda: 5.0,
    )

    def test_each_finds_its_holder(self) -> None:
        found = [self.KEYRING.find(key.encode()) for key in (MASTER, secret("a"), secret("b"))]
        assert [(one.name, one.scopes) for one in found if one] == [
            ("default", ALL),
            ("a", frozenset({"read"})),
            ("b", frozenset()),
        ]

    @given(st.binary() | st.sampled_from([MASTER[:-1], MASTER + "x", ""]).map(str.encode))
    def test_anything_else_finds_nobody(self, given: bytes) -> None:
        assert self.KEYRING.find(given) is None

    def test_without_keys_it_is_none(self) -> None:
        assert not Keyring(ApiSection(), lambda: 0.0)
        assert Keyring(ApiSection(), lambda: 0.0).find(b"") is None

    def test_new_keys_hold_at_once_and_one_that_stays_goes_on_with_what_it_used(self) -> None:
        one, two = (ApiKey(name, ("read",), secret(name), per_s=1, burst=2) for name in "ab")
        api = ApiSection(keys=(one,))
        keyring = Keyring(api, lambda: 5.0)
        caller = keyring.find(secret("a").encode())
        assert caller is not None
        assert [keyring.wait_s(caller) > 0 for _ in range(3)] == [False, False, True]
        force_setattr(api, "keys", (one, two))
        keyring.apply()
        assert keyring.wait_s(caller) > 0
        assert keyring.find(secret("b").encode()) is not None
        force_setattr(api, "keys", (msgspec.structs.replace(one, burst=5),))
        keyring.apply()
        assert keyring.wait_s(caller) == 0
        assert keyring.find(secret("b").encode()) is None
