"""What faulthandler has written about a process that died or hung: its stacks as text, read without trust.

A dump is whatever a dying process got out: it may be cut off anywhere, hold several dumps, or be no dump at all.
Nothing here raises, and a line that is not understood stays where it is.

    Fatal Python error: Segmentation fault
    <empty>
    Thread 0x00007f3a1b7fe640 (most recent call first):
      File "/usr/lib/python3.11/threading.py", line 324 in wait
    <empty>
    Current thread 0x00007f3a2c1d5740 (most recent call first):
      File "job.py", line 3 in inner                                  of the task
      File "job.py", line 7 in task                                   of the task
      File ".../procession/worker/loop.py", line 230 in invoke        ours
      ...
      File ".../procession/worker/boot.py", line 95 in from_zygote    the entry: a worker begins here
      File ".../procession/worker/zygote.py", line 323 in _become     how the worker came to be
      File "<string>", line 1 in <module>                             how the worker came to be
    <empty>
    Extension modules: numpy.core._multiarray_umath (total: 1)

A forked worker has the stack of its parent behind its entry, the user's own `pool.submit(...)` among it. That runs
elsewhere: it is how the worker came to be, as the zygote's frames are.

Sources: what CPython 3.11 to 3.13 writes, and for 3.14 the documentation of faulthandler and Python/traceback.c.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from types import TracebackType

from procession.lean import NamedTuple

_CRASH = "Fatal Python error: "
# Texts, which re compiles when they are first used: a driver that is never asked for stacks need not wait for that.
_HEADER = r"(?:(Current thread|Thread) 0x([0-9a-fA-F]+)|Stack \(most recent call first\):)"
_FRAME = r'  File (?:"(.*)"|\?\?\?), line (\d+|\?\?\?) in (.*)'
_OURS = r"(?:^|[/\\])procession[/\\]worker[/\\][^/\\]+$"
_ENTRY = r"(?:^|[/\\])procession[/\\]worker[/\\]boot\.py$"
_ENTRIES = ("from_zygote", "from_mp")
_WAITS = r'  File ".*[/\\]procession[/\\]transport[/\\]frames\.py", line \d+ in read$'
_LAUNCH = r"(?:^|[/\\])multiprocessing[/\\](?:process|context|spawn|forkserver|popen_[a-z0-9_]+)\.py$|^<string>$"


_RUNNERS = (
    *("procession.backends.threads", "procession.backends.inline_calls", "procession.driver.callbacks"),
    *("procession.backends.inline", "procession.backends.apart", "procession.worker.surroundings"),
)
"""The modules of ours that call what users have given; what is behind such a call in a stack is ours as well."""


class _Frame(NamedTuple):
    """One line `File "...", line N in f`; `row` is that of the line in the dump."""

    row: int
    file: str
    line: str
    function: str


class _Stack(NamedTuple):
    """What is below one header, innermost frame first."""

    current: bool
    thread: str
    """Hexadecimal, as the header has it; "" where it names none."""
    frames: list[_Frame]


def trimmed(text: str) -> str:
    """The dump without the frames by which procession runs a task; all else stays, the headers of threads too.

    What goes is the outer end of a stack only: the worker's own frames, and what is behind them. A frame of ours that
    has a frame of the user's behind it stays. Where the entry of the worker is missing, since the dump was cut off or a
    deep stack was truncated, what is known at the outer end goes: frames of the worker, and behind them those of
    multiprocessing and of a `-c` command.
    """
    lines = _lines(text)
    gone = {frame.row for stack in _stacks(lines) for frame in [*_machinery(stack.frames), *_handler(stack.frames)]}
    return "".join(line for index, line in enumerate(lines) if index not in gone)


def current_frames(text: str) -> list[str]:
    """The frames of the current thread, innermost first, as `file.py:LINE in func`; the file as the dump names it.

    Of several dumps the last one counts. Where no thread is said to be the current one (a timeout), the only one
    counts; empty when there are several, or when the thread has no frames.
    """
    stacks = list(_stacks(_lines(text)))
    found = [stack for stack in stacks if stack.current]
    if not found and len({stack.thread for stack in stacks}) == 1:
        found = stacks
    return [f"{each.file}:{each.line} in {each.function}" for each in found[-1].frames] if found else []


def crash(text: str) -> str:
    """What was written at the end of a process, if it crashed; a dump that somebody had asked for before goes."""
    start = text.rfind(_CRASH)
    return text[start:] if start >= 0 else ""


def last_words(text: str, told: bool) -> str:
    """What a process that has ended has written of its stacks; `told`: it was told to show them and die."""
    return trimmed(text if told else crash(text)).strip("\n")


def without_idle(text: str) -> str:
    """The trimmed dump without empty lines, and without threads that have no frames or wait for work."""
    lines = [line for line in _lines(text) if line != "\n" and not re.match(_WAITS, line)]
    return "".join(
        line for line, following in pairwise([*lines, ""]) if not re.match(_HEADER, line) or following.startswith("  ")
    )


def stack_of(ident: int) -> str:
    """The stack of a thread of this process, in the form in which faulthandler shows those of a worker process.

    Only what it does for users: nothing when it waits for work.
    """
    frame = sys._current_frames().get(ident)
    lines = []
    while frame is not None and frame.f_globals.get("__name__") not in _RUNNERS:
        code = frame.f_code
        lines.append(f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}')
        frame = frame.f_back
    return "\n".join([f"Thread 0x{ident:016x} (most recent call first):", *lines])


def _lines(text: str) -> list[str]:
    """The lines with their ends; unlike str.splitlines this knows no end but the one that faulthandler writes."""
    return re.findall(r"[^\n]*\n|[^\n]+$", text)


def _stacks(lines: list[str]) -> Iterator[_Stack]:
    """Each thread of each dump. Its lines are those below its header that are indented."""
    stack: _Stack | None = None
    for index, line in enumerate(lines):
        if header := re.match(_HEADER, line):
            if stack is not None:
                yield stack
            stack = _Stack(header[1] != "Thread", header[2] or "", [])
        elif not line.startswith("  "):
            if stack is not None:
                yield stack
            stack = None
        elif stack is not None and (frame := re.match(_FRAME, line)):
            stack.frames.append(_Frame(index, frame[1] or "???", frame[2], frame[3].rstrip()))
    if stack is not None:
        yield stack


def _handler(frames: list[_Frame]) -> list[_Frame]:
    """The frame that has written the dump, if it was written by Python code; see `worker.showing`."""
    return [each for each in frames[:1] if each.function == "show_stacks" and re.search(_OURS, each.file)]


def _machinery(frames: list[_Frame]) -> list[_Frame]:
    """The outer end of a stack, as far as it is ours.

    The innermost entry counts: a task that has a pool of forked workers is behind the entry of such a worker.
    """
    entries = (
        index
        for index, each in enumerate(frames)
        if each.function in _ENTRIES and re.search(_ENTRY, each.file) is not None
    )
    start = next(entries, None)
    if start is None:
        start = len(frames)
        while start and re.search(_LAUNCH, frames[start - 1].file):
            start -= 1
        if not (start and re.search(_OURS, frames[start - 1].file)):
            return []
    while start and re.search(_OURS, frames[start - 1].file):
        start -= 1
    return frames[start:]


def without_ours(trace: TracebackType | None) -> TracebackType | None:
    """The traceback of what a task has raised in this process, from its own first frame on.

    Our frame lives on, and would keep alive what it refers to. What was raised in ours alone keeps the rest of them.
    """
    rest = trace
    while rest is not None and rest.tb_frame.f_globals.get("__name__", "").startswith("procession."):
        rest = rest.tb_next
    return rest if rest is not None or trace is None else trace.tb_next
