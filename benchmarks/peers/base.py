"""What a peer is: one small class that says how its library does what the measures time.

The bodies below run inside the timed regions. They call the library's own methods directly (a bound method kept in
an attribute, a `methodcaller` in C), so that the harness adds the same few hundred nanoseconds to everybody.
"""

import concurrent.futures
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any, ClassVar

Work = Callable[[Any], Any]

POOL_MEASURES = frozenset(
    {
        "submit_result",
        "submit_wait",
        "roundtrip",
        "roundtrip_busy",
        "map",
        "map_skewed",
        "map_mixed",
        "stream_stragglers",
        "stream_memory",
        "payload",
        "array_64mb",
        "array_1mb",
        "startup",
        "imports",
        "idle",
        "reference",
        "workers",
        "queued",
        "scaling",
    }
)


class Peer:
    """A library under test. `measures` names what it can take part in; it need define no more than those use."""

    name: ClassVar[str]
    title: ClassVar[str]
    package: ClassVar[str]
    """What to import; checked before the run, and imported only when a pool is opened."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Names that the package must have."""
    distribution: ClassVar[str | None] = None
    """Where its version is looked up; None for the standard library."""
    measures: ClassVar[frozenset[str]] = POOL_MEASURES
    controls: ClassVar[frozenset[str]] = frozenset()
    """Measures in which it is no library but shows what the machine can do: no rival there."""
    environment: ClassVar[Mapping[str, str]] = {}
    """Set in the environment of its cells before anything is imported."""
    chunksizes: ClassVar[tuple[int, ...]] = ()
    """Chunk sizes to try in the map of no-ops beside the default."""
    chunked: ClassVar[bool] = False
    """Whether its map takes a chunk size that a user would tune; the maps of real work then try some."""
    streams_in_chunks: ClassVar[bool] = False
    """The same of its lazy ordered map."""
    script_import: ClassVar[str] = ""
    script_body: ClassVar[str] = ""
    """The lines of a whole program that prints `noop(1)`, as the library's documentation would write it."""

    def library(self) -> Any:
        """The imported package; Any, because not every peer is typed."""
        return importlib.import_module(self.package)

    def open(self, workers: int) -> None:
        """Make the pool."""
        raise self._lacks("a pool")

    def close(self) -> None:
        """End the pool in the orderly way, and wait for its workers."""

    def submit_each(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        """Hand in a task per item, then take the result of each, in order."""
        raise self._lacks("submit")

    def submit_wait(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        """Hand in a task per item, wait with `concurrent.futures.wait`; the futures."""
        raise self._lacks("submit + wait")

    def call(self, fn: Work, item: Any) -> Any:
        """One task there and back."""
        raise self._lacks("a round trip")

    def map(self, fn: Work, items: Sequence[Any], chunksize: int | None = None) -> list[Any]:
        """All results in order; with `chunksize` None exactly as the library does by default."""
        raise self._lacks("map")

    def stream(
        self, fn: Work, items: Sequence[Any], chunksize: int | None = None, buffer_bytes: int | None = None
    ) -> Iterator[Any]:
        """Results in order, as they are asked for, by the laziest that the library has."""
        raise self._lacks("an ordered stream")

    def keyed(self, fn: Work, items: Sequence[Any], sticky: bool) -> Iterator[Any]:
        """Results as they come, but in order for each key, which is the first of an item."""
        raise self._lacks("keys")

    def open_spinoff(self, fn: Work) -> None:
        """Start a FIFO worker of one process that takes as much as it is given."""
        raise self._lacks("a spin-off")

    def put(self, item: Any) -> None:
        """Hand the spin-off an item."""
        raise self._lacks("a spin-off")

    def ready(self) -> list[Any]:
        """What the spin-off has finished, without waiting."""
        raise self._lacks("a spin-off")

    def following(self) -> Iterator[Any]:
        """The spin-off's next results, waiting for each."""
        raise self._lacks("a spin-off")

    def _lacks(self, what: str) -> Exception:
        return NotImplementedError(f"{self.name} has no {what}: its `measures` must not ask for it")


class TaskPeer(Peer):
    """A peer whose unit is a submitted task with a handle: `open` sets `submit(fn, item)`, and maybe `take(handle)`."""

    submit: Callable[[Work, Any], Any]
    take: Callable[[Any], Any]

    def __init__(self) -> None:
        self.take = methodcaller("result")

    def submit_each(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        submit, take = self.submit, self.take
        handles = [submit(fn, item) for item in items]
        return [take(handle) for handle in handles]

    def submit_wait(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        submit = self.submit
        futures = [submit(fn, item) for item in items]
        concurrent.futures.wait(futures)
        return futures

    def call(self, fn: Work, item: Any) -> Any:
        return self.take(self.submit(fn, item))


class ExecutorPeer(TaskPeer):
    """A peer with the face of `concurrent.futures.Executor`."""

    pool: Any

    def make_pool(self, workers: int) -> Any:
        """The executor."""
        raise self._lacks("an executor")

    def open(self, workers: int) -> None:
        self.pool = self.make_pool(workers)
        self.submit = self.pool.submit

    def close(self) -> None:
        self.pool.shutdown(wait=True)

    def map(self, fn: Work, items: Sequence[Any], chunksize: int | None = None) -> list[Any]:
        return list(self.stream(fn, items, chunksize))

    def stream(
        self, fn: Work, items: Sequence[Any], chunksize: int | None = None, buffer_bytes: int | None = None
    ) -> Iterator[Any]:
        words = {} if chunksize is None else {"chunksize": chunksize}
        results: Iterator[Any] = self.pool.map(fn, items, **words)
        return results
