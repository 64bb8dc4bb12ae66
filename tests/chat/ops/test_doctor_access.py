"""What the doctor says of who gets in: ports, addresses, tokens, the API's key."""

import errno
import socket

import pytest

from chat.config.sections import ApiKey
from chat.ops.findings import Level
from tests.chat.ops.machines import SECRET, finding, machine, names


class TestPorts:
    def test_a_port_in_use_may_be_ours(self) -> None:
        def bind(host: str, port: int) -> OSError | None:
            return OSError(errno.EADDRINUSE, "Address already in use") if port == 8000 else None

        found = finding("server.port", machine(bind=bind))
        assert (found.level, found.detail) == ("note", "0.0.0.0:8000 is in use")
        assert "ss -ltnp 'sport = :8000'" in found.advice
        assert finding("api.port", machine(bind=bind)).level == "ok"

    @pytest.mark.parametrize(
        ("error", "advice"),
        [
            (OSError(errno.EACCES, "Permission denied"), "CAP_NET_BIND_SERVICE"),
            (OSError(errno.EADDRNOTAVAIL, "Cannot assign"), "set api.host to an address"),
            (socket.gaierror(-2, "Name or service not known"), "set api.host to an address"),
        ],
    )
    def test_a_port_that_cannot_be_had(self, error: OSError, advice: str) -> None:
        found = finding("api.port", machine(bind=lambda host, port: error))
        assert found.level == "problem"
        assert error.strerror is not None
        assert error.strerror in found.detail
        assert advice in found.advice


class TestAddresses:
    NAME = "limits.connections_per_address"

    def test_without_a_limit_they_do_not_matter(self) -> None:
        assert self.NAME not in names(server={"host": "127.0.0.1"})

    def test_a_limit_holds_for_each_shard(self) -> None:
        found = finding(self.NAME, limits={"connections_per_address": 1000})
        assert (found.level, found.detail) == (
            "ok",
            "1,000 on each of 4 shards, by the address of: connection",
        )

    @pytest.mark.parametrize(
        ("host", "source", "level"),
        [
            ("127.0.0.1", "connection", "note"),
            ("localhost", "connection", "note"),
            ("10.0.0.1", "connection", "ok"),
            ("127.0.0.1", "proxy-protocol", "ok"),
            ("127.0.0.1", "x-forwarded-for", "ok"),
        ],
    )
    def test_behind_a_proxy_all_viewers_have_one(
        self, host: str, source: str, level: Level
    ) -> None:
        server = {"host": host, "client_address": source, "shards": 1}
        found = finding(self.NAME, server=server, limits={"connections_per_address": 20})
        assert found.level == level
        assert ("set server.client_address" in found.advice) is (level == "note")


class TestSecrets:
    @pytest.mark.parametrize(
        ("secret", "guests", "level"),
        [
            ("", "type", "note"),
            ("", "read", "ok"),
            (SECRET, "type", "ok"),
            (SECRET, "read", "ok"),
            (SECRET, "refuse", "ok"),
        ],
    )
    def test_tokens(self, secret: str, guests: str, level: Level) -> None:
        found = finding("auth.secret", auth={"secret": secret, "guests": guests})
        assert found.level == level
        assert SECRET not in str(found)

    def test_tokens_by_public_keys(self) -> None:
        found = finding("auth.secret", auth={"secret": "", "public_keys": "keys.pem"})
        assert found.level == "ok"
        assert "everyone is a guest" not in found.detail

    @pytest.mark.parametrize(
        ("key", "host", "level"),
        [
            ("", "127.0.0.1", "ok"),
            ("", "::1", "ok"),
            ("", "localhost", "ok"),
            ("", "0.0.0.0", "note"),
            ("", "api.internal", "note"),
            ("short", "127.0.0.1", "note"),
            (SECRET, "0.0.0.0", "ok"),
        ],
    )
    def test_the_api_key(self, key: str, host: str, level: Level) -> None:
        found = finding("api.key", api={"key": key, "host": host})
        assert found.level == level
        assert SECRET not in str(found)

    @pytest.mark.parametrize(("secret", "level"), [("", "note"), (SECRET, "ok")])
    def test_webhooks(self, secret: str, level: Level) -> None:
        url = "https://user:hunter2@h.example/hook?key=hunter2"
        found = finding("webhooks", webhooks={"url": url, "secret": secret})
        assert found.level == level
        assert "https://h.example/hook" in found.detail
        assert SECRET not in str(found)
        assert "hunter2" not in str(found)

    def test_keys_with_names(self) -> None:
        found = finding("api.keys", api={"keys": (ApiKey("game", ("publish",), SECRET),)})
        assert (found.level, found.detail) == ("ok", "set: game")
