"""Progress of a stream: how many items are completed, of how many, shown to people or told to code.

`progress=` is False; True: a bar on a terminal, a line in a notebook, nothing elsewhere (`choosing.py`); a class like
tqdm's, what makes one, or one that is made; or a callable `progress(done, total)`.

Laws
1. The work only counts, as it does without: `painter.py` has a thread that looks at these numbers some times a second,
   and nothing is done for an item. Where there is nobody who looks, nothing is looked at.
2. A callable is called by whoever takes results, as any code of the user that a stream calls: the painter only raises
   the flag `keen` of its source, and wakes who sleeps there. So it is called once in `painter.TICK` seconds at most;
   and always with the last number, unless the stream is dropped.
3. What shows or is told never breaks the work: what raises is switched off, and said once. It is no exception of the
   user's work either, only what is none (Ctrl-C) comes out.
4. The last look is taken before the numbers go (`freeze`), by whoever ends the stream. He waits for the last line,
   at most `painter.PATIENCE`, unless he may not wait.
"""

from __future__ import annotations

import logging
import weakref
from _thread import allocate_lock
from collections.abc import Callable
from functools import partial

from procession.lean import cast
from procession.seeing.sources import Progress

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

    from procession.seeing.painter import Watcher
    from procession.seeing.sources import Say, Source, Tqdm


def check_progress(value: Any) -> None:
    """Raise ValueError unless `value` is what `progress=` may be; ImportError when its bar cannot be drawn; TypeError
    for an async callable."""
    if value is True:
        from procession.seeing import choosing

        choosing.check()
    elif value is False:
        return
    elif not callable(value) and not is_tqdm(value):
        text = "progress must be True, False, a callable progress(done, total), or like tqdm (update, close and total)"
        raise ValueError(f"{text}; got {value!r}")
    elif is_async(value):
        text = "progress must be a plain callable progress(done, total): what an async one returns nobody awaits"
        raise TypeError(f"{text}; got {value!r}")


def is_async(value: Any) -> bool:
    """Whether calling it gives a coroutine, or an async generator."""
    from inspect import isasyncgenfunction, iscoroutinefunction

    while isinstance(value, partial):
        value = value.func
    both = value, type(value).__call__ if callable(value) else None
    return any(test(each) for test in (iscoroutinefunction, isasyncgenfunction) for each in both)


def is_tqdm(value: Any) -> bool:
    """Whether it is a bar like tqdm's, by what it has; what pretends to have anything, as a mock does, is none."""
    if isinstance(value, type) or not all(hasattr(value, each) for each in ("update", "close", "total")):
        return False
    return value.total is None or isinstance(value.total, int | float)


def makes_tqdm(value: Any) -> bool:
    """Whether calling it gives such a bar: a class that has its methods, or a `functools.partial` of one."""
    while isinstance(value, partial):
        value = value.func
    return isinstance(value, type) and all(callable(getattr(value, each, None)) for each in ("update", "close"))


def begin(progress: Progress, source: Source, label: str, say: Say, *, waits: bool = True) -> Meter:
    """What shows, or tells, the progress of `source`, which holds it. `waits`: who ends it may wait for the last line.

    Raises what the making of a bar raises that is not ours.
    """
    if progress is False:
        return OFF
    from procession.seeing import painter

    watcher: Watcher
    if progress is True:
        from procession.seeing import choosing

        display = choosing.current()
        if display is None:
            return OFF
        watcher = painter.Bar(source, label, display, say)
    elif is_tqdm(progress):
        watcher = painter.Foreign(source, cast("Tqdm", progress), say)
    elif makes_tqdm(progress):
        watcher = painter.Foreign(source, cast("Callable[..., Tqdm]", progress)(total=source.count()[1]), say)
    else:
        told = Told(source, progress, say)  # type: ignore[arg-type]
        painter.watch(painter.Flag(source, told, say))
        return told
    painter.watch(watcher)
    return Shown(watcher, painter.end, waits)


class Meter:
    """What a stream reports to; this one does nothing, and is false."""

    __slots__ = ("__weakref__",)

    def __bool__(self) -> bool:
        return False

    def report(self) -> None:
        """`keen` was set: tell what there is to tell."""

    def freeze(self) -> None:
        """The numbers go; what they are now is the last."""

    def close(self) -> None:
        """The stream has ended, or nobody goes on with it; may be called again. What there is to tell is told."""

    def interrupt(self) -> None:
        """^C has struck who took: he may never come back, and what is shown is left."""

    def drop(self) -> None:
        """Nobody has it any more, in whatever thread that is noticed: nothing is told, nobody waits."""


OFF = Meter()


class Told(Meter):
    """A callable."""

    __slots__ = ("_busy", "_call", "_last", "_say", "_source", "_told", "over")

    def __init__(self, source: Source, call: Callable[[int, int | None], object], say: Say) -> None:
        self._source = weakref.ref(source)
        self._call: Callable[[int, int | None], object] | None = call
        self._say = say
        self._told = 0
        self._busy = allocate_lock()  # one thread tells at a time; nobody waits for it
        self._last: tuple[int, int | None, bool] | None = None
        self.over = False

    def __bool__(self) -> bool:
        return True

    @property
    def lags(self) -> bool:
        """There is something to tell."""
        source = self._source()
        return source is not None and self._call is not None and source.count()[0] > self._told

    def report(self) -> None:
        """See `Meter`; in the thread that takes."""
        source = self._source()
        if source is not None:
            source.keen = False
            self._tell(self._last or source.count())

    def freeze(self) -> None:
        """See `Meter`."""
        source = self._source()
        if source is not None and self._last is None:
            self._last = source.count()

    def close(self) -> None:
        """See `Meter`."""
        self.freeze()
        self.over = True
        if self._last is not None:
            if not self._last[0] + self._told:
                self._told = -1  # nothing is a number, too
            self._tell(self._last)

    def drop(self) -> None:
        """See `Meter`."""
        self.over, self._call = True, None

    def _tell(self, now: tuple[int, int | None, bool]) -> None:
        while (call := self._call) is not None and now[0] > self._told and self._busy.acquire(blocking=False):
            self._told = now[0]
            try:
                call(now[0], now[1])
            except Exception as error:
                self._call = None
                self._say(logging.ERROR, "progress=%r has raised, and is not called any more", call, error=error)
            finally:
                self._busy.release()
            now = self._last or now  # whoever ended it meanwhile has left it to us


class Shown(Meter):
    """What the painter looks at by itself."""

    __slots__ = ("_end", "_waits", "_watcher")

    def __init__(self, watcher: Watcher, end: Callable[[Watcher, bool], None], waits: bool) -> None:
        self._watcher = watcher
        self._end = end
        self._waits = waits

    def __bool__(self) -> bool:
        return True

    def freeze(self) -> None:
        """See `Meter`."""
        self._watcher.freeze()

    def close(self) -> None:
        """See `Meter`."""
        self._watcher.freeze()
        self._end(self._watcher, self._waits)

    interrupt = close

    def drop(self) -> None:
        """See `Meter`."""
        self._watcher.freeze()
        self._end(self._watcher, False)
