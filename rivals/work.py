"""What the probes have their workers do. Light to import: every worker of every peer does it."""

import contextlib
import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

EXIT_CODE = 97


def mark(path: str, word: str = "") -> None:
    """Append a line to `path`, in one write, so that lines of several processes do not mix."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(fd, f"{os.getpid()} {word}\n".encode())
    finally:
        os.close(fd)


def marks(path: str | Path) -> list[list[str]]:
    """The lines that `mark` has left: the pid and the word of each."""
    with contextlib.suppress(OSError):
        return [line.split() for line in Path(path).read_text().splitlines()]
    return []


def double(n: int) -> int:
    """Work that cannot fail."""
    return n * 2


def pause(n: int, seconds: float) -> int:
    """Work that takes a moment."""
    time.sleep(seconds)
    return n * 2


def pid_after(seconds: float) -> int:
    """Which process this is; the pause leaves time for the others to answer, too."""
    time.sleep(seconds)
    return os.getpid()


def marked(path: str, n: int, seconds: float) -> int:
    """Work that leaves a trace of having been started."""
    mark(path, str(n))
    time.sleep(seconds)
    return n


# ----------------------------------------------------------------------------------------------------- deaths and hangs


def killed_once(path: str, n: int, victim: int) -> int:
    """Item `victim` waits for its killer when it is run for the first time; every other is 20 ms of work."""
    if n == victim:
        mark(path, str(n))
        if len(marks(path)) == 1:
            time.sleep(3600)
    time.sleep(0.02)
    return n * 2


def exit_at(path: str, n: int, victim: int) -> int:
    """Item `victim` ends its process as a C library would that calls exit()."""
    if n == victim:
        mark(path, str(n))
        os._exit(EXIT_CODE)
    time.sleep(0.02)
    return n * 2


def crash_at(path: str, n: int, victim: int) -> int:
    """Item `victim` crashes, one call further down: whoever is told of that name knows where it happened."""
    if n == victim:
        mark(path, str(n))
        dereference_null()
    time.sleep(0.02)
    return n * 2


def dereference_null() -> None:
    """A segmentation fault."""
    ctypes.string_at(0)


def hang_at(n: int, victim: int) -> int:
    """Item `victim` never ends, one call further down."""
    if n == victim:
        wait_for_what_never_comes()
    time.sleep(0.02)
    return n * 2


def wait_for_what_never_comes() -> None:
    """Sleeps for an hour."""
    time.sleep(3600)


def die_at_first(path: str, n: int, flaky: int, poison: int) -> int:
    """Item `flaky` kills its worker the first time it is run, item `poison` each time."""
    if n in (flaky, poison):
        mark(path, str(n))
        runs = sum(1 for line in marks(path) if line[1:] == [str(n)])
        if n == poison or runs == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return n * 2


def tick(path: str) -> None:
    """Runs for a minute, and leaves a trace twenty times a second."""
    for _ in range(1200):
        mark(path)
        time.sleep(0.05)


def sleep_long(path: str) -> None:
    """Asleep, as whoever waits for the network is."""
    mark(path, "sleeps")
    time.sleep(3600)


def spin_long(path: str) -> None:
    """In C for hours with the GIL held: no Python code of this process runs any more, no signal handler either."""
    mark(path, "spins")
    sum(range(10**12))


def sleep_or_spin(path: str, n: int, payload: Any) -> None:
    """One of each."""
    (spin_long if n else sleep_long)(path)


# ----------------------------------------------------------------------------------------- what cannot be pickled


class TwoWordsError(ValueError):
    """Pickles, and cannot be rebuilt: its arguments are not those of its constructor."""

    def __init__(self, status: int, url: str) -> None:
        super().__init__(f"status {status} of {url}")


class Guarded:
    """Holds a lock two levels down, so it does not pickle."""

    def __init__(self) -> None:
        self.guards = {"write": threading.Lock()}


def raise_odd(n: int, victim: int) -> int:
    """Item `victim` raises what cannot be rebuilt."""
    if n == victim:
        raise TwoWordsError(404, "/index")
    return n * 2


def return_odd(n: int, victim: int) -> Any:
    """Item `victim` returns what cannot be pickled."""
    return Guarded() if n == victim else n * 2


def ignore(n: int, thing: Any) -> int:
    """Takes whatever it is given."""
    return n * 2


# ------------------------------------------------------------------------------------------------- together, and memory


def meet(folder: str, n: int, count: int, patience: float) -> bool:
    """A barrier: True once `count` tasks have entered it, False when they have not within `patience` seconds."""
    Path(folder, str(n)).touch()
    deadline = time.monotonic() + patience
    while len(os.listdir(folder)) < count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def initializer_that_raises(path: str) -> None:
    """For the start of a worker."""
    mark(path)
    raise ValueError("the model is not there")


def initializer_that_kills(path: str) -> None:
    """For the start of a worker."""
    mark(path)
    os._exit(EXIT_CODE)


_kept: list[bytes] = []


def leak(n: int, megabytes: int) -> tuple[int, int]:
    """A task that leaks; which process it ran in, and how many MB that holds now."""
    _kept.append(os.urandom(1024) * 1024 * megabytes)
    time.sleep(0.3)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return os.getpid(), pages * os.sysconf("SC_PAGESIZE") // 2**20


def hold(started: str, go: str) -> None:
    """Keeps a worker until the file `go` is there."""
    mark(started)
    while not os.path.exists(go):
        time.sleep(0.01)


def meet_in(item: tuple[str, int]) -> bool:
    """`meet` for a map, which has one argument: four, for four seconds."""
    return meet(item[0], item[1], 4, 4.0)
