"""`procession.trace`: a recording of all that the pools of this process do while a block runs.

Laws
1. It listens as hub.py has it: engines wait for nothing, and a thread of the trace makes rows of what they tell, some
   times a second. What comes too fast for that is dropped and counted.
2. The thread never raises into the work: an error ends the recording and is told by the end of the block.
3. One trace at a time. A forked child has none, and writes nothing when it leaves the block.
4. What the block raises comes out of it as it is. If then the file cannot be written, that is a note of it, and a
   warning.
5. The file is whole: it is written beside its place and then put there. What was there before stays if that fails.
6. A block that is never left ends when the interpreter does, after the pools.
"""

from __future__ import annotations

import atexit
import os
import stat
import sys
import threading
import time
import warnings
from _weakref import ref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procession import tapping
from procession._native import accelerated
from procession._version import __version__
from procession.cgroups import read
from procession.cpu import cpu_budget
from procession.happenings import Dropped
from procession.seeing.collector import Collector
from procession.seeing.hub import Listener, hub

if TYPE_CHECKING:
    from types import TracebackType

    from procession.seeing.recording import Recording

SHARE = 20
"""Looking how pools are takes a twentieth of a CPU at most."""
FORMATS = (".json", ".json.gz", ".html")


class trace:  # used as a function: `with procession.trace("run.json"):`
    """Record every task of all pools of this process while the block runs; then write it to `path`.

    path: `run.json` or `run.json.gz`, in the Trace Event Format that Perfetto (ui.perfetto.dev) and about:tracing open;
        or `run.html`, a report that any browser opens by itself. None: nothing is written.

    Of each task, and of each item of a map, an imap, a SpinOff or a pipeline: when it was handed over, sent, started,
    ended and known to have ended; its worker, attempt and outcome; bytes of its arguments and its result, and for how
    long they were encoded and decoded. Besides, how many tasks wait and run, what memory and CPU the workers take.

    `recording` has it all, in columns, also while it goes on. Tasks that run when the block ends are in it as running.
    Workers that exist already are traced from their next batch of tasks on.

    A file that is there already is replaced when the new one is whole. A block that is never left (in a generator, say)
    ends with the interpreter. A forked child that leaves it writes nothing.

    Raises ValueError for a path of another kind, RuntimeError when a trace is going on already, and OSError from the
    end of the block when the file cannot be written; if the block raises, too, its error comes out, with a note of it.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)
        if self.path is not None and not self.path.name.endswith(FORMATS):
            raise ValueError(f"path must end with one of {', '.join(FORMATS)}; got {os.fspath(self.path)!r}")
        if self.path is not None and not self.path.absolute().parent.is_dir():
            raise ValueError(f"path must be in a folder that exists; got {os.fspath(self.path)!r}")
        self._place = None if self.path is None else self.path.absolute()  # wherever the program goes meanwhile
        self._recorder: Recorder | None = None
        self._pid = 0  # whose trace it is, while it goes on

    @property
    def recording(self) -> Recording:
        """What has been recorded so far. Raises RuntimeError before the block is entered."""
        if self._recorder is None:
            raise RuntimeError("nothing is recorded before the block is entered")
        return self._recorder.collector.recording

    def catch_up(self) -> None:
        """Wait until all that has ended by now is in `recording`."""
        if self._recorder is not None:
            self._recorder.catch_up()

    def __enter__(self) -> trace:
        if self._recorder is not None:
            raise RuntimeError("a trace is used once")
        global _latest
        self._recorder = Recorder()
        self._pid = os.getpid()
        atexit.register(self._end)
        try:
            self._recorder.begin()
        except BaseException:
            self._pid = 0
            atexit.unregister(self._end)
            raise
        _latest = ref(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        atexit.unregister(self._end)
        self._end(error)

    def _end(self, error: BaseException | None = None) -> None:
        """Of the block, which has raised this; or of the interpreter."""
        recorder = self._recorder
        if recorder is None or self._pid != os.getpid():
            return
        self._pid = 0
        recorder.end()
        try:
            if self._place is not None:
                write(self.recording, self._place)
        except Exception as failure:
            if error is None:
                raise
            warn(f"the trace could not be written to {self._place}: {failure!r}", error)
        if recorder.error is not None:
            warn(f"the trace ended early: {recorder.error!r}", error)


def warn(text: str, error: BaseException | None) -> None:
    """Of this, at the end of a block that has raised that: whatever comes of the warning, its own error comes out."""
    if error is None:
        warnings.warn(text, RuntimeWarning, stacklevel=4)
        return
    error.add_note(text)
    with suppress(RuntimeWarning):
        warnings.warn(text, RuntimeWarning, stacklevel=4)


def write(recording: Recording, path: Path) -> None:
    """In the form that the path's name asks for; what stands there is whole at any time."""
    place = Path(os.path.realpath(path))
    kind = next(each for each in FORMATS[::-1] if path.name.endswith(each))
    beside = place.with_name(f".{os.urandom(6).hex()}{kind}")
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        mode = 0
    if mode and not (stat.S_ISREG(mode) and os.access(place.parent, os.W_OK)):
        _write(recording, place)  # a pipe, say; or a folder where nothing can be put beside it
        return
    try:
        _write(recording, beside)
        if mode:
            beside.chmod(stat.S_IMODE(mode))
        beside.replace(place)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.filename == os.fspath(beside):
            error.filename = os.fspath(place)
        raise


def _write(recording: Recording, path: Path) -> None:
    if path.name.endswith(".html"):
        from procession.seeing.page import write_html

        write_html(recording, path)
    else:
        from procession.seeing import chrome

        chrome.write(recording, path)


class Recorder(Listener):
    """Makes a recording of what it hears."""

    name = "procession-trace"

    def __init__(self) -> None:
        super().__init__()
        self.collector = Collector()
        self.error: BaseException | None = None
        self._again = 0  # when to look next how all is, at the earliest

    def begin(self) -> None:
        """Record from now on. Raises RuntimeError when somebody does already."""
        if not _going_on.acquire(blocking=False):
            raise RuntimeError("a trace is going on already: one at a time")
        try:
            self._begin()
        except BaseException:
            _going_on.release()
            raise

    def _begin(self) -> None:
        recording = self.collector.recording
        recording.since = time.perf_counter_ns()
        recording.cpus = cpu_budget().cpus
        recording.about = about()
        self.tick()
        super().begin()

    def end(self, timeout: float | None = None) -> None:
        """Record no more; all that was told is in the recording."""
        try:
            super().end(timeout)
        finally:
            _going_on.release()
        self.collector.take(Dropped(self.dropped))
        self.collector.recording.until = now = time.perf_counter_ns()
        self.collector.sample_waits(now)

    def take(self, happening: tuple[Any, ...]) -> None:
        """See `Listener`."""
        self.collector.take(happening)

    def broke(self, error: BaseException) -> None:
        """See `Listener`."""
        self.error = error

    def tick(self) -> None:
        """See `Listener`: how all is now; less often where there are so many workers that looking takes its time."""
        tapping.unbind()
        if time.perf_counter_ns() < self._again and not self._over.is_set():
            return
        began = time.thread_time_ns()
        self._look()
        self._again = time.perf_counter_ns() + SHARE * (time.thread_time_ns() - began)

    def _look(self) -> None:
        now, sample = time.perf_counter_ns(), self.collector.sample
        for engine in tapping.engines():
            if found := engine.sample():
                sample(engine.number, now, found)
        sample(-1, now, of_program())
        ready: dict[int, int] = {}
        for told, stream in hub.streams():
            ready[told.engine] = ready.get(told.engine, 0) + stream.finished_untaken()
            if (stood := stream.stood(now)) is not None:
                self.collector.take(stood)
        for whose, number in ready.items():
            sample(whose, now, {"ready": number})
        self.collector.sample_waits(now)


_going_on = threading.Lock()
"""Held by the one that does."""
_latest: ref[trace] | None = None


def latest() -> trace | None:
    """The one that goes on, or the last one that has, if somebody has kept it."""
    return None if _latest is None else _latest()


def of_program() -> dict[str, float]:
    """What this process takes itself."""
    words = read("/proc/self/statm").split()
    pages = int(words[1]) if len(words) > 1 else 0
    line = read("/proc/self/schedstat").split()
    found = {
        "memory": float(pages * os.sysconf("SC_PAGE_SIZE")),
        "cpu": time.process_time(),
        "stalled": int(line[1]) / 1e9 if len(line) > 1 else 0.0,
    }
    try:
        ident = threading.main_thread().ident
        if ident is not None:
            found["main cpu"] = time.clock_gettime(time.pthread_getcpuclockid(ident))
    except (AttributeError, OSError):
        pass  # not everywhere
    return found


def about() -> dict[str, str]:
    """What program this is."""
    return {
        "command": " ".join(sys.argv),
        "python": sys.version.split()[0],
        "procession": __version__,
        "accelerated": "yes" if accelerated else "no",
        "host": os.uname().nodename,
        "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _forget() -> None:
    """A forked child records nothing."""
    global _going_on
    _going_on = threading.Lock()


os.register_at_fork(after_in_child=_forget)

__all__ = ["latest", "trace"]
