"""Who is let in: by key, from this machine, by which name, from whose page."""

import pytest

from chat.api.guard import is_loopback
from tests.chat.api.conftest import KEY
from tests.chat.api.rig import Api, messages_of

PROTECTED = ["/v1/rooms", "/v1/rooms/a/messages", "/v1/nothing", "/metrics", "/%76%31/rooms"]
OPEN = ["/", "/healthz", "/readyz", "/docs", "/openapi.json", "/web/app.js"]
BEARER = f"Bearer {KEY}".encode().decode("latin-1")
"""As http.client takes it: the bytes of UTF-8."""


class TestWithKey:
    @pytest.mark.parametrize("path", PROTECTED)
    @pytest.mark.parametrize(
        "given",
        [
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            f"Basic {BEARER.removeprefix('Bearer ')}",
            BEARER.removeprefix("Bearer "),
            BEARER + "x",
            BEARER[:-1],
            "Bearer \xff\xfe",
        ],
    )
    def test_anything_but_the_key_is_a_401(self, keyed: Api, path: str, given: str) -> None:
        answer = keyed.get(path, Authorization=given)
        assert (answer.status, answer.error["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_no_header_at_all_is_a_401_and_publishes_nothing(self, keyed: Api, room: str) -> None:
        assert keyed.post(room, {"text": "x"}).status == 401
        assert keyed.get(messages_of(room), Authorization=BEARER).status == 404

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    def test_the_key_opens(self, keyed: Api, scheme: str) -> None:
        given = BEARER.replace("Bearer", scheme)
        assert keyed.get("/v1/rooms", Authorization=given).status == 200
        assert keyed.get("/metrics", Authorization=given).status == 200

    def test_with_the_key_any_name_and_origin_will_do(self, keyed: Api) -> None:
        headers = {"Authorization": BEARER, "Host": "chat.example", "Origin": "https://a.example"}
        assert keyed.get("/v1/rooms", **headers).status == 200

    @pytest.mark.parametrize("path", OPEN)
    def test_the_pages_and_health_need_none(self, keyed: Api, path: str) -> None:
        assert keyed.get(path).status == 200


class TestWithoutKey:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8001", "LocalHost", "[::1]:8001"])
    def test_this_machine_may_call_by_its_own_names(self, api: Api, host: str) -> None:
        assert api.get("/v1/rooms", Host=host).status == 200

    @pytest.mark.parametrize("path", PROTECTED)
    @pytest.mark.parametrize(
        "host",
        [
            "",
            "evil.example",
            "evil.example:8001",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "192.168.0.7",
            "[2001:db8::1]",
            "[",
            "\xff",
        ],
    )
    def test_a_name_that_was_rebound_to_it_is_refused(self, api: Api, path: str, host: str) -> None:
        answer = api.get(path, Host=host)
        assert (answer.status, answer.error["code"]) == (403, "forbidden")

    def test_no_name_is_refused(self, api: Api) -> None:
        answer = api.raw(b"GET /v1/rooms HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 ")

    @pytest.mark.parametrize(
        "origin",
        [
            "null",
            "",
            "https://evil.example",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "file://",
            "127.0.0.1",
            "https://evil.example/://localhost",
        ],
    )
    def test_a_page_of_another_site_is_refused(self, api: Api, room: str, origin: str) -> None:
        answer = api.post(room, {"text": "x"}, Origin=origin)
        assert (answer.status, answer.error["code"]) == (403, "forbidden")
        assert api.history(room) == []

    @pytest.mark.parametrize(
        "origin", ["http://127.0.0.1:8001", "http://localhost:3000", "http://[::1]:8001"]
    )
    def test_a_page_of_this_machine_may_call(self, api: Api, room: str, origin: str) -> None:
        assert api.post(room, {"text": "x"}, Origin=origin).status == 200

    @pytest.mark.parametrize("path", OPEN)
    def test_pages_are_shown_by_any_name(self, api: Api, path: str) -> None:
        assert api.get(path, Host="chat.example").status == 200


class TestHeaders:
    @pytest.mark.parametrize("path", ["/", "/v1/rooms", "/v1/rooms/a%20b", "/nothing", "/docs"])
    def test_every_response_tells_browsers_to_be_careful(self, keyed: Api, path: str) -> None:
        headers = keyed.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert ("'unsafe-inline'" in policy) == (path == "/docs")
        assert "server" not in headers

    def test_no_other_site_is_allowed_to_read(self, api: Api) -> None:
        answer = api.call("OPTIONS", "/v1/rooms", headers={"Origin": "http://localhost:3000"})
        assert "access-control-allow-origin" not in answer.headers


class TestLoopback:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "::ffff:127.0.0.1"]
    )
    def test_this_machine(self, host: str) -> None:
        assert is_loopback(host)

    @pytest.mark.parametrize(
        "host",
        [
            "",
            "0.0.0.0",
            "::",
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "a.localhost.b",
            "127.1",
            "1",
            "1" * 99,
        ],
    )
    def test_another_machine(self, host: str) -> None:
        assert not is_loopback(host)

    def test_what_is_longer_than_an_address_is_none(self) -> None:
        assert not is_loopback("::ffff:127.0.0.1%" + "1" * 99)
