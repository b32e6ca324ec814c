"""Workers from the zygote: the launcher of one pool.

At most WINDOW requests are unanswered on a connection; others wait here, with descriptors of their own. So the kernel's
buffer, and its limit of descriptors in flight, are never met, however many workers are asked for at once.

When the zygote dies (its pidfd says so, or the connection ends), step by step
1. What it has sent is still in the connection: read that first, to its end.
2. Its workers live on. The pidfds that came with Started are watched from now on, and each Exited has exit code None
   and no peak; a zombie is reaped by whoever adopted it. Nobody else can hear of them, so no second report can come.
3. A request that was sent and not answered fails with again=True. It is not repeated here: the zygote may have forked
   before it died, and then a worker exists that holds these channels; a second one on the same channels would run
   tasks twice. The driver closes its ends, at which that worker, if there is one, finds its task pipe at an end.
4. A request that was not sent goes to the next zygote, which starts with it.
5. A zygote that never said READY is not followed by another (a broken interpreter would be restarted for ever): then
   everything that waits fails with again=False and with how it ended. Unless it was killed: SIGKILL and SIGTERM come
   from outside, and may come while it starts as well as later. Of such ones the fifth in a row is the last.

When there is no descriptor left for a worker's pidfd, the worker is killed and its request fails; but only when the
zygote has reaped it. It has its channels and may be running something: what it publishes and which items it owns can
be read for good only then.

Linux only; `launch.choose` knows.
"""

from __future__ import annotations

import _socket
import marshal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from procession.backends import forksafe
from procession.backends.launch import (
    SERVE,
    Event,
    Exited,
    Lifeline,
    Started,
    StartFailed,
    Watch,
    WorkerFiles,
    explained,
)
from procession.backends.saying import say
from procession.backends.zygote_client import ZygoteClient, close_socket, context_now, readable, signal_through
from procession.lean import NamedTuple
from procession.worker import zygote as wire
from procession.worker.boot import present
from procession.worker.packets import receive, send

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    import _signal as signal

WINDOW = 16
_TRIES = 5

_logged: set[str] = set()


# ---------------------------------------------------------------------------------------------------------- a process


class ZygoteProcess:
    """A worker as `executor._processes` shows it; the words are those of multiprocessing.Process. Any thread."""

    daemon = False

    def __init__(self, wid: int, pid: int, pidfd: int) -> None:
        self.name = f"procession-{wid}"
        self.pid = self.ident = pid
        self.exitcode: int | None = None
        self.sentinel = pidfd
        self._gone = threading.Event()

    def __repr__(self) -> str:
        state = f"exitcode={self.exitcode}" if self._gone.is_set() else "started"
        return f"<{type(self).__name__} name={self.name!r} pid={self.pid} {state}>"

    def __del__(self) -> None:
        forksafe.close(self.sentinel)

    def is_alive(self) -> bool:
        """True until the process has ended."""
        return not self._gone.is_set() and forksafe.owns(self.sentinel) and not readable(self.sentinel, 0)

    def terminate(self) -> None:
        """SIGTERM, to this process and no other."""
        signal_through(self.sentinel, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, to this process and no other."""
        signal_through(self.sentinel, signal.SIGKILL)

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most `timeout` seconds; its exit code is known then, unless the zygote died."""
        until = None if timeout is None else time.monotonic() + timeout
        if not self._gone.is_set() and readable(self.sentinel, -1 if timeout is None else max(0, int(timeout * 1000))):
            # The end is certain; the code is on its way through the zygote and the driver.
            self._gone.wait(1.0 if until is None else max(0.0, min(1.0, until - time.monotonic())))

    def ended(self, exitcode: int | None) -> None:
        """The reaper has spoken (the launcher calls this)."""
        self.exitcode = exitcode
        self._gone.set()


# ---------------------------------------------------------------------------------------------------------- a launcher


class _Request(NamedTuple):
    wid: int
    config: bytes
    fds: tuple[int, ...]


class ZygoteLauncher:
    """One pool's workers, as children of the zygote; the contract is `launch.Launcher`.

    Args:
        output: the write ends to which workers print (`OutputPump.child_ends`); they stay the caller's, and open.
        watch, unwatch: called with a descriptor that the driver must watch for reading, or no longer.
        preload: modules that the zygote imports once, for all workers of this process; what it cannot is logged once.
        serve: what a worker runs, as `module:function`.
    """

    name, eager = "zygote", False
    context: Callable[[str, dict[str, str]], dict[str, Any]] = staticmethod(context_now)  # what workers take over

    def __init__(
        self, output: tuple[int, int], *, watch: Watch, unwatch: Watch, preload: Sequence[str] = (), serve: str = SERVE
    ) -> None:
        self._output, self._preload, self._serve = output, list(preload), serve
        self._watch, self._unwatch = watch, unwatch
        self._zygote: ZygoteClient | None = None
        self._connection: _socket.socket | None = None
        self._lifeline: Lifeline | None = None
        self._asked: set[int] = set()
        self._waiting: deque[_Request] = deque()
        self._doomed: dict[int, int] = {}
        self._unheld: dict[int, OSError] = {}  # killed, for want of a descriptor; still among the asked
        self._processes: dict[int, ZygoteProcess] = {}
        self._orphans: dict[int, int] = {}  # pidfd to wid
        self._closed = False
        forksafe.on_fork(self._in_forked_child)

    # the contract

    def warm(self) -> None:
        """Start the zygote now, if there is none: it comes up while the caller goes on. Raises OSError."""
        if self._closed:
            raise RuntimeError("the launcher is closed")
        if self._zygote is not None:
            return
        try:
            self._lifeline = self._lifeline or Lifeline.enter()
            for left in reversed(range(_TRIES)):
                try:
                    return self._enter()
                except ConnectionError:  # it died between being found alive, or started, and being asked
                    if not left:
                        raise
        except OSError as error:
            raise explained(error) from error

    def start(self, wid: int, files: WorkerFiles, config: dict[str, Any]) -> None:
        given = tuple(present(files))
        request = _Request(wid, marshal.dumps(config), given)
        self.warm()
        if len(self._asked) < WINDOW and not self._waiting:
            try:
                return self._ask(request)
            except ConnectionError:
                pass  # nothing was sent; the zygote's pidfd is readable, and poll() takes it from there
            except OSError as error:
                raise explained(error) from error
        copies: list[int] = []
        try:
            for fd in given:
                copies.append(forksafe.duplicate(fd))
        except OSError as error:
            _close_all(copies)
            raise explained(error) from error
        self._waiting.append(request._replace(fds=tuple(copies)))

    def fds(self) -> Iterable[int]:
        if self._connection is not None and self._zygote is not None:
            yield self._connection.fileno()
            yield self._zygote.pidfd
        yield from self._orphans

    def poll(self, fd: int) -> list[Event]:
        events: list[Event] = []
        if fd in self._orphans:
            if readable(fd, 0):
                self._end(self._orphans[fd], None, events)
        elif self._connection is not None and self._zygote is not None:
            if fd == self._connection.fileno():
                if not self._receive(events):
                    self._lost(events)
            elif fd == self._zygote.pidfd and self._zygote.ended():
                self._lost(events)
        self._advance(events)
        return events

    def kill(self, wid: int, signum: int = signal.SIGKILL) -> None:
        process = self._processes.get(wid)
        if process is not None:
            signal_through(process.sentinel, signum)
        elif wid in self._asked or any(each.wid == wid for each in self._waiting):
            self._doomed[wid] = signum

    def process(self, wid: int) -> ZygoteProcess:
        return self._processes[wid]

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for process in self._processes.values():
            process.kill()
            process.ended(None)
        for pidfd in self._orphans:
            self._unwatch(pidfd)
        for request in self._waiting:
            _close_all(request.fds)
        self._disconnect()
        if self._lifeline is not None:
            self._lifeline.leave()
        self._forget()

    # the connection

    def _enter(self) -> None:
        zygote = ZygoteClient.enter(self._serve)
        try:
            connection = zygote.connect(self._preload, self._output)
        except ConnectionError:
            error = zygote.obituary("before it was asked")
            zygote.leave()
            raise error from None
        except BaseException:
            zygote.leave()
            raise
        self._zygote, self._connection = zygote, connection
        self._watch(connection.fileno())
        self._watch(zygote.pidfd)

    def _disconnect(self) -> None:
        if self._zygote is None or self._connection is None:
            return
        self._unwatch(self._connection.fileno())
        self._unwatch(self._zygote.pidfd)
        close_socket(self._connection)
        self._zygote.leave()
        self._zygote = self._connection = None

    def _ask(self, request: _Request) -> None:
        assert self._zygote is not None
        assert self._connection is not None
        context = self.context(f"procession-{request.wid}", self._zygote.environment)
        body = marshal.dumps((self._serve, request.config, context))
        send(self._connection, (wire.SPAWN, request.wid, body, len(request.fds)), request.fds)
        self._asked.add(request.wid)

    def _advance(self, events: list[Event]) -> None:
        """Send what waits, as far as the window and the connection go."""
        while self._waiting and self._connection is not None and len(self._asked) < WINDOW:
            request = self._waiting[0]
            try:
                self._ask(request)
            except ConnectionError:
                return
            except OSError as error:
                self._fail(request.wid, explained(error), events)
            self._waiting.popleft()
            _close_all(request.fds)

    def _receive(self, events: list[Event]) -> bool:
        """Everything that has come; False at the end of the connection."""
        assert self._connection is not None
        while True:
            try:
                with forksafe.lock:
                    message, fds = receive(self._connection)
                    for fd in fds:
                        forksafe.own(fd)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            if message is None:
                return False
            self._heard(message, fds, events)

    def _heard(self, message: tuple[Any, ...], fds: list[int], events: list[Event]) -> None:
        match message:
            case (wire.READY, failures):
                assert self._zygote is not None
                self._zygote.is_ready()
                _log_preload(failures)
            case (wire.STARTED, wid, pid) if fds:
                self._asked.discard(wid)
                self._processes[wid] = ZygoteProcess(wid, pid, fds[0])
                if wid in self._doomed:
                    self.kill(wid, self._doomed.pop(wid))
                events.append(Started(wid, pid))
            case (wire.STARTED, wid, _):
                assert self._connection is not None
                error = explained(OSError(24, "Too many open files"))
                try:
                    send(self._connection, (wire.KILL, wid, int(signal.SIGKILL)))
                except OSError:
                    self._fail(wid, error, events)  # the zygote is gone; the worker finds its task pipe at an end
                else:
                    self._unheld[wid] = error
            case (wire.FAILED, wid, number, text):
                self._fail(wid, explained(OSError(number, f"the zygote could not start a worker: {text}")), events)
            case (wire.EXITED, wid, _, exitcode, peak) if wid in self._processes:
                self._end(wid, exitcode, events, peak)
            case (wire.EXITED, wid, *_) if wid in self._unheld:
                self._fail(wid, self._unheld[wid], events)
            case _:
                pass  # the end of a worker that was given up

    def _lost(self, events: list[Event]) -> None:
        """The zygote is dead, or has closed this connection, which comes to the same: see "When the zygote dies"."""
        assert self._zygote is not None
        if self._connection is not None:
            self._receive(events)
        zygote = self._zygote
        error = zygote.obituary("while it was starting this worker")
        self._disconnect()
        for wid, process in self._processes.items():
            if process.sentinel not in self._orphans:
                self._orphans[process.sentinel] = wid
                self._watch(process.sentinel)
        for wid in sorted(self._asked):
            self._fail(wid, error, events, again=zygote.follow())
        if self._waiting and zygote.follow():
            try:
                return self.warm()
            except OSError as failure:
                error = failure
        for request in self._waiting:
            _close_all(request.fds)
            self._fail(request.wid, error, events)
        self._waiting.clear()

    # the ends of a worker

    def _fail(self, wid: int, error: OSError, events: list[Event], again: bool = False) -> None:
        self._asked.discard(wid)
        self._doomed.pop(wid, None)
        self._unheld.pop(wid, None)
        events.append(StartFailed(wid, error, again))

    def _end(self, wid: int, exitcode: int | None, events: list[Event], peak: int | None = None) -> None:
        process = self._processes.pop(wid)
        if self._orphans.pop(process.sentinel, None) is not None:
            self._unwatch(process.sentinel)
        process.ended(exitcode)
        events.append(Exited(wid, process.pid, exitcode, peak))

    def _in_forked_child(self) -> None:
        self._closed = True
        if self._connection is not None:
            close_socket(self._connection)
        self._forget()

    def _forget(self) -> None:
        self._zygote = self._connection = self._lifeline = None
        self._asked.clear()
        self._doomed.clear()
        self._unheld.clear()
        self._waiting.clear()
        self._processes.clear()
        self._orphans.clear()


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        forksafe.close(fd)


def _log_preload(failures: list[tuple[str, str]]) -> None:
    import logging

    for module, text in failures:
        if module not in _logged:
            _logged.add(module)
            say(logging.WARNING, "preload: the zygote could not import %s:\n%s", module, text)
