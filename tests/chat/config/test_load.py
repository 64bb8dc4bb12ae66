"""Loading the configuration: file, environment, and every problem in one list."""

import json
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.config import words
from chat.config.load import VARIABLES, ConfigError, load_config
from chat.config.sections import SECTIONS, TYPES, Config
from tests.chat.config.refusals import problems_of, refusal

LISTS = {"server.origins", "server.trusted_proxies"}


class TestDefaults:
    def test_nothing_given_is_the_defaults(self) -> None:
        assert load_config(None, {"PATH": "/bin", "danmaku_server_port": "1"}) == Config()

    def test_a_loaded_config_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError):
            load_config(None, {}).server.port = 1  # type: ignore[misc]


class TestFile:
    def test_a_key_given_replaces_only_its_default(self, toml: Path) -> None:
        toml.write_text('[server]\nport = 9000\norigins = ["https://a.example", "http://b:81"]\n')
        config = load_config(toml, {})
        assert config.server.port == 9000
        assert config.server.origins == ("https://a.example", "http://b:81")
        assert config.server.host == Config().server.host
        assert config.limits == Config().limits

    def test_an_empty_file_is_the_defaults(self, toml: Path) -> None:
        toml.write_text("")
        assert load_config(toml, {}) == Config()

    def test_a_missing_file_is_a_problem(self, toml: Path) -> None:
        assert problems_of(toml) == [f"{toml}: no such file"]

    def test_a_directory_is_unreadable(self, tmp_path: Path) -> None:
        assert problems_of(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]

    def test_a_syntax_error_names_line_and_column(self, toml: Path) -> None:
        toml.write_text("[server]\nport = \n")
        assert problems_of(toml) == [f"{toml}: not TOML: Invalid value (at line 2, column 8)"]

    def test_a_file_that_ends_too_early_names_its_last_line(self, toml: Path) -> None:
        toml.write_text("[server]\nport = [1")
        (problem,) = problems_of(toml)
        assert "at line 2, column 10, the end" in problem

    @pytest.mark.parametrize(
        ("data", "fault"),
        [
            (b"[server]\nhost = '\xff'", "not UTF-8: byte 17"),
            (b"[server]\nport = " + b"9" * 5000, "not TOML"),
            (b"a = " + b"[" * 100_000, "not TOML"),
        ],
    )
    def test_bytes_no_parser_takes_are_a_problem(self, toml: Path, data: bytes, fault: str) -> None:
        toml.write_bytes(data)
        (problem,) = problems_of(toml)
        assert problem.startswith(f"{toml}: {fault}")


class TestEnvironment:
    def test_it_wins_over_the_file(self, toml: Path) -> None:
        toml.write_text("[server]\nport = 9000\nshards = 3\n")
        config = load_config(toml, {"DANMAKU_SERVER_PORT": "9001"})
        assert (config.server.port, config.server.shards) == (9001, 3)

    @pytest.mark.parametrize(
        ("raw", "value"), [("9000", 9000), (" 9_000 ", 9000), ("0x2328", 9000), ("9000 # p", 9000)]
    )
    def test_a_number_is_written_as_toml(self, raw: str, value: int) -> None:
        assert load_config(None, {"DANMAKU_SERVER_PORT": raw}).server.port == value

    def test_a_list_is_written_as_toml(self) -> None:
        config = load_config(None, {"DANMAKU_SERVER_ORIGINS": '["https://a.b", "*"]'})
        assert config.server.origins == ("https://a.b", "*")

    @pytest.mark.parametrize("raw", ["debug", '"debug"', "'debug'", ' "debug" '])
    def test_a_bare_word_is_a_string(self, raw: str) -> None:
        assert load_config(None, {"DANMAKU_LOG_LEVEL": raw}).log.level == "debug"

    @pytest.mark.parametrize(
        "secret",
        ["1" * 40, "0x" + "a" * 40, '"unbalanced' + "x" * 30, "a#b c" * 8, "1\n[log]\nlevel=0" * 3],
    )
    def test_a_string_is_never_taken_for_anything_else(self, secret: str) -> None:
        assert load_config(None, {"DANMAKU_AUTH_SECRET": secret}).auth.secret == secret

    def test_an_empty_variable_is_an_empty_string(self) -> None:
        assert load_config(None, {"DANMAKU_AUTH_SECRET": ""}).auth.secret == ""
        assert problems_of(environ={"DANMAKU_SERVER_PORT": ""}) == [
            'server.port: expected int between 1 and 65535, got "" (from DANMAKU_SERVER_PORT)'
        ]

    def test_every_key_has_a_variable(self) -> None:
        assert sorted(VARIABLES.values()) == sorted(TYPES)

    def test_those_an_orchestrator_sets_for_a_service_are_passed_over(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        environ = {
            "DANMAKU_SERVICE_HOST": "10.0.0.7",
            "DANMAKU_SERVICE_PORT": "8000",
            "DANMAKU_SERVICE_PORT_WS": "8000",
            "DANMAKU_PORT": "tcp://10.0.0.7:8000",
            "DANMAKU_PORT_8000_TCP": "tcp://10.0.0.7:8000",
            "DANMAKU_PORT_8000_TCP_ADDR": "10.0.0.7",
            "DANMAKU_PORT_8000_TCP_PORT": "8000",
            "DANMAKU_PORT_8000_TCP_PROTO": "tcp",
        }
        assert load_config(None, environ) == Config()
        assert [record.args for record in caplog.records] == [(name,) for name in sorted(environ)]

    @pytest.mark.parametrize(
        "variable",
        ["DANMAKU_PORTS", "DANMAKU_SERVICE", "DANMAKU_PORT_TCP", "DANMAKU_SERVICE_HOSTS"],
    )
    def test_what_only_looks_like_those_is_a_problem(self, variable: str) -> None:
        assert len(problems_of(environ={variable: "8000"})) == 1

    @pytest.mark.parametrize(
        ("variable", "hint"),
        [
            ("DANMAKU_SERVER_PROT", "; did you mean DANMAKU_SERVER_PORT?"),
            ("DANMAKU_server_port", "; did you mean DANMAKU_SERVER_PORT?"),
            ("DANMAKU_ZZZ", ""),
            ("DANMAKU_", ""),
        ],
    )
    def test_an_unknown_variable_is_a_problem(self, variable: str, hint: str) -> None:
        assert problems_of(environ={variable: "1"}) == [f"{variable}: unknown variable{hint}"]

    def test_bytes_that_are_no_text_are_a_problem(self) -> None:
        environ = {"DANMAKU_AUTH_SECRET": "\udcff" * 40}
        assert problems_of(environ=environ) == ["auth.secret: not UTF-8 (from DANMAKU_AUTH_SECRET)"]


class TestProblems:
    def test_all_of_them_come_at_once(self, toml: Path) -> None:
        toml.write_text(
            """
            port = 1
            logs = 5
            [servr]
            port = 1
            [server]
            prot = 1
            shards = -1
            origins = ["https://a.example/"]
            [rooms]
            history = 10
            [limits]
            text_chars = "many"
            commands_burst = true
            stall_s = 1.5
            [heartbeat]
            ping_s = 0xfffffffffffffffffffffffffffffffffffffffff
            timeout_s = [1]
            [bus]
            history = 3
            """
        )
        environ = {"DANMAKU_LIMITS_TEXT_CHARS": "many", "DANMAKU_LOG_LEVEL": "loud"}
        assert problems_of(toml, environ) == [
            "port: unknown key outside the sections; did you mean server.port?",
            "logs: unknown key outside the sections",
            "servr: unknown section; did you mean [server]?",
            "server.prot: unknown key; did you mean server.port?",
            "server.shards: expected int between 0 and 1024, got -1",
            'server.origins: expected "*" or scheme://host[:port] in lower case,'
            ' got "https://a.example/"',
            'limits.text_chars: expected int between 1 and 2000, got "many"',
            "limits.commands_burst: expected int between 1 and 10000, got true",
            "limits.stall_s: expected int between 1 and 3600, got 1.5",
            "heartbeat.ping_s: expected int between 1 and 3600, got an integer beyond 128 bits",
            "heartbeat.timeout_s: expected int between 1 and 3600, got a list",
            "bus.history: unknown key; did you mean rooms.history?",
            "limits.text_chars: expected int between 1 and 2000, got "
            '"many" (from DANMAKU_LIMITS_TEXT_CHARS)',
            'log.level: expected one of "debug", "error", "info", "warning", got '
            '"loud" (from DANMAKU_LOG_LEVEL)',
            "rooms.history: 10 is less than rooms.history_on_join, 30",
        ]

    def test_of_very_many_some_are_told_and_the_rest_are_counted(
        self, toml: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hints = Mock(return_value="")
        monkeypatch.setattr(words, "did_you_mean", hints)
        toml.write_text("".join(f"[section{i}]\n" for i in range(1_000)))
        problems = problems_of(toml, {})
        assert problems[99:] == ["section99: unknown section", "and 900 more"]
        assert hints.call_count == 100

    def test_the_message_is_all_of_them(self) -> None:
        assert str(ConfigError(["a: one", "b: two"])) == "a: one\nb: two"

    def test_a_section_that_is_no_table_is_one_problem(self, toml: Path) -> None:
        toml.write_text("server = 8000")
        assert problems_of(toml) == ["server: expected a table, got 8000"]

    @pytest.mark.parametrize("path", [path for path in TYPES if path not in LISTS])
    def test_no_scalar_key_takes_a_list(self, toml: Path, path: str) -> None:
        section, _, key = path.partition(".")
        toml.write_text(f"[{section}]\n{key} = [1]")
        (problem,) = problems_of(toml)
        assert problem.startswith(f"{path}: expected ")


class TestDoubt:
    def test_a_key_wrong_by_itself_accuses_no_other(self) -> None:
        environ = {
            "DANMAKU_LIMITS_BACKLOG_SOFT_BYTES": "2000000",
            "DANMAKU_LIMITS_BACKLOG_HARD_BYTES": "plenty",
        }
        (problem,) = problems_of(environ=environ)
        assert problem.startswith("limits.backlog_hard_bytes: expected int")

    def test_proxies_wrong_by_themselves_are_not_missing_too(self) -> None:
        environ = {
            "DANMAKU_SERVER_CLIENT_ADDRESS": "proxy-protocol",
            "DANMAKU_SERVER_TRUSTED_PROXIES": '["10.0.0.1/8"]',
        }
        assert problems_of(environ=environ) == [
            'server.trusted_proxies: expected addresses and networks like "10.0.0.0/8", got '
            '"10.0.0.1/8"; did you mean "10.0.0.0/8"? (from DANMAKU_SERVER_TRUSTED_PROXIES)'
        ]

    def test_an_unread_file_accuses_no_other(self, toml: Path) -> None:
        environ = {"DANMAKU_LIMITS_BACKLOG_SOFT_BYTES": "2000000"}
        assert problems_of(toml, environ) == [f"{toml}: no such file"]


class TestSecrets:
    def test_a_secret_of_32_bytes_is_enough_and_31_are_not(self) -> None:
        assert load_config(None, {"DANMAKU_AUTH_SECRET": "弹" * 10 + "xx"}).auth.secret
        assert problems_of(environ={"DANMAKU_AUTH_SECRET": "弹" * 10 + "x"}) == [
            "auth.secret: expected at least 32 bytes, got 31 (from DANMAKU_AUTH_SECRET)"
        ]

    def test_the_one_before_is_as_long_and_never_alone(self) -> None:
        before = {"DANMAKU_AUTH_SECRET_BEFORE": "x" * 32}
        assert load_config(None, before | {"DANMAKU_AUTH_SECRET": "y" * 32}).auth.secret_before
        assert problems_of(environ=before) == [
            "auth.secret_before: only has a meaning with auth.secret, the one that signs now"
        ]
        assert problems_of(environ={"DANMAKU_AUTH_SECRET_BEFORE": "hunter2"}) == [
            "auth.secret_before: expected at least 32 bytes, got 7 "
            "(from DANMAKU_AUTH_SECRET_BEFORE)"
        ]

    @pytest.mark.parametrize("key", ["with space", "dan幕", "line\nbreak"])
    def test_a_key_no_header_can_carry_is_refused_unseen(self, key: str) -> None:
        assert problems_of(environ={"DANMAKU_API_KEY": key}) == [
            "api.key: expected visible ASCII characters without spaces (from DANMAKU_API_KEY)"
        ]

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("auth.secret", '"hunter2"'),
            ("auth.secret", '["hunter2"]'),
            ("auth.secret", "{hunter2 = 1}"),
            ("api.key", '"hunter2 "'),
            ("bus.url", '"http://user:hunter2@host"'),
            ("bus.url", '"redis://user:hunter2@host:hunter2"'),
            ("bus.url", '"hunter2"'),
        ],
    )
    def test_no_problem_quotes_one(self, toml: Path, path: str, value: str) -> None:
        section, _, key = path.partition(".")
        toml.write_text(f"[{section}]\n{key} = {value}\n")
        (problem,) = problems_of(toml)
        assert "hunter2" not in problem


SCALARS = st.one_of(
    st.integers(), st.booleans(), st.floats(), st.text(max_size=80), st.datetimes(), st.dates()
)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case int() | float():
            return str(value)
        case _:
            return str(value).replace(" ", "T")


fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class TestFuzz:
    """Whatever is configured, `load` returns a Config within bounds or raises ConfigError."""

    @staticmethod
    def check(path: Path | None, environ: Mapping[str, str]) -> None:
        refused = refusal(path, environ)
        if refused is None:
            config = load_config(path, environ)
            assert msgspec.convert(msgspec.to_builtins(config), Config) == config
            return
        assert refused.problems
        for problem in refused.problems:
            assert "\n" not in problem
            problem.encode()

    @fuzz
    @given(st.dictionaries(st.sampled_from(sorted(TYPES)), SCALARS, max_size=6))
    def test_any_scalar_for_any_key(
        self, tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "fuzz.toml"
        tables: dict[str, list[str]] = {section: [f"[{section}]"] for section in SECTIONS}
        for name, value in values.items():
            section, _, key = name.partition(".")
            tables[section].append(f"{key} = {_toml(value)}")
        path.write_text("\n".join("\n".join(lines) for lines in tables.values()), "utf-8", "ignore")
        self.check(path, {})

    @fuzz
    @given(st.dictionaries(st.sampled_from([*VARIABLES, "DANMAKU_X"]), st.text(), max_size=4))
    def test_any_text_in_any_variable(self, environ: dict[str, str]) -> None:
        self.check(None, environ)

    @fuzz
    @given(st.text(alphabet=st.characters(), max_size=30))
    def test_any_variable_name(self, name: str) -> None:
        self.check(None, {f"DANMAKU_{name}": "1"})

    @fuzz
    @given(st.binary(max_size=60))
    def test_any_bytes_as_the_file(
        self, tmp_path_factory: pytest.TempPathFactory, data: bytes
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "bytes.toml"
        path.write_bytes(data)
        self.check(path, {})
