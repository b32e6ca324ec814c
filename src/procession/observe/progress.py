"""Progress of a stream: items completed, of how many, told to a callable or drawn as a bar of rich.

`progress=` is False, a callable `progress(done, total)` (items that have an outcome; how many there will be, or None),
or True: a bar on stderr, which stays quiet where stderr is no terminal. The bar needs the package rich, an extra.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

Progress = bool | Callable[[int, int | None], object]

REDRAW = 0.05
"""Seconds between two movements of the bar, at least."""


def check_progress(value: Any) -> None:
    """Raise unless `value` is a bool or a callable; ImportError when the bar cannot be drawn."""
    if value is True:
        _rich()
    elif value is not False and not callable(value):
        raise ValueError(f"progress must be True, False or a callable progress(done, total); got {value!r}")


class Meter:
    """What a stream reports to; false when nobody listens."""

    __slots__ = ("_bar", "_call", "done", "total")

    def __init__(self, progress: Progress, total: int | None = None, label: str = "") -> None:
        self.done = 0
        self.total = total
        self._bar: Bar | None = None
        self._call: Callable[[int, int | None], object] | None = None
        if progress is True:
            self._bar = Bar(label)
            self._call = self._bar.move
        elif progress is not False:
            self._call = progress

    def __bool__(self) -> bool:
        return self._call is not None

    def report(self, done: int) -> None:
        """So many are completed; nothing is told that was told before."""
        if done != self.done and self._call is not None:
            self.done = done
            self._call(done, self.total)

    def close(self) -> None:
        """No more will come."""
        if self._bar is not None:
            self._bar.close()


class Bar:
    """A bar of rich on stderr, made with the first movement; none where stderr is no terminal."""

    def __init__(self, label: str = "") -> None:
        _rich()
        self._label = label
        self._bar: Any = None
        self._task: Any = None
        self._drawn = 0.0
        self._last: tuple[int, int | None] = (0, None)
        self._closed = not (sys.stderr is not None and sys.stderr.isatty())

    def move(self, done: int, total: int | None) -> None:
        """Show `done` of `total`."""
        if self._closed:
            return
        self._last = (done, total)
        now = monotonic()
        if now - self._drawn < REDRAW and done != total:
            return
        self._drawn = now
        if self._bar is None:
            self._bar = self._make()
            self._task = self._bar.add_task(self._label, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._closed:
            return
        self._closed = True
        if self._bar is not None:
            done, total = self._last
            self._bar.update(self._task, completed=done, total=total if total is not None else done)
            self._bar.stop()

    @staticmethod
    def _make() -> Any:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        return Progress(*columns, *times, console=Console(stderr=True), transient=False)


def _rich() -> None:
    """Raise ImportError, naming the extra, where rich is missing."""
    try:
        import rich.progress  # noqa: F401
    except ImportError as error:
        text = "progress=True draws with the package rich, which is not installed: pip install procession[progress]"
        raise ImportError(text, name="rich") from error
