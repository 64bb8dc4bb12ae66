"""The directory of what a node keeps outside Redis: sockets, logs, and a lock.

Lives here: finding the directory, making it, owning it, cleaning up in it. Must not: know what is
written to the files, only their names.

Strategy: whoever lives holds a lock on a file in it, by a descriptor that its processes inherit.
So the lock is free when the last of them has ended, however that came, and who takes it cleans up
first what the life before could not. The name has the node's port in it, so that two nodes of one
machine have two directories without being told.

The one danger: in a directory others may write to, names can be taken before us. It has to belong
to us, and to us alone; what is there already and does not, is refused and never changed.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

SOCKET = "engine.sock"
LOG = "engine.log"
PASSED = "passed.sock"
CONTROL = "control.sock"
LOCK = "lock"
FILES = (SOCKET, LOG, PASSED, CONTROL)
"""What may lie in it beside the lock."""

SUN_PATH_BYTES = 107  # unix(7): sun_path holds 108 with its NUL
LOCK_S = 3.0  # what is left of a killed life needs a moment to end
POLL_S = 0.02


class RunDirError(Exception):
    """There is no directory; in a sentence, why, and what to do."""


class RunDir:
    """A directory that is ours. `lock` is the descriptor that holds it."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock
        self._owner = os.getpid()

    def clear(self) -> None:
        """Remove everything in it but the lock."""
        for name in FILES:
            with suppress(OSError):
                (self.path / name).unlink()

    def close(self) -> None:
        """Remove what is ours, and the directory when nothing else is in it. A forked child, which
        has inherited this, only lets go of it."""
        if os.getpid() == self._owner:
            self.clear()
            with suppress(OSError):
                (self.path / LOCK).unlink()
            with suppress(OSError):
                self.path.rmdir()
        os.close(self.lock)


def open_run_dir(configured: str, port: int, environ: Mapping[str, str] = os.environ) -> RunDir:
    """The directory of the node on `port`: `configured`, or the first place that will do.

    Raises RunDirError.
    """
    if configured:
        path = Path(configured).absolute()
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _open(path, LOCK_S)
        except _Unfit as unfit:
            raise RunDirError(f"node.run_dir: {unfit}") from None
    problems = []
    for path in places(port, environ):
        try:
            return _open(path, LOCK_S)
        except _Unfit as unfit:
            if unfit.taken:
                raise RunDirError(f"{unfit}; set node.run_dir for one of them") from None
            problems.append(str(unfit))
    raise RunDirError(
        f"no directory for sockets: {'; '.join(problems)}. Set node.run_dir to one that can be "
        "written to, a small tmpfs will do"
    )


def bus_of_node(configured: str, port: int, environ: Mapping[str, str] = os.environ) -> str | None:
    """The URL of the embedded engine of the node on `port`, if one runs here."""
    found = _socket_of_node(SOCKET, configured, port, environ)
    return f"unix://{found}" if found is not None else None


def control_of_node(
    configured: str, port: int, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The control socket of the node on `port`, if one runs here."""
    return _socket_of_node(CONTROL, configured, port, environ)


def _socket_of_node(
    name: str, configured: str, port: int, environ: Mapping[str, str]
) -> Path | None:
    found = [Path(configured).absolute()] if configured else places(port, environ)
    return next((path / name for path in found if _is_socket(path / name)), None)


def _is_socket(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:  # another user's directory
        return False


class _Unfit(Exception):
    """A directory that will not do; whether because another node has it."""

    def __init__(self, why: str, taken: bool = False) -> None:
        super().__init__(why)
        self.taken = taken


def places(port: int, environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Where the directory of the node on `port` may be, the most private first."""
    name = f"danmaku-{port}"
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / name
    yield Path("/run") / name
    # Shared with others, so that the same port of two of them may not be the same name.
    for temporary in dict.fromkeys([environ.get("TMPDIR") or "/tmp", "/tmp"]):
        yield Path(temporary) / f"danmaku-{os.geteuid()}-{port}"


def _open(path: Path, patience_s: float) -> RunDir:
    longest = len(os.fsencode(path / max(FILES, key=len)))
    if longest > SUN_PATH_BYTES:
        raise _Unfit(
            f"{path} is too long a path: the sockets in it would have {longest} bytes, and the "
            f"kernel takes {SUN_PATH_BYTES}"
        )
    try:
        _make(path)
        found = RunDir(path, _lock(path, patience_s))
    except OSError as error:
        raise _Unfit(f"{path}: {error.strerror or error}") from None
    found.clear()
    return found


def _make(path: Path) -> None:
    """Have a directory that is ours alone. Raises OSError, _Unfit."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _Unfit(f"{path} is there already and no directory")
    if found.st_uid != os.geteuid():
        raise _Unfit(f"{path} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise _Unfit(f"{path} is open to others: chmod 700 it, or name one that does not exist yet")


def _lock(path: Path, patience_s: float) -> int:
    """A descriptor that holds the lock. Raises OSError, _Unfit."""
    deadline = time.monotonic() + patience_s
    while True:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode(errors="replace").strip()
            os.close(lock)
            if time.monotonic() > deadline:
                whose = f"another node (process {holder})" if holder else "another node"
                raise _Unfit(f"{path} is in use by {whose}", taken=True) from None
            time.sleep(POLL_S)
            continue
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), (path / LOCK).stat()):
                os.truncate(lock, 0)
                os.write(lock, f"{os.getpid()}\n".encode())
                return lock
        os.close(lock)  # who had it before has removed it meanwhile: make it anew
