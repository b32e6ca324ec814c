"""`procession.trace`: a recording of all that the pools of this process do while a block runs.

Laws
1. What is told by engines (`push`) is appended to a bounded deque, and that is all that they wait for. A thread of the
   trace makes rows of it, some times a second. What comes when the deque is full is dropped and counted.
2. Neither the thread nor the writing of the file ever raises into the work: an error ends the recording and is told by
   the end of the block.
3. One trace at a time. A forked child has none.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from _weakref import ref
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procession import tapping
from procession._native import accelerated
from procession._version import __version__
from procession.cgroups import read
from procession.cpu import cpu_budget
from procession.happenings import Dropped, Missed, Ran, Rows
from procession.observe.collector import Collector

if TYPE_CHECKING:
    from types import TracebackType

    from procession.observe.recording import Recording

TICK = 0.05
"""Seconds between two samples."""
MOST = 100_000
"""Happenings that may wait to be made rows of; each is one task at least, and often thousands."""
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

    Raises ValueError for a path of another kind, RuntimeError when a trace is going on already, and OSError from the
    end of the block when the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)
        if self.path is not None and not self.path.name.endswith(FORMATS):
            raise ValueError(f"path must end with one of {', '.join(FORMATS)}; got {os.fspath(self.path)!r}")
        if self.path is not None and not self.path.absolute().parent.is_dir():
            raise ValueError(f"path must be in a folder that exists; got {os.fspath(self.path)!r}")
        self._recorder: Recorder | None = None

    @property
    def recording(self) -> Recording:
        """What has been recorded so far. Raises RuntimeError before the block is entered."""
        if self._recorder is None:
            raise RuntimeError("nothing is recorded before the block is entered")
        return self._recorder.collector.recording

    def __enter__(self) -> trace:
        if self._recorder is not None:
            raise RuntimeError("a trace is used once")
        self._recorder = Recorder()
        self._recorder.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._recorder is not None
        self._recorder.end()
        if self.path is not None:
            write(self.recording, self.path)


def write(recording: Recording, path: Path) -> None:
    """In the form that the path's name asks for."""
    if path.name.endswith(".html"):
        from procession.observe.page import write_html

        write_html(recording, path)
    else:
        from procession.observe import chrome

        chrome.write(recording, path)


class Recorder:
    """A tap, and the thread that empties it."""

    def __init__(self) -> None:
        self.collector = Collector()
        self._told: deque[tuple[Any, ...]] = deque()
        self._streams: dict[int, Any] = {}
        self._lock = threading.Lock()  # for `watch`: streams begin on any thread
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="procession-trace", daemon=True)
        self._dropped = 0
        self.error: BaseException | None = None

    # -- the tap -----------------------------------------------------------------------------------------------------

    def push(self, happening: tuple[Any, ...]) -> None:
        """See `tapping.Tap`."""
        if len(self._told) < MOST:
            self._told.append(happening)
        elif isinstance(happening, Ran | Missed):
            self._dropped += happening.items
        elif isinstance(happening, Rows):
            self._dropped += len(happening.rows)

    def watch(self, stream: object, kind: str, name: str) -> int:
        """See `tapping.Tap`."""
        with self._lock:
            number = self.collector.stream(kind, name)
            self._streams[number] = ref(stream)
            return number

    # -- the thread --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Tap. Raises RuntimeError when somebody does already."""
        if tapping.tap is not None:
            raise RuntimeError("a trace is going on already: one at a time")
        recording = self.collector.recording
        recording.since = time.perf_counter_ns()
        recording.cpus = cpu_budget().cpus
        recording.about = about()
        _mind_forks()
        tapping.turn(self)
        self._sample()
        self._thread.start()

    def end(self) -> None:
        """Tap no more, and have all that was told in the recording."""
        tapping.turn(None)
        self._over.set()
        self._thread.join()
        if self.error is None:
            self._empty()
            self._sample()
        else:
            warnings.warn(f"the trace ended early: {self.error!r}", RuntimeWarning, stacklevel=3)
        self.collector.recording.until = time.perf_counter_ns()

    def _run(self) -> None:
        try:
            while not self._over.wait(TICK):
                self._empty()
                self._sample()
        except Exception as error:
            self.error = error
            tapping.turn(None)

    def _empty(self) -> None:
        told = self._told
        for _ in range(len(told)):
            self.collector.take(told.popleft())
        if dropped := self._dropped:
            self._dropped -= dropped
            self.collector.take(Dropped(dropped))

    def _sample(self) -> None:
        now, sample = time.perf_counter_ns(), self.collector.sample
        for engine in tapping.engines():
            if found := engine.sample():
                sample(engine.number, now, found)
        sample(-1, now, of_program())
        ready: dict[int, int] = {}
        for number, each in list(self._streams.items()):
            stream = each()
            if stream is None:
                del self._streams[number]
                continue
            whose = -1 if (its := getattr(stream, "engine", None)) is None else its.number
            ready[whose] = ready.get(whose, 0) + stream.finished_untaken()
        for whose, count in ready.items():
            sample(whose, now, {"ready": count})


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


_minded = False


def _mind_forks() -> None:
    """A forked child taps nothing."""
    global _minded
    if not _minded:
        _minded = True
        os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    tapping.tap = None


__all__ = ["trace"]
