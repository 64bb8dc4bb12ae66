"""The API's keys in the configuration: read, and every mistake by its path, no key ever quoted."""

from hashlib import sha256
from pathlib import Path

import pytest

from chat.config.load import load_config
from chat.config.sections import ApiKey
from tests.chat.config.refusals import SECRET, problems_of

GAME = f"""
[[api.keys]]
name = "game"
key = "{SECRET}"
scopes = ["publish", "read"]
per_s = 5
burst = 9
"""
BOARD = f"""
[[api.keys]]
name = "board.2"
key_sha256 = "{sha256(b"0123456789abcdef").hexdigest()}"
scopes = ["metrics"]
"""


class TestReading:
    def test_several_tables(self, toml: Path) -> None:
        toml.write_text(GAME + BOARD)
        game, board = load_config(toml, {}).api.keys
        assert game == ApiKey("game", ("publish", "read"), SECRET, "", 5, 9)
        assert (board.name, board.scopes, board.per_s, board.burst) == (
            "board.2",
            ("metrics",),
            0,
            0,
        )
        assert board.digest == sha256(b"0123456789abcdef").digest()
        assert game.digest == sha256(SECRET.encode()).digest()

    def test_from_the_environment(self) -> None:
        value = f'[{{name = "a", key = "{SECRET}", scopes = ["moderate"]}}]'
        [key] = load_config(None, {"DANMAKU_API_KEYS": value}).api.keys
        assert (key.name, key.scopes) == ("a", ("moderate",))

    def test_with_any_key_the_api_is_keyed(self, toml: Path) -> None:
        assert not load_config(None, {}).api.keyed
        assert load_config(None, {"DANMAKU_API_KEY": "x"}).api.keyed
        toml.write_text(BOARD)
        assert load_config(toml, {}).api.keyed


class TestProblems:
    @pytest.mark.parametrize(
        ("table", "wrong"),
        [
            ('name = "a"', [".scopes: is missing", ".key: give either key or key_sha256"]),
            (f'scopes = ["read"]\nkey = "{SECRET}"', [".name: is missing"]),
            (
                f'name = "a b"\nscopes = ["read"]\nkey = "{SECRET}"',
                ['.name: expected 1 to 64 letters, digits or _.- characters, got "a b"'],
            ),
            (
                f'name = "default"\nscopes = ["read"]\nkey = "{SECRET}"',
                ['.name: "default" is the holder of api.key'],
            ),
            (
                'name = "a"\nscopes = ["read"]\nkey = "hunter2"',
                [".key: expected at least 16 characters, got 7"],
            ),
            (
                'name = "a"\nscopes = ["read"]\nkey = "hunter2 hunter2 hunter2"',
                [".key: expected visible ASCII characters without spaces"],
            ),
            (
                'name = "a"\nscopes = ["read"]\nkey = ["hunter2"]',
                [".key: expected a string, got a value that is not shown"],
            ),
            (
                'name = "a"\nscopes = ["read"]\nkey_sha256 = "hunter2"',
                [".key_sha256: expected 64 hexadecimal digits, as sha256sum prints them"],
            ),
            (
                f'name = "a"\nscopes = ["write"]\nkey = "{SECRET}"',
                [
                    '.scopes: expected a list of any of "metrics", "moderate", "publish", "read", '
                    "got a list"
                ],
            ),
            (
                f'name = "a"\nscopes = []\nkey = "{SECRET}"',
                [
                    '.scopes: expected a list of any of "metrics", "moderate", "publish", "read", '
                    "got none"
                ],
            ),
            (
                f'name = "a"\nscopes = ["read"]\nkey = "{SECRET}"\nper_s = -1\nscope = 1',
                [
                    ".per_s: expected int between 0 and 100000, got -1",
                    ".scope: unknown key; did you mean scopes?",
                ],
            ),
        ],
    )
    def test_each_has_its_path(self, toml: Path, table: str, wrong: list[str]) -> None:
        toml.write_text(f"{BOARD}\n[[api.keys]]\n{table}\n")
        problems = problems_of(toml)
        assert problems == [f"api.keys[1]{one}" for one in wrong]
        assert "hunter2" not in str(problems)

    def test_names_and_keys_are_one_holders(self, toml: Path) -> None:
        digest = sha256(SECRET.encode()).hexdigest().upper()
        again = f'[[api.keys]]\nname = "game"\nkey_sha256 = "{digest}"\nscopes = ["read"]\n'
        toml.write_text(GAME + again)
        assert problems_of(toml) == [
            'api.keys[1].name: "game" is another key\'s name, too',
            "api.keys[1].key: is another key, too",
        ]

    @pytest.mark.parametrize("value", ["1", '"hunter2"', "[1]", '{ name = "hunter2" }'])
    def test_what_is_no_list_of_tables_is_one_problem(self, toml: Path, value: str) -> None:
        toml.write_text(f"[api]\nkeys = {value}\n")
        [problem] = problems_of(toml)
        assert problem.startswith("api.keys: expected a list of tables")
        assert "hunter2" not in problem

    def test_there_are_not_too_many(self) -> None:
        tables = ", ".join(
            f'{{name = "n{i}", key = "{SECRET}{i}", scopes = ["read"]}}' for i in range(101)
        )
        assert problems_of(environ={"DANMAKU_API_KEYS": f"[{tables}]"}) == [
            "api.keys: expected at most 100 keys, got 101 (from DANMAKU_API_KEYS)"
        ]


def test_no_printed_config_shows_a_key(toml: Path) -> None:
    toml.write_text(GAME + BOARD)
    config = load_config(toml, {})
    for printed in (repr(config), repr(config.api.keys), str(config.api.keys[0])):
        assert SECRET not in printed
        assert config.api.keys[1].key_sha256 not in printed
    assert "game" in repr(config.api.keys)
