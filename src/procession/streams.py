"""map and imap: what `Pool.map`, `Pool.imap` and `Pool.imap_unordered` return, and the words they understand.

`map_` is the standard library's map (CPython 3.14): all inputs are taken at the call unless `buffersize` says
otherwise; every item before the first failure comes out; then the error is raised and the iterator ends. A map that
nobody iterates runs all the same.

`imap` is lazy and bounded: see `Stream`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence, Sized
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from procession._native import native
from procession.backends.base import Engine, Function
from procession.backends.unstruck import unstruck
from procession.core.flow import NOTHING
from procession.core.rules import Rules
from procession.on_error import OnError, check_on_error
from procession.pacing import check_rate
from procession.record import record
from procession.replaying import Rerun
from procession.seeing.progress import check_progress
from procession.seeing.sources import Progress
from procession.stream_bounds import Bounds
from procession.stream_course import Course
from procession.stream_outlet import Outlet
from procession.stream_pulling import Puller
from procession.stream_stats import StreamStats, stats_of
from procession.types import Raised

if TYPE_CHECKING:
    from procession.stream_journal import Keeping

R = TypeVar("R", covariant=True)


# -- words ---------------------------------------------------------------------------------------------------------


def check_positive(name: str, value: Any, none: str) -> None:
    """Raise unless `value` is a positive int or None, which means `none`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer or None ({none}), not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, or None ({none}); got {value}")


def check_sticky(value: Any, key: Any) -> None:
    """Raise unless `value` is a bool, and False where there are no keys."""
    if not isinstance(value, bool):
        raise TypeError(f"sticky must be True or False, not {type(value).__name__}; what an item's key is says key=")
    if value and key is None:
        raise ValueError(
            "sticky=True needs key=, a callable that gives an item's key: one key's items go to one worker"
        )


class Results(Iterator[Any], Protocol):
    """What a map returns."""

    def close(self) -> None:
        """Cancel what has not started; iterating then ends."""
        ...


# -- map -----------------------------------------------------------------------------------------------------------


def map_(
    engine: Engine,
    function: Function,
    iterables: Sequence[Any],
    *,
    timeout: float | None = None,
    chunksize: int | None = None,
    buffersize: int | None = None,
    progress: Progress = False,
    rules: Rules | None = None,
) -> Results:
    """`concurrent.futures.Executor.map` of CPython 3.14 over one engine.

    timeout: seconds from now until which results may be waited for, then `TimeoutError`; None = no limit.
    chunksize: items a worker is given at once; None = by measured time. Changes nothing but speed.
    buffersize: items taken in and not yet yielded; None = all are taken in now.
    """
    deadline = None if timeout is None else monotonic() + timeout
    check_positive("chunksize", chunksize, "as measured")
    if buffersize is not None and (isinstance(buffersize, bool) or not isinstance(buffersize, int)):
        raise TypeError("buffersize must be an integer or None")
    if buffersize is not None and buffersize < 1:
        raise ValueError("buffersize must be None or > 0")
    check_progress(progress)
    bounds = Bounds(window=buffersize, chunksize=chunksize)
    course = _kind_of(progress, goes_on=False)(engine, function, iterables, bounds=bounds)
    course.rules = rules
    course.known_as("map", function.name)
    course.watch(progress, total_of(iterables))
    try:
        if buffersize is None:
            course.take_all()
        else:
            course.fill(at_once=True)
            course.flow.window = buffersize + 1  # from now on one is taken in before the next is yielded, as in 3.14
            course.low = buffersize
        course.raise_if_refused()
    except BaseException:
        course.over("raised")
        course.cancel()
        raise
    runs = _runs(course, deadline, lazy=buffersize is not None)
    return _results(runs) if native is None else native.Results(runs)  # the same, in C


def gather(engine: Engine, function: Function, items: Any, rules: Rules | None = None, *, starred: bool) -> list[Any]:
    """Every outcome, in order, when all are there: a result, or a `Raised`. A failure ends nothing; ^C cancels all.

    starred: an item is a tuple of arguments, not the one argument.
    """
    course = Course(engine, function, (items,))
    if starred:
        course.single, course.numbers = False, None
    course.rules, course.kills = rules, True
    course.known_as("map", function.name)
    outcomes: list[Any] = []
    try:
        course.take_all()
        course.raise_if_refused()
        for run in _runs(course, None, lazy=False):
            run.reverse()
            outcomes += run
    except BaseException:
        course.over("raised")
        course.cancel()
        raise
    return outcomes


def _results(runs: Generator[list[Any], None, None]) -> Generator[Any, None, None]:
    """One by one; no reference is kept to what is yielded."""
    try:
        for run in runs:
            while run:
                if run[-1].__class__ is Raised:
                    runs.throw(run.pop().error)
                yield run.pop()
    finally:
        runs.close()


def _runs(course: Course, deadline: float | None, *, lazy: bool) -> Generator[list[Any], None, None]:
    """Outcomes in order, some at a time, the last of them first. Whoever meets a Raised throws its error in here."""
    flow = course.flow
    try:
        while True:
            course.refuse_foreign()
            if course.due:
                course.fill()
            run = course.next_run(lazy)
            if course.keen:
                course.meter.report()
            if run is not None:
                yield run
            elif flow.ended:
                break
            elif not course.bell.sleep(course.stirred, deadline):
                raise TimeoutError
        if course.error is not None:
            raise course.error
        course.over("finished")
    except Exception:
        course.errors += 1
        course.over("raised")
        raise
    finally:
        course.over("closed")
        course.cancel()
        course.meter.close()


def _kind_of(progress: Progress, *, goes_on: bool) -> type[Course]:
    """What is behind a stream whose progress is shown, which may go on after an error; and behind any other."""
    if progress is False:
        return Course
    from procession.watching import CountingCourse, WatchedCourse

    return CountingCourse if goes_on else WatchedCourse


def total_of(iterables: Sequence[Any]) -> int | None:
    """How many items there will be, where that is known without looking."""
    if iterables and all(isinstance(each, Sized) for each in iterables):
        return min(len(each) for each in iterables)
    return None


# -- imap ----------------------------------------------------------------------------------------------------------


@record
class Words:
    """The words of imap, as API.md has them; refused here when they make no sense, naming the word."""

    ordered: bool = True
    window: int | None = None
    buffer_bytes: int | None = None
    spill: bool = False
    key: Callable[..., Hashable] | None = None
    sticky: bool = False
    on_error: OnError = "raise"
    live: bool = False
    chunksize: int | None = None
    rate: float | None = None
    progress: Progress = False
    rules: Rules | None = None
    seed: int | None = None
    rerun: Rerun | None = None
    keeping: Keeping | None = None

    def __post_init__(self) -> None:
        check_positive("window", self.window, "automatic")
        check_positive("chunksize", self.chunksize, "as measured")
        check_positive("buffer_bytes", self.buffer_bytes, "no bound")
        if self.spill and self.buffer_bytes is None:
            raise ValueError("spill=True needs buffer_bytes=, the bytes of results beyond which they go to a file")
        check_on_error(self.on_error)
        check_progress(self.progress)
        if self.key is not None and not callable(self.key):
            raise TypeError(f"key must be a callable that gives an item's key, or None; got {self.key!r}")
        check_sticky(self.sticky, self.key)
        check_rate(self.rate)


def imap(engine: Engine, function: Function, iterables: Sequence[Any], words: Words) -> Stream[Any]:
    """Start a stream and return its iterator.

    The first window is pulled before this returns, unless `live`, where a thread pulls it.
    """
    course = make_course(engine, function, iterables, words)
    stream: Stream[Any] = Stream(course, words.on_error)  # from here on, what is not returned is closed
    start(stream._outlet, words)
    return stream


def start(outlet: Outlet, words: Words) -> None:
    """Have its source pulled."""
    course = outlet.course
    try:
        if course.gate is not None:
            course.gate.begin()
        if words.live:
            unstruck(Puller(course).thread.start)
        else:
            course.fill(at_once=True)
            course.raise_if_refused()
    except BaseException:
        outlet.close()
        raise


def make_course(
    engine: Engine,
    function: Function,
    iterables: Sequence[Any],
    words: Words,
    single: bool | None = None,
    waits: bool = True,
) -> Course:
    """What `words` ask for, nothing pulled yet.

    single: what is fed is not what stands here, and an item of it is one argument, or a tuple of them. waits: see
    `seeing.progress.begin`.
    """
    if not iterables:
        raise TypeError("at least one iterable is needed after the function")
    kind = _kind_of(words.progress, goes_on=True)
    if words.keeping is not None:
        from procession.stream_journal import journalled

        kind = journalled(kind)
    bounds = Bounds(words.window, words.chunksize, words.buffer_bytes, words.spill)
    course = kind(engine, function, iterables, bounds=bounds, ordered=words.ordered, key=words.key)
    if single is not None:
        course.single = single
    if words.keeping is not None:
        words.keeping.open(course, failures=words.on_error != "raise")
    try:
        _prepare(course, words, total_of(iterables) if single is None else None, waits)
    except BaseException:
        course.over("raised")
        raise
    return course


def _prepare(course: Course, words: Words, total: int | None, waits: bool) -> None:
    course.rules, course.kills = words.rules, True
    course.known_as("imap", course.function.name, beside=words.live)
    if words.rate is not None:
        course.keep(words.rate)
    if words.sticky:
        course.stick()
    course.watch(words.progress, total, waits)
    if callable(words.on_error):
        course.args = {}
        course.rerun = words.rerun


class Stream(Iterator[R]):
    """The results of an imap, as they are asked for. Also a context manager, which closes it.

    Any thread may take, several at once too: each result goes to one of them. A thread that runs an event loop may
    take, too, and blocks its loop while it waits; `Pool.aimap` does not.

    `close()` cancels what has not started, ends what runs (worker processes are killed for it, and replaced; threads
    finish, and are forgotten), and closes the source if that is a
    generator or another stream; iterating then ends. With live=False the source is pulled, and closed, in the thread
    that takes or closes; with live=True in a thread of its own. One that is dropped is closed; one that was never
    iterated warns of it (RuntimeWarning), for its work was for nobody.
    """

    __slots__ = ("__weakref__", "_outlet")

    closes_as_source = True

    def __init__(self, course: Course, on_error: OnError) -> None:
        self._outlet = Outlet(course, on_error)

    def __iter__(self) -> Stream[R]:
        return self

    def __next__(self) -> R:
        outlet = self._outlet
        outlet.course.refuse_foreign()
        try:
            while (value := outlet.next()) is NOTHING:
                outlet.course.bell.sleep(outlet.course.stirred)
        except KeyboardInterrupt:
            outlet.course.meter.interrupt()
            raise
        return value  # type: ignore[no-any-return]

    def stats(self) -> StreamStats:
        """Numbers, now, and with `key` which one is the busiest (`hot_key`); after the end all of them are 0."""
        return stats_of(self._outlet.course)

    def close(self) -> None:
        """See the class. May be called again, by any thread."""
        self._outlet.close()

    def __enter__(self) -> Stream[R]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        outlet = getattr(self, "_outlet", None)
        if outlet is not None:
            drop(outlet, self)


def drop(outlet: Outlet, stream: object) -> None:
    """Nobody has the stream any more."""
    if not outlet.touched and not outlet.course.engine.foreign:
        text = f"an imap of {outlet.course.function.name} was never iterated; its work is cancelled"
        warnings.warn(text, RuntimeWarning, stacklevel=3, source=stream)
    outlet.drop()
