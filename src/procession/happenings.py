"""What engines tell a tap (`tapping.py`): facts about tasks and workers, many at once where they come at once.

Times are nanoseconds of CLOCK_MONOTONIC, 0 where it is not known. Nothing here refers to a task, its arguments or its
result: whoever keeps these keeps no memory of the program's, but for errors, which are to be made texts soon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TYPE_CHECKING = False  # see `lean`
if not TYPE_CHECKING:
    from procession.lean import NamedTuple
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    Why = BaseException | tuple[str, str, str] | None
    """What was raised; or its class, its text and a stack; or nothing."""

OK, ERROR, DIED, TIMEOUT, MEMORY, CANCELLED, RUNNING = range(7)
"""What a run came to; see `seeing.recording.OUTCOMES`."""


class Note(NamedTuple):
    """What was found when arguments were encoded."""

    ns: int
    size: int
    """Bytes, as they travel, those in shared memory too."""
    print: int
    """Of large ones: the same number for what is the same once more; 0: it is not large, or new."""


class Ran(NamedTuple):
    """Runs of consecutive items on one worker. What is an int stands for all of them."""

    engine: int
    wid: int
    items: int
    function: str | Sequence[str]
    stream: int | Sequence[int]
    place: int | Sequence[int]
    """The first one's place in the stream, and the others follow; or the place of each."""
    attempt: int | Sequence[int]
    queued: int | Sequence[int]
    sent: Sequence[tuple[int, int]]
    """So many of them, sent then; and so on."""
    notes: Sequence[Note | None]
    """Of each, if anything was noted of any."""
    times: Any
    """`transport.timesheet.Columns`, or something like it; None: nothing is known."""
    done: int
    failed: Sequence[tuple[int, int, Why]]
    """Which of them did not come to a value, what they came to, and why."""


class Rows(NamedTuple):
    """Runs on one worker, one by one, as threads tell them; each is (function, stream, index, attempt, queued, started,
    ended, what it came to, why)."""

    engine: int
    wid: int
    rows: Sequence[tuple[str, int, int, int, int, int, int, int, Why]]


class Dropped(NamedTuple):
    """So many runs are not told of, since nobody took them in time."""

    items: int


class Streamed(NamedTuple):
    """A stream of items has begun, which has this number from now on."""

    number: int
    kind: str
    """"map", "imap", "SpinOff", "pipeline"."""
    name: str
    engine: int
    """-1: it has many."""


class Stood(NamedTuple):
    """How a stream stands: told when it ends, and to whoever asks before (`tapping.Streaming.stood`)."""

    number: int
    began: int
    ended: int
    """0: it goes on."""
    how: str
    """"finished"; "raised": an error came out of it; "closed", by who takes; "cancelled"; "dropped": nobody had it any
    more."""
    window: int
    """Items that it took in at a time, at most so far; 0: no bound."""
    spent: Mapping[int, Mapping[str, int]]
    """By engine: what its time went into, in ns so far, by the names of `stream_clocks.SPENT`."""


class Missed(NamedTuple):
    """Items in a row that never ran: cancelled, or too late, or the pool was lost."""

    engine: int
    items: int
    function: str
    stream: int
    place: int
    attempt: int
    queued: int
    done: int
    outcome: int
    why: Why


class Opened(NamedTuple):
    """This engine tells from now on; the first that is heard of it."""

    engine: int
    backend: str
    width: int
    now: int
    role: tuple[str, str]
    """See `tapping.Tapped.role`."""


class Closed(NamedTuple):
    """This engine has come to its end, and tells nothing more."""

    engine: int
    now: int


class Began(NamedTuple):
    """A worker is ready."""

    engine: int
    wid: int
    pid: int
    now: int


class Gone(NamedTuple):
    """A worker is no more; `how`: if not in order."""

    engine: int
    wid: int
    now: int
    how: str


__all__ = [
    "CANCELLED",
    "DIED",
    "ERROR",
    "MEMORY",
    "OK",
    "RUNNING",
    "TIMEOUT",
    "Began",
    "Closed",
    "Dropped",
    "Gone",
    "Missed",
    "Note",
    "Opened",
    "Ran",
    "Rows",
    "Stood",
    "Streamed",
]
