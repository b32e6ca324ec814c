"""Asking worker processes for their Python stacks, so that none comes to harm; see `worker.showing`.

Laws
1. Only a worker that is known to handle a signal gets it: others would die of it. None does that is being killed: the
   report of its end is written to the same place.
2. A signal is sent by the driver's thread, which knows that the process is still there. The answers are awaited by who
   asked, and tasks go on meanwhile.
3. SHOW is answered by Python code. Who has got it, and does not answer within PATIENCE while it sleeps in the kernel or
   has been on a CPU for TICKS, is in C code: it gets SHOW_IN_C. One that is stopped, or gets no CPU, has not got SHOW.
4. It is over after SHOWN, or when those that are missing cannot answer. Why it is missing is said, where it is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from procession.backends import forksafe
from procession.backends.dumping import Sheet
from procession.backends.stacks import trimmed, without_idle
from procession.transport import page
from procession.worker import showing

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from procession.backends.ends import Ends
    from procession.backends.launch import Launcher

SHOWN = 1.0
"""Seconds in which a worker that is well has answered."""
PATIENCE = 0.1
POLL = 0.002
TICKS = 2
"""Of a hundredth of a second each: more than any step of the interpreter takes, if it is not in C code."""

_MARK = f"{showing.MARK}\n"
_SILENT = {"T": "no stack: the process is stopped", "t": "no stack: a debugger holds the process", "Z": "it has ended"}


class Host(Protocol):
    """Who holds worker processes."""

    @property
    def pids(self) -> Mapping[int, int]: ...
    @property
    def channels(self) -> Mapping[int, Ends]: ...
    @property
    def launcher(self) -> Launcher | None: ...
    @property
    def killed(self) -> Set[int]: ...


class Asked:
    """A worker that may have been asked; `fd`, if it was: a descriptor of our own for the file that it answers in."""

    __slots__ = ("fd", "in_c", "line", "pid", "text", "ticks", "wid")

    def __init__(self, wid: int, line: str, pid: int | None) -> None:
        self.wid = wid
        self.line = line
        self.pid = pid
        self.fd: int | None = None
        self.text = ""
        self.ticks: int | None = None  # of CPU time, when it was first seen to have got SHOW
        self.in_c = False  # it has been sent SHOW_IN_C


def ask(driver: Host, wid: int, line: str) -> Asked:
    """By the driver's thread: ask this worker, if it may be asked."""
    pid, channel, launcher = driver.pids.get(wid), driver.channels.get(wid), driver.launcher
    asked = Asked(wid, line, pid)
    if channel is None or launcher is None or wid in driver.killed or not _Mask(pid, showing.SHOW).handled:
        return asked
    channel.rewind()
    asked.fd = forksafe.duplicate(channel.page_fd)
    launcher.kill(wid, showing.SHOW)
    return asked


def show_in_c(driver: Host, stuck: Iterable[Asked]) -> None:
    """By the driver's thread: these are in C code."""
    for each in stuck:
        there = each.pid is not None and driver.pids.get(each.wid) == each.pid and each.wid not in driver.killed
        if there and driver.launcher is not None and _Mask(each.pid, showing.SHOW_IN_C).handled:
            driver.launcher.kill(each.wid, showing.SHOW_IN_C)


def await_stacks(asked: list[Asked], tell: Callable[[list[Asked]], object]) -> list[Sheet]:
    """What they have answered, in their order; `tell` has `show_in_c` done. Closes the descriptors."""
    waiting = [each for each in asked if each.fd is not None]
    began = now = monotonic()
    try:
        while waiting and now < began + SHOWN:
            waiting = [each for each in waiting if not _answered(each)]
            if now > began + PATIENCE:
                waiting = [each for each in waiting if _main_thread(each.pid)[0] not in _SILENT]
                stuck = [each for each in waiting if not each.in_c and _is_in_c(each)]
                for each in stuck:
                    each.in_c = True
                if stuck:
                    tell(stuck)
            if waiting:
                time.sleep(POLL)
            now = monotonic()
    finally:
        close(asked)
    return [Sheet(each.line, _shown(each)) for each in asked]


def close(asked: Iterable[Asked]) -> None:
    """Nobody waits for these."""
    for each in asked:
        if each.fd is not None:
            forksafe.close(each.fd)


def claimed(claims: list[None]) -> bool:
    """Of two who call it with a list of one, the first: who asks, and has waited for long enough, or who answers."""
    try:
        claims.pop()
    except IndexError:
        return False
    return True


def _answered(each: Asked) -> bool:
    before, each.text = each.text, "" if each.fd is None else page.stacks(each.fd)
    if each.text.endswith(_MARK):
        return True
    return each.in_c and each.text != "" and each.text == before and not _Mask(each.pid, showing.SHOW_IN_C).on_its_way


def _is_in_c(each: Asked) -> bool:
    """Law 3."""
    if _Mask(each.pid, showing.SHOW).on_its_way:
        return False
    state, ticks = _main_thread(each.pid)
    if each.ticks is None:
        each.ticks = ticks
    return state in ("S", "D") or ticks - each.ticks >= TICKS


def _shown(each: Asked) -> str:
    answer, mark, _ = each.text.partition(_MARK)
    stack = without_idle(trimmed(answer))
    if mark or not each.in_c:
        return stack if mark else _why_silent(each)
    if not stack:
        return "in C code"
    said = stack.replace("Stack (most", "Main thread, in C code (most", 1)
    return f"{said}(what other threads do cannot be seen meanwhile)" if _Mask(each.pid, 1).threads > 1 else said


def _why_silent(each: Asked) -> str:
    if each.fd is None:
        return ""
    return _SILENT.get(_main_thread(each.pid)[0], "no stack: the process has not answered")


def _main_thread(pid: int | None) -> tuple[str, int]:
    """Its state, as proc(5) has it, and the hundredths of a second that it has been on a CPU."""
    try:
        with open(f"/proc/{pid}/task/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return fields[0], int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return "", 0


class _Mask:
    """What a process does about a signal."""

    def __init__(self, pid: int | None, signum: int) -> None:
        self.threads = 0
        found = {"SigCgt": 0, "SigBlk": 0, "ShdPnd": 0, "SigPnd": 0}
        try:
            with open(f"/proc/{pid}/status") as file:
                for line in file:
                    name, _, value = line.partition(":")
                    if name in found:
                        found[name] = int(value, 16) >> (signum - 1) & 1
                    elif name == "Threads":
                        self.threads = int(value)
        except (OSError, ValueError):
            pass  # gone, or not Linux
        self.handled = bool(found["SigCgt"])
        self.on_its_way = bool(found["SigBlk"] or found["ShdPnd"] or found["SigPnd"])
        """The main thread has not come to its handler, or is in it."""
