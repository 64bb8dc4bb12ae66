"""Reading the configuration: every mistake of file and environment in one list.

Rules. `load_config` lays the file and the `DANMAKU_<SECTION>_<KEY>` environment over the defaults.
Strategy: msgspec stops at the first error of one `convert()`, so every key is converted by itself,
and the rules that span keys run last, only over keys that are sound by themselves.

A variable with _FILE behind its name says which file has the value, as secrets are mounted. One
with our prefix that is none of ours is a problem, but for those that an orchestrator makes of a
service's name.

Danger: a problem is printed and logged, and it quotes what it found. Nothing may quote the value of
a key in `SECRETS`.
"""

import logging
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from chat.config import words
from chat.config.apikeys import read_keys
from chat.config.checks import CHECKS
from chat.config.files import BadFile, read_file
from chat.config.rules import RULES
from chat.config.sections import KEYS, SECRETS, SECTIONS, TYPES, Config

log = logging.getLogger(__name__)

PREFIX: Final = "DANMAKU_"
ORCHESTRATORS: Final = re.compile(
    PREFIX + r"(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)"
)
"""What Kubernetes, and Docker's links before it, put into the environment of every container beside
a service called `danmaku`."""
VARIABLES: Final = {PREFIX + path.replace(".", "_").upper(): path for path in TYPES}
IN_FILES: Final = {f"{variable}_FILE": variable for variable in VARIABLES}
MOST_BYTES: Final = 262_144
"""Of a file that has the value of one key."""
MOST_CONFIG_BYTES: Final = 262_144
"""Of the file that has all keys; the documented one has some 40,000."""
MOST_PROBLEMS: Final = 100
"""So many are told, as somebody's other file may have a mistake in each line."""


class ConfigError(Exception):
    """The configuration is refused. `problems` holds one line for each thing wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_config(path: Path | None, environ: Mapping[str, str], waits: bool = False) -> Config:
    """The defaults, under the file at `path` (TOML), under the environment; `waits`: the files may
    be pipes, and are waited for.

    Raises ConfigError listing the problems of both at once.
    """
    draft = _Draft(waits)
    if path is not None:
        draft.take_file(path)
    draft.take_environ(environ)
    return draft.finish()


def sound_part(path: Path | None, environ: Mapping[str, str]) -> Config | None:
    """Of the same, whatever is sound, with defaults for the rest; None where the file as a whole
    cannot be read. For finding a node whose file somebody has just broken."""
    draft = _Draft()
    if path is not None:
        draft.take_file(path)
    if draft.doubtful.issuperset(TYPES):
        return None
    draft.take_environ(environ)
    return draft.config()


class _Draft:
    """What has been read so far, and what was wrong with it."""

    def __init__(self, waits: bool = False) -> None:
        self._waits = waits
        self.values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        self.problems: list[str] = []
        self.doubtful: set[str] = set()  # paths with a problem: rules that span keys skip them

    def take_file(self, path: Path) -> None:
        try:
            text = read_file(path, MOST_CONFIG_BYTES, self._waits).decode()
            tables = tomllib.loads(text)
        except FileNotFoundError:
            fault = "no such file"
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
        except BadFile as error:
            fault = str(error)
        except UnicodeDecodeError as error:
            fault = f"not UTF-8: byte {error.start} is no text"
        except RecursionError:
            fault = "not TOML: nested too deeply"
        except ValueError as error:  # not TOML, or an integer too long for int()
            fault = f"not TOML: {words.with_line(str(error), text)}"
        else:
            for section, table in tables.items():
                self.take_table(section, table)
            return
        self.problems.append(f"{path}: {fault}")
        self.doubtful.update(TYPES)  # the file might have set any of them

    def take_table(self, section: str, table: Any) -> None:
        if section not in SECTIONS:
            near = KEYS if not isinstance(table, dict) else {name: f"[{name}]" for name in SECTIONS}
            kind = "section" if isinstance(table, dict) else "key outside the sections"
            hint = self.hint(section, near)
            self.problems.append(f"{words.name(section)}: unknown {kind}{hint}")
        elif not isinstance(table, dict):
            self.problems.append(f"{section}: expected a table, got {words.got(table)}")
            self.doubtful.update(path for path in TYPES if path.startswith(f"{section}."))
        else:
            for key, value in table.items():
                self.take(f"{section}.{key}", value, "")

    def take_environ(self, environ: Mapping[str, str]) -> None:
        for variable in sorted(name for name in environ if name.startswith(PREFIX)):
            path = VARIABLES.get(IN_FILES.get(variable, variable))
            if path is None and ORCHESTRATORS.fullmatch(variable):
                log.warning("%s is passed over: it tells of a service, not of this one", variable)
            elif path is None:
                known = IN_FILES if variable.endswith("_FILE") else VARIABLES
                near = {name.removeprefix(PREFIX): name for name in known}
                hint = self.hint(variable.removeprefix(PREFIX).upper(), near)
                self.problems.append(f"{words.name(variable)}: unknown variable{hint}")
            elif not _is_text(environ[variable]):
                self.refuse(path, f"not UTF-8 (from {variable})")
            elif variable not in IN_FILES:
                self.take(path, _from_environ(path, environ[variable]), f" (from {variable})")
            elif IN_FILES[variable] in environ:
                self.refuse(path, f"both {IN_FILES[variable]} and {variable} are set")
            else:
                self.take_named_file(path, Path(environ[variable]), f" (from {variable})")

    def take_named_file(self, path: str, file: Path, source: str) -> None:
        try:
            raw = _text(read_file(file, MOST_BYTES, self._waits))
        except OSError as error:
            fault = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            self.refuse(path, f"{file} cannot be read: {fault}{source}")
        except (BadFile, ValueError) as error:
            self.refuse(path, f"{file} {error}{source}")
        else:
            self.take(path, _from_environ(path, raw), source)

    def take(self, path: str, value: Any, source: str) -> None:
        if path not in TYPES:
            section, _, key = path.partition(".")
            own = {name: f"{section}.{name}" for name in SECTIONS[section].__struct_fields__}
            hint = self.hint(key, KEYS | own)
            self.problems.append(f"{words.name(path)}: unknown key{hint}")
            return
        if path == "api.keys":
            self.take_keys(value, source)
            return
        try:
            sound = msgspec.convert(value, TYPES[path])
        except msgspec.ValidationError:
            got = "a value that is not shown" if path in SECRETS else words.got(value)
            fault: str | None = f"expected {words.expected(TYPES[path])}, got {got}"
        else:
            fault = CHECKS[path](sound) if path in CHECKS else None
        if fault is not None:
            self.refuse(path, f"{fault}{source}")
            return
        section, _, key = path.partition(".")
        self.values[section][key] = sound

    def take_keys(self, value: Any, source: str) -> None:
        keys, faults = read_keys(value)
        for fault in faults:
            self.doubtful.add("api.keys")
            self.problems.append(f"api.keys{fault}{source}")
        if not faults:
            self.values["api"]["keys"] = keys

    def refuse(self, path: str, fault: str) -> None:
        self.doubtful.add(path)
        self.problems.append(f"{path}: {fault}")

    def hint(self, word: str, known: Mapping[str, str]) -> str:
        """What an unknown word may have been meant to be: half a millisecond's work, which is not
        done for what is not told."""
        return "" if len(self.problems) >= MOST_PROBLEMS else words.did_you_mean(word, known)

    def config(self) -> Config:
        """What is sound, and defaults for the rest."""
        sections: dict[str, Any] = {name: SECTIONS[name](**self.values[name]) for name in SECTIONS}
        return Config(**sections)

    def finish(self) -> Config:
        config = self.config()
        for paths, rule in RULES:
            fault = None if self.doubtful.intersection(paths) else rule(config)
            if fault is not None:
                self.problems.append(f"{paths[0]}: {fault}")
        if self.problems:
            more = len(self.problems) - MOST_PROBLEMS
            told = self.problems[:MOST_PROBLEMS]
            raise ConfigError([*told, f"and {more} more"] if more > 0 else told)
        return config


def _is_text(raw: str) -> bool:
    try:
        raw.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 reach os.environ as lone surrogates
        return False
    return True


def _text(found: bytes) -> str:
    """What stands in a file, without the line break an editor puts at the end.

    Raises ValueError for what cannot be a key's value.
    """
    try:
        text = found.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: byte {error.start} is no text") from None
    if not text:  # a secret that was not written yet must not be none
        raise ValueError("is empty")
    return text


def _from_environ(path: str, raw: str) -> Any:
    """`raw` as the TOML value it spells; as itself where a string is due or none is spelt."""
    try:
        parsed = tomllib.loads(f"value = {raw.strip()}")
    except (ValueError, RecursionError):
        return raw
    value = parsed["value"]
    # A secret made of digits stays text; and a line break must not begin a second key.
    if len(parsed) > 1 or (words.is_text(TYPES[path]) and not isinstance(value, str)):
        return raw
    return value
