"""Nothing stays behind: after each test no process, thread, descriptor or shared memory segment that it left.

How it works, and what it can rely on:

* **What is compared.** A snapshot before the test's own fixtures and one after them. What a fixture of a wider scope
  made is in the first and may stay. What ends asynchronously gets a grace period of short polls; then the test fails,
  names each thing that is left, and the processes among them are killed, so that the next test starts clean.
* **Whose is a process?** Ours if its parent is ours, or, when its parent is gone, by a mark that it cannot lose: a
  process that was exec'ed carries PROCESSION_TEST_SESSION in its environment; one that was only forked from the test
  run still maps the marker page, since a mapping outlives a fork, a setsid and the closing of every descriptor.
* **Why it is quick.** The kernel tells the last pid it gave (/proc/loadavg). While that stands still, no process can
  have been born and nothing needs to be looked at; when it moved, only the pids that were not there before are.

What the standard library itself keeps until the interpreter's end (multiprocessing's resource tracker and fork server)
is no leak. Outside Linux only threads are compared.
"""

import contextlib
import gc
import mmap
import os
import signal
import sys
import textwrap
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

VARIABLE = "PROCESSION_TEST_SESSION"
GRACE = 20.0
# A test that has failed keeps its frames, and what they hold, alive through its traceback: waiting is of little use.
GRACE_AFTER_FAILURE = 0.5
LINUX = sys.platform == "linux"
SHARED_MEMORY = "/dev/shm"

# Threads of the tools around the tests, by the beginning of their name; trio keeps its own for ten idle seconds, and
# Dask the one that packs large messages for as long as the program lasts.
TOOL_THREADS = ("pytest_timeout", "pydevd", "Trio thread", "Dask-Offload")

sockets_are_pooled = False
"""A library that keeps connections to a cluster, as it sees fit, is in use."""

_failed = pytest.StashKey[bool]()


# -------------------------------------------------------------------------------------------------------------- marking


class Marks:
    """The two marks of this test session: an environment variable and a mapped page."""

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        # A session inside a session (the fixture's own tests) belongs to both.
        outer = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = f"{outer}:{self.token}" if outer else self.token
        if LINUX:
            fd = os.memfd_create(f"procession-{self.token}")
            os.ftruncate(fd, mmap.PAGESIZE)
            self._page = mmap.mmap(fd, mmap.PAGESIZE)
            os.close(fd)

    def on(self, pid: int) -> bool:
        """Does `pid` carry one of the marks? False for a zombie, which has lost everything but its parent."""
        token = self.token.encode()
        return token in read(f"/proc/{pid}/environ") or token in read(f"/proc/{pid}/maps")


def read(path: str) -> bytes:
    """The content, or nothing when the process is gone meanwhile or is not ours to look at."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


MARKS = Marks()


# -------------------------------------------------------------------------------------------------------------- looking


@dataclass(frozen=True)
class Process:
    """One process. The start time tells it from a later one that was given the same pid."""

    pid: int
    parent: int
    state: str
    started: int
    name: str

    def __str__(self) -> str:
        words = read(f"/proc/{self.pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
        zombie = ", a zombie that nobody waited for" if self.state == "Z" else ""
        return f"process {self.pid} ({words[:120] or self.name}{zombie})"

    def alive(self) -> bool:
        now = Process.look(self.pid)
        return now is not None and now.started == self.started and now.state not in "ZX"

    @staticmethod
    def look(pid: int) -> "Process | None":
        name, _, rest = read(f"/proc/{pid}/stat").decode(errors="replace").rpartition(")")
        words = rest.split()
        if not words:
            return None
        return Process(pid, int(words[1]), words[0], int(words[19]), name.partition("(")[2])


def last_pid() -> bytes:
    return read("/proc/loadavg").rpartition(b" ")[2]


def all_pids() -> frozenset[int]:
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdigit())


def ours_among(pids: frozenset[int]) -> dict[int, Process]:
    """Those of `pids` that descend from this process, by parentage or by mark."""
    seen = {pid: process for pid in pids if (process := Process.look(pid)) is not None}
    family = {pid for pid, process in seen.items() if process.parent == os.getpid() or MARKS.on(pid)}
    while more := {pid for pid, process in seen.items() if process.parent in family} - family:
        family |= more
    return {pid: seen[pid] for pid in sorted(family)}


def descriptors() -> dict[int, str]:
    found = {int(name): os.fsdecode(target(f"/proc/self/fd/{name}")) for name in os.listdir("/proc/self/fd")}
    if sockets_are_pooled:
        found = {fd: where for fd, where in found.items() if not where.startswith("socket:")}
    # The descriptor of the listing itself is closed by now, and so leads nowhere.
    return {fd: where for fd, where in found.items() if where}


def threads() -> set[threading.Thread]:
    """Python's living threads. A foreign thread that once asked for its name stays listed when it is long gone."""
    running = set(os.listdir("/proc/self/task")) if LINUX else None
    return {each for each in threading.enumerate() if running is None or str(each.native_id) in running}


def segments() -> set[str]:
    try:
        return set(os.listdir(SHARED_MEMORY))
    except OSError:
        return set()


def ours_of(names: Iterable[str]) -> list[str]:
    """Which of these segments did this test run make? They have no author, so: ours if one of us uses it, not ours if
    only others do. One that nobody uses any more is ours unless another Python program runs beside us and may have left
    it."""
    paths = {name: os.fsencode(f"{SHARED_MEMORY}/{name}") for name in sorted(names)}
    if not paths:
        return []
    used, ours = set(), set()
    for pid in all_pids():
        maps, opened = read(f"/proc/{pid}/maps"), targets(pid)
        using = {name for name, path in paths.items() if path in maps or path in opened}
        used |= using
        if using and belongs(pid):
            ours |= using
    left = paths.keys() - used
    if left and not other_python_programs():
        ours |= left
    return sorted(ours)


def other_python_programs() -> bool:
    above = set(ancestors())
    return any(
        os.path.basename(exe).startswith(b"python")
        for pid in all_pids() - above
        if (exe := target(f"/proc/{pid}/exe")) and not belongs(pid)
    )


def belongs(pid: int) -> bool:
    return pid == os.getpid() or MARKS.on(pid)


def ancestors() -> Iterator[int]:
    process = Process.look(os.getpid())
    while process is not None and process.parent:
        yield process.parent
        process = Process.look(process.parent)


def target(link: str) -> bytes:
    try:
        return os.readlink(os.fsencode(link))
    except OSError:
        return b""


def targets(pid: int) -> set[bytes]:
    """What the descriptors of `pid` lead to."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return set()
    return {target(f"/proc/{pid}/fd/{name}") for name in names}


class StandardLibrary:
    """The helpers that multiprocessing starts once and keeps until the interpreter ends."""

    @staticmethod
    def _helpers() -> Iterator[tuple[object, str, str]]:
        for module, instance, pid, fd in (
            ("multiprocessing.resource_tracker", "_resource_tracker", "_pid", "_fd"),
            ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid", "_forkserver_alive_fd"),
        ):
            helper = getattr(sys.modules.get(module), instance, None)
            if helper is not None:
                yield helper, pid, fd

    @classmethod
    def pids(cls) -> set[int]:
        return {getattr(helper, pid, None) or 0 for helper, pid, _ in cls._helpers()}

    @classmethod
    def descriptors(cls) -> set[int]:
        found = (getattr(helper, fd, None) for helper, _, fd in cls._helpers())
        return {fd for fd in found if fd is not None}


# ------------------------------------------------------------------------------------------------------------ comparing


def at(thread: threading.Thread) -> str:
    """Where it is."""
    frame = sys._current_frames().get(thread.ident or 0)
    return textwrap.indent("".join(traceback.format_stack(frame)), "    ") if frame is not None else ""


@dataclass
class Leaks:
    """What is there now and was not there before."""

    processes: list[Process] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    descriptors: dict[int, str] = field(default_factory=dict)
    segments: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.processes or self.threads or self.descriptors or self.segments)

    def __str__(self) -> str:
        return "\n".join(
            [
                *(f"  {process}" for process in self.processes),
                *(f"  thread {each.name!r}{' (daemon)' if each.daemon else ''}\n{at(each)}" for each in self.threads),
                *(f"  descriptor {fd} -> {target}" for fd, target in self.descriptors.items()),
                *(f"  shared memory {SHARED_MEMORY}/{name}" for name in self.segments),
                *self.dumps(),
            ]
        )

    def dumps(self) -> list[str]:
        """What the pools say whose drivers are among the threads."""
        if not self.threads:
            return []
        from procession.driver.processes import ProcessEngine
        from procession.driver.threads import ThreadEngine

        engines = [each for each in gc.get_objects() if type(each) in (ProcessEngine, ThreadEngine)]
        return [each.dump() for each in engines if each.driver_thread in self.threads]


class Snapshot:
    """What there is at one moment, to compare a later one with."""

    def __init__(self) -> None:
        self.threads = threads()
        if LINUX:
            self.last_pid = last_pid()
            self.pids = all_pids()
            self.descriptors = descriptors()
            self.segments = segments()

    def leaks(self) -> Leaks:
        if not LINUX:
            return Leaks(threads=self._threads())
        return Leaks(self._processes(), self._threads(), self._descriptors(), self._segments())

    def _processes(self) -> list[Process]:
        if last_pid() == self.last_pid:
            return []
        found = ours_among(all_pids() - self.pids)
        kept = StandardLibrary.pids()
        return [each for pid, each in found.items() if pid not in kept]

    def _threads(self) -> list[threading.Thread]:
        new = threads() - self.threads
        return [each for each in new if not each.name.startswith(TOOL_THREADS)]

    def _descriptors(self) -> dict[int, str]:
        new = dict(sorted(descriptors().items() - self.descriptors.items()))
        return {fd: target for fd, target in new.items() if fd not in StandardLibrary.descriptors()} if new else {}

    def _segments(self) -> list[str]:
        return ours_of(segments() - self.segments)


def settled(look: Callable[[], Leaks], grace: float) -> Leaks:
    """What is still there when the grace period is over; returns at once when there is nothing."""
    if not (found := look()):
        return found
    gc.collect()  # a dropped pool may wait in a reference cycle
    deadline = time.monotonic() + grace
    pause = 0.002
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return found


def kill(processes: list[Process]) -> None:
    """Kill what is left, and reap what is our own child."""
    for each in processes:
        if each.alive():
            with contextlib.suppress(OSError):
                os.kill(each.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10.0
    while any(each.alive() for each in processes) and time.monotonic() < deadline:
        time.sleep(0.005)
    for each in processes:
        if each.parent == os.getpid():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each.pid, os.WNOHANG)


def clean_up(leaks: Leaks) -> None:
    kill(leaks.processes)
    for name in leaks.segments:
        with contextlib.suppress(OSError):
            Path(SHARED_MEMORY, name).unlink()


# ------------------------------------------------------------------------------------------------------------ the hooks


@pytest.fixture(autouse=True)
def nothing_stays_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test that left a process, a thread, a descriptor or a segment; @pytest.mark.leaks("why") lets it."""
    if request.node.get_closest_marker("leaks"):
        yield
        return
    before = Snapshot()
    yield
    left = settled(before.leaks, GRACE_AFTER_FAILURE if request.node.stash.get(_failed, False) else GRACE)
    if left:
        text = str(left)
        clean_up(left)
        pytest.fail(f"the test left behind:\n{text}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "leaks(reason): the test may leave processes, threads, descriptors or segments")
