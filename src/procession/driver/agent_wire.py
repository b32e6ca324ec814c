"""What travels between a driver and the agents of its workers on a cluster: what an agent is made of, and its reports.

Everything here is plain data, which any cluster can carry.
"""

from __future__ import annotations

import pickle
from typing import Any

from procession.lean import NamedTuple

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import NamedTuple

Entry = tuple[Any, ...]
"""(OUTPUT, 1 or 2, bytes), (NOTED, bytes), (BEGAN, pid, host), (SAID, kind of frame, payload), (PAGE, generation, mode,
outcomes), (FAILED, pickled error, again), (GONE, End)."""

OUTPUT, NOTED, SAID, PAGE, FAILED, GONE, BEGAN = range(7)


class Report(NamedTuple):
    """What there is to be told since the last report.

    Those of one agent are taken in the order of their numbers, whatever way and when each of them comes.
    """

    number: int
    entries: list[Entry]
    back: int = -1
    """The answer to `withdraw`: so many tokens were read back."""
    come: int = 0
    """The latest lease that had come by then."""


class End(NamedTuple):
    """What is known of a worker process that is gone."""

    pid: int
    exitcode: int | None
    peak_rss: int | None
    unowned: int
    """Tokens that it has not taken."""
    stack: str
    written: Any
    """A `Captured`, of the task that it ran; None: that was not captured."""
    oom: bool | None


class Setting(NamedTuple):
    """What the program that hands work over is like; its workers are to be like it, where they can."""

    path: list[str]
    argv: list[str]
    cwd: str | None
    """Taken over where there is such a directory."""
    environment: dict[str, str]
    """Set in the workers, beside what the cluster's own have."""
    preload: tuple[str, ...]
    boards: bytes
    """The levels of its loggers and its filters of warnings (transport/boards.py)."""


def pickled(error: BaseException) -> bytes:
    """Why a worker did not start, for `FAILED`."""
    try:
        return pickle.dumps(error)
    except Exception:
        return pickle.dumps(OSError(f"{type(error).__name__}: {error}"))


def unpickled(error: bytes) -> BaseException:
    """The same, on the other side."""
    try:
        found: BaseException = pickle.loads(error)
        return found
    except Exception as ours:
        return RuntimeError(f"it did not start, and why cannot be shown here: {ours}")


__all__ = [
    "BEGAN",
    "FAILED",
    "GONE",
    "NOTED",
    "OUTPUT",
    "PAGE",
    "SAID",
    "End",
    "Entry",
    "Report",
    "Setting",
    "pickled",
    "unpickled",
]
