"""What is read of a file, and what is not waited for."""

import os
import threading
from pathlib import Path

import pytest

from chat.config.files import BadFile, read_file
from chat.config.keyfiles import BadKeys, read_keys
from chat.config.load import ConfigError, load_config, sound_part
from tests.chat.config.refusals import SECRET

MOST = 100


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe that nobody writes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


class TestReading:
    def test_a_file_is_read_to_its_bound(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"x" * MOST)
        assert read_file(file, MOST) == b"x" * MOST
        file.write_bytes(b"x" * (MOST + 1))
        with pytest.raises(BadFile, match="longer than 100 bytes"):
            read_file(file, MOST)

    def test_what_has_no_end_is_not_read_to_it(self) -> None:
        with pytest.raises(BadFile, match="longer than 100 bytes"):
            read_file(Path("/dev/zero"), MOST)

    def test_nothing_is_nothing(self) -> None:
        assert read_file(Path(os.devnull), MOST) == b""

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(IsADirectoryError):
            read_file(tmp_path, MOST)

    def test_a_terminal_is_not_waited_for(self) -> None:
        master, slave = os.openpty()
        try:
            with pytest.raises(BlockingIOError):
                read_file(Path(os.ttyname(slave)), MOST)
        finally:
            os.close(master)
            os.close(slave)


class TestPipes:
    def test_a_pipe_is_read_where_it_may_be_waited_for(self, pipe: Path) -> None:
        writer = threading.Thread(target=pipe.write_bytes, args=(b"value",))
        writer.start()
        assert read_file(pipe, MOST, waits=True) == b"value"
        writer.join()

    def test_else_it_is_refused_without_a_wait(self, pipe: Path) -> None:
        with pytest.raises(BadFile, match="is a pipe"):
            read_file(pipe, MOST)

    def test_one_that_was_read_is_not_a_configuration_of_defaults(self) -> None:
        """As of `serve --config <(decrypt config.toml)`, when it is read again."""
        end, other = os.pipe()
        try:
            os.write(other, f'[api]\nkey = "{SECRET}"\n'.encode())
            os.close(other)
            path = Path(f"/dev/fd/{end}")
            assert load_config(path, {}, waits=True).api.key == SECRET
            with pytest.raises(ConfigError, match="is a pipe"):
                load_config(path, {})
            assert sound_part(path, {}) is None
        finally:
            os.close(end)

    def test_nor_is_a_key_s_value_waited_for(self, pipe: Path) -> None:
        with pytest.raises(ConfigError, match=r"auth\.secret: .* is a pipe"):
            load_config(None, {"DANMAKU_AUTH_SECRET_FILE": str(pipe)})

    def test_nor_are_keys(self, pipe: Path) -> None:
        with pytest.raises(BadKeys, match="is a pipe"):
            read_keys(str(pipe))
