"""What may be set: the defaults, their bounds, the file that documents them, what is printed."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from chat.config.load import load_config
from chat.config.sections import TYPES, Auth, Bus, Config, public_url
from tests.chat.config.refusals import SECRET, problems_of, refusal

ROOT = Path(__file__).parents[3]
INTEGERS = {
    path: kind
    for path, annotated in TYPES.items()
    if isinstance(kind := msgspec.inspect.type_info(annotated), msgspec.inspect.IntType)
}


class TestDefaults:
    def test_every_default_is_within_its_own_bounds(self) -> None:
        assert msgspec.convert(msgspec.to_builtins(Config()), Config) == Config()


class TestDocumentedFile:
    def test_it_holds_exactly_the_defaults(self) -> None:
        assert load_config(ROOT / "config.toml", {}) == Config()

    def test_it_sets_every_key(self) -> None:
        tables = tomllib.loads((ROOT / "config.toml").read_text())
        assert [f"{section}.{key}" for section in tables for key in tables[section]] == list(TYPES)

    def test_every_key_follows_its_reason(self) -> None:
        lines = (ROOT / "config.toml").read_text().splitlines()
        for number, line in enumerate(lines):
            if re.match(r"\w+ = ", line):
                assert lines[number - 1].startswith("# "), line

    def test_no_line_is_longer_than_a_terminal(self) -> None:
        assert max(map(len, (ROOT / "config.toml").read_text().splitlines())) <= 100


class TestBounds:
    @pytest.mark.parametrize("path", INTEGERS)
    def test_both_ends_are_inside_and_the_next_values_outside(self, path: str) -> None:
        kind = INTEGERS[path]
        assert kind.ge is not None
        assert kind.le is not None
        variable = "DANMAKU_" + path.replace(".", "_").upper()
        for outside in (kind.ge - 1, kind.le + 1):
            (problem,) = problems_of(environ={variable: str(outside)})
            assert problem == (
                f"{path}: expected int between {kind.ge} and {kind.le}, got {outside} "
                f"(from {variable})"
            )
        for inside in (kind.ge, kind.le):
            assert "expected int" not in str(refusal(None, {variable: str(inside)}))


class TestPrinting:
    def test_no_printed_config_shows_a_secret(self) -> None:
        environ = {
            "DANMAKU_AUTH_SECRET": SECRET,
            "DANMAKU_AUTH_SECRET_BEFORE": SECRET,
            "DANMAKU_API_KEY": SECRET,
            "DANMAKU_BUS_URL": f"redis://user:{SECRET}@host:6379/0",
            "DANMAKU_ROOMS_PRESEND_SECRET": SECRET,
            "DANMAKU_ROOMS_PRESEND_URL": f"https://user:{SECRET}@moderation.example/a?key={SECRET}",
        }
        printed = repr(load_config(None, environ))
        assert SECRET not in printed
        assert "redis://host:6379/0" in printed
        assert "'https://moderation.example/a'" in printed
        assert repr(Auth(audience="chat")).startswith("Auth(secret='', secret_before='', ")
        assert "url='embedded'" in repr(Bus())

    @pytest.mark.parametrize(
        ("url", "printed"),
        [
            ("embedded", "embedded"),
            ("redis://u:p@h:1/2?password=p", "redis://h:1/2"),
            ("unix://u:p@/run/s?db=1", "unix:///run/s"),
            ("redis+sentinel://u:p@a,b:1/m/2", "redis+sentinel://a:26379,b:1/m/2"),
            ("rediss+cluster://:p@a,b:1?ssl_ca_certs=/x", "rediss+cluster://a:6379,b:1"),
            ("redis+cluster://:p/w@a,b", "a URL that cannot be parsed"),
            ("redis://:p/w@h", "a URL that cannot be parsed"),
            ("redis://:p?w@h", "a URL that cannot be parsed"),
        ],
    )
    def test_a_url_is_printed_without_credentials(self, url: str, printed: str) -> None:
        assert public_url(url) == printed
