"""Where a pipeline's items come from: pulled by takers, by a thread of its own, or fed by a coroutine.

Laws
1. Items go from the source to `_fresh` in one call of C, and from there to `pulled` in one step of the interpreter. So
   a signal that raises loses none: the next pull finds what the struck one had got. Whoever sees `exhausted` finds in
   `pulled` all that came before the end.
2. An error of the source ends it behind the items that came before; what is no `Exception` (Ctrl-C), or was not the
   source's since that has given all it was asked for, comes out at once.
3. One thread pulls at a time, and who pulls closes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from time import perf_counter_ns
from typing import Any

from procession.backends.joinable import JoinableThread
from procession.stream_course import QUICK_NS
from procession.stream_pulling import at_hand, close_if_ours
from procession.waiting import Bell

BLOCK = 64
"""Items that a taker pulls at once, at most; one at a time where the source is slow."""


class Source:
    """An iterator, what was pulled from it, and how it ended."""

    def __init__(self, items: Iterator[Any]) -> None:
        self.pulled: deque[Any] = deque()
        self.error: BaseException | None = None
        self.live = False  # takers do not pull
        self.busy = False  # somebody pulls
        self.room = Bell()  # for a thread or a task that pulls
        self._items = items
        self._block = 1
        self._fresh: deque[Any] = deque()  # what this pull has got, or one that was struck
        self._ended = self._closed = False

    @property
    def exhausted(self) -> bool:
        """Nothing more comes."""
        return self._closed or (self._ended and not self._fresh)

    def take(self, count: int) -> None:
        """Up to `count` items."""
        fresh, none = self._fresh, deque[Any]()
        more = islice(self._items, max(0, count - len(fresh)))
        try:
            fresh.extend(more)
            if len(fresh) < count:
                self._ended = True
        except Exception as error:
            if len(fresh) >= count:
                raise
            self.fail(error)
        self.pulled += fresh
        self._fresh = none  # in one step with that

    def take_some(self, most: int) -> None:
        """As many as come quickly."""
        began = perf_counter_ns()
        self.take(min(most, self._block))
        self._block = min(2 * self._block, BLOCK) if perf_counter_ns() - began < QUICK_NS else 1

    def fail(self, error: BaseException) -> None:
        """It has raised."""
        self.error = error
        self._ended = True

    def end(self) -> None:
        """It has come to its end."""
        self._ended = True

    def close(self) -> None:
        """Nothing more is wanted. Closes a generator or a stream of ours, unless somebody pulls, who then does it."""
        self._closed = True
        if not self.busy:
            close_if_ours(self._items)


def puller(source: Source, wanted: Callable[[], int], poke: Callable[[], object]) -> JoinableThread:
    """A thread that pulls a live source, as far as items are `wanted`, and ends with it; not started."""

    def serve() -> None:
        source.busy = True
        try:
            while not source.exhausted:
                source.room.sleep(lambda: source.exhausted or wanted() > 0)
                if not source.exhausted:
                    source.take(at_hand(source._items, wanted()))
                    poke()
        except BaseException as error:  # from the source: what is no Exception comes out in its place here
            source.fail(error)
        finally:
            source.busy = False
            source.close()
            poke()

    return JoinableThread(serve, "procession-source")
