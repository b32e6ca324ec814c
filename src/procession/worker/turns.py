"""Generators that live in a worker, and the turns by which they are driven (core/turns.py).

Laws
1. What is yielded is published at once, by whoever drives the turn, before the generator is asked for more, and before
   the turn's outcome is published. So a death costs nothing that was yielded.
2. A turn ends when its credit is used, when the generator has ended or raised, or behind a yield, once it has taken
   longer than its time: so no turn takes longer than that and one `next`.
3. A task that is asked to end (`asked.cancelled`) closes the generator at its next yield, in its own thread, and ends
   with CancelledError. So `finally` blocks run.
4. A generator that is alive when its worker ends in order is closed there, before the teardown of the setup. (Where it
   lives in this process: backends/scripts.py, `end_plays`.)
5. Nothing of the call is kept here once the generator has been made: what it needs of its arguments, it has.
6. All of a generator runs in one context, which is that of its first turn (surroundings.py): what it has set it finds
   again at its next turn, and what it sets nobody else sees.
7. As elsewhere, a process that a task has forked writes nothing and ends where it comes back.
"""

from __future__ import annotations

from _collections_abc import Generator
from _contextvars import copy_context
from concurrent.futures import CancelledError
from marshal import dumps as marshal_dumps
from time import perf_counter_ns

from procession.core.turns import CUT, ENDED, USED
from procession.transport import frames, page
from procession.transport.aside import LEAST
from procession.worker import asked, boot, loop

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


CLOSED = "(raised as its stream was closed)"


class Play:
    """One generator, and how far it is."""

    __slots__ = ("_context", "_first", "_iterator", "_next", "place")

    def __init__(self, fn: Callable[..., Any], args: Any, kwargs: Any, first: int) -> None:
        """Call `fn`. What it yields before place `first` is not published. Raises what it raises, and TypeError."""
        self._iterator = iterator_of(fn, fn(*args, **kwargs))
        self._context = copy_context()
        self._next = self._iterator.__next__
        self._first = first
        self.place = 0

    def turn(self, until: int, time_ns: int, publish: Callable[[int, Any], None]) -> int:
        """Drive it up to place `until`; returns what that came to. After an error it is over."""
        return self._context.run(self._turn, until, time_ns, publish)

    def _turn(self, until: int, time_ns: int, publish: Callable[[int, Any], None]) -> int:
        began = perf_counter_ns()
        while self.place < until:
            try:
                value = self._next()
            except StopIteration:
                return ENDED
            if boot.forked:
                raise SystemExit(0)
            place = self.place
            if place >= self._first:
                try:
                    publish(place, value)
                except BaseException:
                    self._close()
                    raise
            del value
            self.place = place + 1
            if asked.cancelled():
                self._close()
                raise CancelledError("the stream was asked to end")
            if perf_counter_ns() - began >= time_ns and self.place < until:
                return CUT
        return USED

    def close(self) -> None:
        """GeneratorExit, if it is a generator. Raises what comes of that, with a note that says so."""
        self._context.run(self._close)

    def _close(self) -> None:
        if isinstance(self._iterator, Generator):
            try:
                self._iterator.close()
            except BaseException as error:
                error.add_note(CLOSED)
                raise


def iterator_of(fn: Any, made: Any) -> Iterator[Any]:
    """What iterates over the result of a call. Raises TypeError, saying what would be right."""
    kind = type(made)
    if hasattr(kind, "__iter__") or hasattr(kind, "__getitem__"):
        return iter(made)
    if hasattr(made, "close") and hasattr(kind, "__await__"):
        made.close()  # else it warns that it was never awaited
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    right = "stream() takes a generator function, or any other that returns an iterable"
    if hasattr(kind, "__aiter__") or hasattr(kind, "__await__"):
        right += "; asynchronous ones are not driven"
    raise TypeError(f"{name} returned {kind.__name__}, which cannot be iterated over: {right}")


# ------------------------------------------------------------------------------------------------- in a worker process

_plays: dict[int, Play] = {}
_inherited: list[dict[int, Play]] = []
"""What a fork has brought along: nobody's here, and kept, since to let go of a generator is to close it."""


def begin(number: int, first: int, until: int, time_ns: int, call: bytes) -> int:
    """The first turn of stream `number`: make its generator, and drive it."""
    _plays[number] = _made(call, first)
    return go_on(number, until, time_ns)


def go_on(number: int, until: int, time_ns: int) -> int:
    """A further turn. It comes to the worker in which the generator lives, and to no other (core/homes.py)."""
    play = _plays.pop(number)
    came_to = play.turn(until, time_ns, _Publisher(number))
    if came_to:
        _plays[number] = play
    return came_to


def end(number: int) -> int:
    """The generator is not wanted any more."""
    play = _plays.pop(number, None)
    if play is not None:
        play.close()
    return ENDED


def inherit() -> None:
    """This process is a new worker. What lives in the one that it was forked from is not its own."""
    global _plays
    _inherited.append(_plays)
    _plays = {}


def end_all() -> None:
    """Close what is alive, as this worker ends. Raises the first error of these."""
    errors = []
    while _plays:
        try:
            _plays.popitem()[1].close()
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _made(call: bytes, first: int) -> Play:
    assert loop.serving is not None
    fn, args, kwargs = loop.serving.table.decode_call(call)
    return Play(fn, args, kwargs, first)


class _Publisher:
    """Writes values of one stream into the result pipe of this process."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, place: int, value: Any) -> None:
        worker = loop.serving
        assert worker is not None
        kind = type(value)
        if kind in loop.PLAIN and not (kind in loop.TEXTS and len(value) >= LEAST):
            how, data = page.MARSHALLED, marshal_dumps(value)
        else:
            how, data = page.VALUE, worker.table.encode_result(value)
        head = frames.YIELD_HEAD.pack(self._number, place, how)
        frames.write_all(worker.results, frames.frame(frames.YIELD, head + data))


__all__ = ["CLOSED", "Play", "begin", "end", "end_all", "go_on", "iterator_of"]
