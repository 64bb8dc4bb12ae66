"""Keys whose value stands in a file that a variable names."""

from pathlib import Path

import pytest

from chat.config.load import MOST_BYTES, VARIABLES, load_config
from tests.chat.config.refusals import SECRET, problems_of

VARIABLE = "DANMAKU_AUTH_SECRET_FILE"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


class TestGood:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_the_value_is_what_stands_in_it_without_the_last_line_break(
        self, file: Path, end: str
    ) -> None:
        file.write_bytes(f"{SECRET}{end}".encode())
        assert load_config(None, {VARIABLE: str(file)}).auth.secret == SECRET

    def test_it_wins_over_the_configuration(self, file: Path, toml: Path) -> None:
        toml.write_text(f'[auth]\nsecret = "{"x" * 40}"\n')
        file.write_text(SECRET)
        assert load_config(toml, {VARIABLE: str(file)}).auth.secret == SECRET

    def test_any_key_may_stand_in_one(self, file: Path) -> None:
        file.write_text("9000\n")
        assert load_config(None, {"DANMAKU_SERVER_PORT_FILE": str(file)}).server.port == 9000
        file.write_text(f'[{{name = "game", key = "{SECRET}", scopes = ["publish"]}}]\n')
        (key,) = load_config(None, {"DANMAKU_API_KEYS_FILE": str(file)}).api.keys
        assert (key.name, key.key) == ("game", SECRET)

    def test_it_is_read_anew_each_time(self, file: Path) -> None:
        for secret in (SECRET, SECRET[::-1]):
            file.write_text(secret)
            assert load_config(None, {VARIABLE: str(file)}).auth.secret == secret

    def test_no_keys_variable_is_taken_for_anothers_file(self) -> None:
        assert not [name for name in VARIABLES if f"{name}_FILE" in VARIABLES]


class TestBad:
    def test_a_file_that_is_not_there_is_told_by_its_path(self, file: Path) -> None:
        assert problems_of(environ={VARIABLE: str(file)}) == [
            f"auth.secret: {file} cannot be read: no such file (from {VARIABLE})"
        ]

    def test_a_folder_is_unreadable(self, tmp_path: Path) -> None:
        assert problems_of(environ={VARIABLE: str(tmp_path)}) == [
            f"auth.secret: {tmp_path} cannot be read: Is a directory (from {VARIABLE})"
        ]

    @pytest.mark.parametrize(
        ("data", "fault"),
        [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"abc\xff", "is not UTF-8: byte 3 is no text"),
            (b"x" * (MOST_BYTES + 1), f"is longer than {MOST_BYTES} bytes"),
        ],
    )
    def test_what_can_be_no_value_is_refused(self, file: Path, data: bytes, fault: str) -> None:
        file.write_bytes(data)
        assert problems_of(environ={VARIABLE: str(file)}) == [
            f"auth.secret: {file} {fault} (from {VARIABLE})"
        ]

    def test_one_that_never_ends_is_read_up_to_the_bound(self) -> None:
        (problem,) = problems_of(environ={VARIABLE: "/dev/zero"})
        assert "is longer than" in problem

    def test_a_variable_and_a_file_for_one_key_are_one_too_many(self, file: Path) -> None:
        file.write_text(SECRET)
        environ = {VARIABLE: str(file), "DANMAKU_AUTH_SECRET": SECRET}
        assert problems_of(environ=environ) == [
            "auth.secret: both DANMAKU_AUTH_SECRET and DANMAKU_AUTH_SECRET_FILE are set"
        ]

    def test_what_is_wrong_with_a_secret_does_not_show_it(self, file: Path) -> None:
        file.write_text("short")
        (problem,) = problems_of(environ={VARIABLE: str(file)})
        assert problem.endswith(f"(from {VARIABLE})")
        assert "short" not in problem.replace("shorter", "")

    def test_a_name_that_is_nearly_one_is_guessed(self) -> None:
        assert problems_of(environ={"DANMAKU_AUTH_SECRT_FILE": "/x"}) == [
            "DANMAKU_AUTH_SECRT_FILE: unknown variable; did you mean DANMAKU_AUTH_SECRET_FILE?"
        ]
