"""What single values may be; the secrets among them are never quoted back."""

import json
from pathlib import Path

import pytest

from chat.config.checks import (
    CHECKS,
    check_frame_ancestors,
    check_goim_room,
    check_hooks,
    check_host,
    check_key,
    check_kind_roles,
    check_origins,
    check_path,
    check_prefix,
    check_presend_url,
    check_proxies,
    check_public_keys,
    check_public_url,
    check_secret,
    check_url,
    check_video,
    check_webhooks_url,
)
from chat.config.sections import TYPES
from tests.chat.config.keys import P256, private_pem, public_pem
from tests.chat.config.refusals import problems_of


def test_every_check_is_for_a_key_there_is() -> None:
    assert set(CHECKS) <= set(TYPES)


class TestPath:
    @pytest.mark.parametrize("path", ["/", "/ws", "/a/b.c-d_e~"])
    def test_it_may_be(self, path: str) -> None:
        assert check_path(path) is None

    @pytest.mark.parametrize("path", ["ws", "/a b", "/a?b", "/a#b", "/a%20b", "/弹"])
    def test_it_may_not_be(self, path: str) -> None:
        assert check_path(path) == f'expected a path like "/ws", got "{path}"'

    def test_the_health_check_keeps_its_own(self) -> None:
        assert check_path("/healthz") == "is taken by the health check"
        assert check_path("/readyz") == "is taken by the readiness check"
        assert check_path("/sub") == "is taken by goim's clients"


class TestGoimRoom:
    @pytest.mark.parametrize("template", ["{}", "live:{}", "房间-{}.a_b"])
    def test_it_may_be(self, template: str) -> None:
        assert check_goim_room(template) is None

    @pytest.mark.parametrize("template", ["", "live", "{}{}", "live:{n}", "a b{}", "a/{}", "{}\n"])
    def test_it_may_not_be(self, template: str) -> None:
        assert "for a number" in (check_goim_room(template) or "")


class TestPublicKeys:
    def test_a_file_of_them_or_none_may_be(self, tmp_path: Path) -> None:
        (tmp_path / "keys").write_bytes(public_pem(P256))
        assert check_public_keys(str(tmp_path / "keys")) is None
        assert check_public_keys("") is None

    def test_another_may_not(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert check_public_keys("keys") == '"keys" cannot be read: No such file or directory'
        Path("keys").write_bytes(private_pem(P256))
        fault = check_public_keys("keys")
        assert fault is not None
        assert "has a private key" in fault


class TestKindRoles:
    def test_those_that_a_token_can_have_may_be(self) -> None:
        assert check_kind_roles(("admin", "streamer", "主播", "r" * 32)) is None
        assert check_kind_roles(()) is None

    @pytest.mark.parametrize("role", ["Admin ", "a b", "vip,admin", "9", "r" * 33])
    def test_others_would_never_be_met(self, role: str) -> None:
        fault = check_kind_roles(("admin", role))
        assert fault is not None
        assert "no role that a token can have" in fault
        [problem] = problems_of(environ={"DANMAKU_AUTH_KIND_ROLES": json.dumps([role])})
        assert problem.startswith("auth.kind_roles: ")

    def test_nor_backends_who_need_none(self) -> None:
        assert "backend" in (check_kind_roles(("backend",)) or "")


class TestHost:
    @pytest.mark.parametrize("host", ["::", "::1", "10.0.0.1", "localhost", "a-b.example"])
    def test_it_may_be(self, host: str) -> None:
        assert check_host(host) is None

    @pytest.mark.parametrize("host", ["", "localhost:80", "[::1]", "http://a", "a b"])
    def test_it_may_not_be(self, host: str) -> None:
        fault = check_host(host)
        assert fault == f'expected an address or a host name without a port, got "{host}"'


class TestOrigins:
    @pytest.mark.parametrize(
        "origin", ["*", "https://a.example", "http://localhost:5173", "https://[::1]:8443"]
    )
    def test_one_may_be(self, origin: str) -> None:
        assert check_origins((origin,)) is None

    @pytest.mark.parametrize(
        "origin",
        [
            "",
            "null",
            "a.example",
            "https://",
            "https://a/",
            "https://A.example",
            "https://*.a.example",
            "https://a:",
            "https://a:0",
            "https://a:99999",
            "https://user@a",
            "https://a?query",
        ],
    )
    def test_one_may_not_be(self, origin: str) -> None:
        fault = check_origins(("*", origin))
        assert fault == f'expected "*" or scheme://host[:port] in lower case, got "{origin}"'

    def test_there_may_be_none(self) -> None:
        assert check_origins(()) is None


class TestPublicUrl:
    @pytest.mark.parametrize(
        "url",
        ["", "https://a.example", "http://a:8080/", "https://a.example/chat/", "http://[::1]:8/x"],
    )
    def test_one_may_be(self, url: str) -> None:
        assert check_public_url(url) is None

    @pytest.mark.parametrize(
        "url",
        [
            "a.example",
            "wss://a.example",
            "https://",
            "https://A.example",
            "https://user@a.example",
            "https://a.example?b",
            "https://a.example/#b",
            "https://a.example/%2e",
            'https://a.example/"',
            "https://a.example:0",
            "https://a.example; script-src *",
            "https://a.example\n",
            "javascript:alert(1)",
        ],
    )
    def test_one_may_not_be(self, url: str) -> None:
        fault = check_public_url(url)
        assert fault is not None
        assert fault.startswith("expected a URL like https://chat.example or ")


class TestVideo:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "https://a.example/live.webm",
            "http://a:8080/a%20b.mp4?token=c&d=e",
            "http://[::1]:8/x",
        ],
    )
    def test_one_may_be(self, url: str) -> None:
        assert check_video(url) is None

    @pytest.mark.parametrize(
        "url",
        [
            "live.webm",
            "https://a.example",
            "https://A.example/x",
            "https://user@a.example/x",
            "https://a.example;script-src/x",
            "https://a.example:0/x",
            "https://a.example/x#t=1",
            'https://a.example/"',
            "https://a.example/x\n",
            "data:video/webm;base64,AA",
            "javascript:alert(1)",
        ],
    )
    def test_one_may_not_be(self, url: str) -> None:
        fault = check_video(url)
        assert fault is not None
        assert fault.startswith("expected a URL like https://site.example/live.webm, got ")


class TestFrameAncestors:
    def test_pages_may_be_named(self) -> None:
        assert check_frame_ancestors(("self", "*", "https://a.example")) is None
        assert check_frame_ancestors(()) is None

    @pytest.mark.parametrize("one", ["'self'", "a.example", "https://a/", "https://*.a", "none"])
    def test_nothing_else_may_be(self, one: str) -> None:
        fault = check_frame_ancestors(("self", one))
        assert fault is not None
        assert fault.startswith('expected "self", "*" or scheme://host')


class TestProxies:
    @pytest.mark.parametrize(
        "proxy",
        ["127.0.0.1", "::1", "10.0.0.0/8", "fd00::/8", "0.0.0.0/0", "10.0.0.0/255.0.0.0"],
    )
    def test_one_may_be(self, proxy: str) -> None:
        assert check_proxies((proxy,)) is None

    @pytest.mark.parametrize(
        ("proxy", "hint"),
        [
            ("", ""),
            ("localhost", ""),
            ("*", ""),
            ("10.0.0.1:80", ""),
            ("[::1]", ""),
            ("10.0.0.0/33", ""),
            ("10.0.0", ""),
            ("10.0.0.1/8", '; did you mean "10.0.0.0/8"?'),
            ("fd00::1/8", '; did you mean "fd00::/8"?'),
        ],
    )
    def test_one_may_not_be(self, proxy: str, hint: str) -> None:
        fault = check_proxies(("127.0.0.1", proxy))
        assert fault == f'expected addresses and networks like "10.0.0.0/8", got "{proxy}"{hint}'

    def test_a_hint_cannot_colour_the_terminal(self) -> None:
        assert "\x1b" not in str(check_proxies(("fe80::1%\x1b[31m/64",)))

    def test_there_may_be_none(self) -> None:
        assert check_proxies(()) is None


class TestUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "embedded",
            "redis://h",
            "redis://:p@h:6379/0",
            "rediss://u:p@h:1/2?ssl_cert_reqs=none",
            "unix:///run/s",
            "redis+sentinel://s1,s2:5/mymaster/0",
            "rediss+cluster://u:p@n1:7000,n2",
        ],
    )
    def test_it_may_be(self, url: str) -> None:
        assert check_url(url) is None

    @pytest.mark.parametrize(
        "url",
        [
            "embeded",
            "http://h",
            "redis:h",
            "redis://",
            "redis://:6379",
            "redis://h:port",
            "redis://h:99999",
            "redis://[::1",
            "unix://",
            "unix:///",
        ],
    )
    def test_it_may_not_be(self, url: str) -> None:
        fault = check_url(url)
        assert fault is not None
        assert fault.startswith("expected ")

    @pytest.mark.parametrize("url", ["hunter2", "x://u:hunter2@h", "redis://u:hunter2@h:hunter2"])
    def test_it_is_never_quoted(self, url: str) -> None:
        assert "hunter2" not in str(check_url(url))


class TestPrefix:
    @pytest.mark.parametrize("prefix", ["danmaku", "a:b.c-d_9", "x" * 64])
    def test_it_may_be(self, prefix: str) -> None:
        assert check_prefix(prefix) is None

    @pytest.mark.parametrize("prefix", ["", "a b", "{a}", "弹幕", "x" * 65])
    def test_it_may_not_be(self, prefix: str) -> None:
        assert str(check_prefix(prefix)).startswith("expected at most 64 ")


class TestSecrets:
    @pytest.mark.parametrize("secret", ["", "x" * 32, "弹" * 10 + "xx"])
    def test_a_secret_may_be(self, secret: str) -> None:
        assert check_secret(secret) is None

    def test_a_secret_is_measured_in_bytes(self) -> None:
        assert check_secret("弹" * 10 + "x") == "expected at least 32 bytes, got 31"

    @pytest.mark.parametrize("key", ["", "abc", "a-._~+/="])
    def test_a_key_may_be(self, key: str) -> None:
        assert check_key(key) is None

    @pytest.mark.parametrize("key", ["with space", "dan幕", "line\nbreak", "tab\t"])
    def test_a_key_no_header_can_carry_is_refused_unseen(self, key: str) -> None:
        assert check_key(key) == "expected visible ASCII characters without spaces"


class TestHooks:
    @pytest.mark.parametrize("path", ["", "hooks:Hooks", "a.b_c.d1:_X", "模块:类"])
    def test_they_may_be(self, path: str) -> None:
        assert check_hooks(path) is None

    @pytest.mark.parametrize(
        "path", ["hooks", "hooks.Hooks", ":X", "a:", "a:b:c", "a..b:C", "a/b.py:C", "1a:B", "a:B()"]
    )
    def test_they_may_not_be(self, path: str) -> None:
        assert check_hooks(path) == f'expected "module:Class", got "{path}"'


class TestPresendUrl:
    @pytest.mark.parametrize(
        "url", ["", "http://h", "https://a.example:8443/check?x=1", "http://u:p@[::1]:80/"]
    )
    def test_it_may_be(self, url: str) -> None:
        assert check_presend_url(url) is None

    @pytest.mark.parametrize(
        "url",
        ["h", "ftp://h/", "http://", "http:///p", "http://h:0/", "http://h:99999/", "http://[/",
         "http://h/ a", "http://h/#top"],
    )  # fmt: skip
    def test_it_may_not_be_and_is_not_quoted(self, url: str) -> None:
        assert check_presend_url(url) == "expected a URL like https://moderation.example/check"

    def test_webhooks_have_one_by_the_same_rules(self) -> None:
        assert check_webhooks_url("http://h/x") is None
        assert check_webhooks_url("h") == "expected a URL like https://backend.example/danmaku"
