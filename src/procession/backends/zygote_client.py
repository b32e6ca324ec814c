"""The parent's side of the zygote: one for the process, shared by its pools, and what a request to it carries.

Laws
1. What is shared changes under `ZygoteClient._lock` only. A connection belongs to the launcher that asked for it, and
   takes no lock.
2. A zygote is started by the first launcher that needs one and ended by the last that leaves: that one closes the
   control connection, waits for the end and reaps. So a pool that is gone leaves no zygote and no zombie.
3. The zygote is reaped by its pidfd (P_PIDFD), never by number: a program's own os.waitpid(-1) may have been faster,
   and the number may be another child's by then.

What travels with a request, taken anew each time, so that later workers see later changes: sys.path, sys.argv, the
working directory, the umask, the interpreter's limits of recursion and of digits, environment variables (as the
difference to the zygote's), the authkey and log level of multiprocessing if the program has loaded it, and that
coverage.py is to measure its children. What does not: resource limits, CPU affinity, nice value and user id are those
of the zygote's start; signals ignored then (nohup) stay ignored.

Linux only; `launch.choose` knows.
"""

from __future__ import annotations

import _socket
import functools
import marshal
import os
import select
import sys
import threading
from collections.abc import Iterable, Sequence

from procession._native import native
from procession.backends import forksafe
from procession.backends.launch import Lifeline, owned_pidfd
from procession.worker import zygote as wire
from procession.worker.packets import send

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    import signal
    from typing import Any, ClassVar
else:
    import _signal as signal

_END_PATIENCE_MS = 2000
_MOST_KILLED = 5
_KILLED = (-9, -15)
"""How what somebody has killed ends; by another signal, or with an exit code, an interpreter fails by itself."""
_HASH_SEED = "PYTHONHASHSEED"
_PURE = "PROCESSION_PURE"


# ------------------------------------------------------------------------------------------------------- the one zygote


class ZygoteClient:
    """The zygote of this process, as long as a launcher uses it."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _current: ClassVar[ZygoteClient | None] = None
    _killed: ClassVar[int] = 0
    """So many, one after another, were killed before they were ready."""

    def __init__(self, serve: str) -> None:
        self.environment = dict(os.environ)
        if native is not None:
            # It has been set since: for what workers start, which get it, and not for these.
            self.environment.pop(_PURE, None)
        self._ready = False
        self._follow: bool | None = None
        self._users = 0
        self._reaped = False
        self.exitcode: int | None = None
        self.lifeline = Lifeline.enter()
        try:
            self.control, self.pid = self._spawn(serve)
        except BaseException:
            self.lifeline.leave()
            raise
        try:
            self.pidfd = owned_pidfd(self.pid)
        except BaseException:
            close_socket(self.control)  # at which it ends
            os.waitpid(self.pid, 0)
            self.lifeline.leave()
            raise

    @classmethod
    def enter(cls, serve: str) -> ZygoteClient:
        """The living one, or a new one; each `enter` wants a `leave`. Raises OSError."""
        forksafe.on_fork(cls._in_forked_child)
        with cls._lock:
            if cls._current is None or cls._current.ended():
                cls._current = None
                cls._current = ZygoteClient(serve)
            cls._current._users += 1
            return cls._current

    def connect(self, preload: Sequence[str], output: tuple[int, int]) -> _socket.socket:
        """A new pool's connection. Raises OSError."""
        with ZygoteClient._lock:
            ours, theirs = _pair()
            try:
                request = (wire.POOL, 0, list(preload), _strings(sys.path))
                send(self.control, request, (theirs.fileno(), *output))
            except BaseException:
                close_socket(ours)
                raise
            finally:
                theirs.close()
            return ours

    def is_ready(self) -> None:
        """It has said so."""
        self._ready = True
        ZygoteClient._killed = 0

    def follow(self) -> bool:
        """Whether another one may do better than this, which has ended: it had been ready, or it was killed meanwhile.

        For those that are killed before they are ready, `_MOST_KILLED` in a row: more than that is no accident.
        """
        with ZygoteClient._lock:
            if self._follow is None:
                if not self._ready and self.exitcode in _KILLED:
                    ZygoteClient._killed += 1
                    self._follow = ZygoteClient._killed < _MOST_KILLED
                else:
                    self._follow = self._ready
            return self._follow

    def obituary(self, when: str) -> OSError:
        """What to tell those who waited for it: a ConnectionError if another one may do better."""
        if not self.ended() and not self._wait(100):  # it has let go of its connection, and lives
            self._follow = self._ready
            signal_through(self.pidfd, signal.SIGKILL)
        self._wait(1000)
        ended = "" if self.exitcode is None else f" (exit code {self.exitcode})"
        if self.follow():
            return ConnectionResetError(f"the zygote died{ended} {when}")
        return OSError(f"the zygote ended{ended} before it was ready; what it said is on stderr")

    def leave(self) -> None:
        """One launcher less; with the last one the zygote ends, and is waited for."""
        with ZygoteClient._lock:
            self._users -= 1
            if self._users:
                return
            if ZygoteClient._current is self:
                ZygoteClient._current = None
            close_socket(self.control)
        if not self._wait(_END_PATIENCE_MS):
            signal_through(self.pidfd, signal.SIGKILL)
            self._wait(_END_PATIENCE_MS)
        forksafe.close(self.pidfd)
        self.lifeline.leave()

    def ended(self) -> bool:
        """Is it gone? Reaps it then."""
        return self._wait(0)

    def _wait(self, milliseconds: int) -> bool:
        if self._reaped:
            return True
        if not readable(self.pidfd, milliseconds):
            return False
        try:
            result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
            if result is not None:
                self.exitcode = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        except ChildProcessError:
            pass  # the program's own waitpid(-1) was faster, or it ignores SIGCHLD
        self._reaped = True
        return True

    def _spawn(self, serve: str) -> tuple[_socket.socket, int]:
        ours, theirs = _pair()
        opened: list[int] = []
        try:
            blob = os.memfd_create("procession-start")
            opened.append(blob)
            hashing = _HASH_SEED not in self.environment
            os.write(blob, marshal.dumps({"path": _strings(sys.path), "serve": serve, "hashing": hashing}))
            os.lseek(blob, 0, os.SEEK_SET)
            me = os.pidfd_open(os.getpid())
            opened.append(me)
            # Above every target, so that no dup2 of the child overwrites the source of a later one.
            for fd in (blob, theirs.fileno(), me, self.lifeline.read):
                opened.append(_above_targets(fd))
            sources = opened[2:]
            targets = (wire.BLOB, wire.CONTROL, wire.PARENT, wire.LIFELINE)
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *_flags(), "-c", wire.COMMAND],
                {_HASH_SEED: hash_seed()} | self.environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    *((os.POSIX_SPAWN_DUP2, source, target) for source, target in zip(sources, targets, strict=True)),
                ],
                setsigmask=[signal.SIGINT],
                setsigdef=[signal.SIGCHLD, signal.SIGTERM],
            )
        except BaseException:
            close_socket(ours)
            raise
        finally:
            theirs.close()
            for fd in opened:
                os.close(fd)
        return ours, pid

    @classmethod
    def _in_forked_child(cls) -> None:
        current, cls._lock, cls._current = cls._current, threading.Lock(), None
        if current is not None:
            close_socket(current.control)


@functools.cache
def hash_seed() -> str:
    """How all workers of this process hash texts, where its environment does not say; also those of a later zygote.

    This process's own seed is nowhere to be read.
    """
    return str(int.from_bytes(os.urandom(4), "little"))


def _pair() -> tuple[_socket.socket, _socket.socket]:
    """Two connected ends: ours, which does not block and which a forked child does not keep, and theirs."""
    with forksafe.lock:
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        forksafe.own(ours.fileno())
    ours.setblocking(False)
    return ours, theirs


_OPTIONS = frozenset(
    (
        *("debug", "optimize", "dont_write_bytecode", "no_site", "verbose", "bytes_warning", "quiet", "dev_mode"),
        *("isolated", "ignore_environment", "no_user_site", "safe_path"),
    )
)
"""The members of `sys.flags` that the command line sets and a child does not know by itself."""


def _flags() -> list[str]:
    """The interpreter's own options (-O, -W, -X, -I ...), as multiprocessing hands them on."""
    options = _OPTIONS
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):  # as in many a container: the child will see it by itself
        options = options - {"dont_write_bytecode"}
    if not (sys.warnoptions or sys._xoptions or any(getattr(sys.flags, name, 0) for name in options)):
        return []
    import subprocess  # a tenth of the time that such a program takes to its first result

    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    for name, value in sys._xoptions.items():
        option = name if value is True else f"{name}={value}"
        if option not in flags:  # subprocess does not know all of them (perf, no_debug_ranges, pycache_prefix ...)
            flags += ["-X", option]
    return flags


def _above_targets(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


# ---------------------------------------------------------------------------------------------- what a request carries


_MEASURED = "_coverage$patched"
"""coverage.py puts this into multiprocessing, whose children it is to measure (`concurrency = multiprocessing`)."""


def context_now(name: str, environment: dict[str, str]) -> dict[str, Any]:
    """What a worker started now takes over from this process; `environment` is what the zygote started with."""
    now = dict(os.environ)
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = None
    context: dict[str, Any] = {
        "name": name,
        "path": _strings(sys.path),
        "argv": _strings(sys.argv),
        "cwd": cwd,
        "umask": _umask(),
        "limits": (sys.getrecursionlimit(), sys.get_int_max_str_digits()),
        "env": (
            {key: value for key, value in now.items() if environment.get(key) != value},
            [key for key in environment if key not in now],
        ),
        "authkey": None,
        "orig_dir": None,
        "log": None,
        "measure": hasattr(sys.modules.get("multiprocessing"), _MEASURED),
        "parent": ("MainProcess", os.getpid()),
    }
    # Another thread may just be importing these: then there is nothing in them yet that somebody has set.
    process: Any = sys.modules.get("multiprocessing.process")
    util: Any = sys.modules.get("multiprocessing.util")
    if hasattr(process, "_current_process"):
        me = process.current_process()
        context["authkey"] = bytes(me.authkey)
        context["orig_dir"] = process.ORIGINAL_DIR
        context["parent"] = (str(me.name), os.getpid())
    if getattr(util, "_logger", None) is not None:
        context["log"] = (bool(util._log_to_stderr), util._logger.getEffectiveLevel())
    return context


def _strings(values: Iterable[object]) -> list[str]:
    """Exact str, which is all that marshal takes; path entries and arguments of other kinds become text."""
    return [
        str.__str__(os.fsdecode(each) if isinstance(each, (str, bytes, os.PathLike)) else str(each)) for each in values
    ]


def _umask() -> int:
    """Read without changing it where /proc tells; os.umask, the other way, is seen by all threads for a moment."""
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"Umask:"):
                    return int(line[6:], 8)
    except (OSError, ValueError):
        pass
    old = os.umask(0o077)
    os.umask(old)
    return old


# ------------------------------------------------------------------------------------------------------------ handles


def readable(fd: int, milliseconds: int) -> bool:
    """Is `fd` readable, or will it be in so long? For a pidfd: has the process ended? -1 waits for ever."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(milliseconds))


def signal_through(pidfd: int, signum: int) -> None:
    """Signal exactly this process; nothing happens if it has ended."""
    try:
        signal.pidfd_send_signal(pidfd, signum)
    except OSError:
        pass


def close_socket(sock: _socket.socket) -> None:
    """Close a socket whose descriptor is registered in forksafe; twice is no error."""
    fd = sock.detach()
    if fd >= 0:
        forksafe.close(fd)
