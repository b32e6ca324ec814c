"""concurrent.futures.ProcessPoolExecutor, with the interpreter's default start method."""

import inspect
import multiprocessing
from collections.abc import Iterable, Iterator
from typing import Any

from rivals.peers.base import ExecutorPeer, Wish, Work, starting
from rivals.verdict import Lacks


class ProcessPoolExecutorPeer(ExecutorPeer):
    """The one that everybody knows."""

    name = "ppe"
    title = "ProcessPoolExecutor"
    package = "concurrent.futures"

    def open(self, wish: Wish) -> None:
        if wish.max_memory:
            raise Lacks()
        words: dict[str, Any] = starting(wish.initializer)
        if wish.spawned:
            words["mp_context"] = multiprocessing.get_context("spawn")
        self.pool = self.library().ProcessPoolExecutor(wish.workers, **words)

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        bounded = "buffersize" in inspect.signature(self.pool.map).parameters  # Python 3.14
        return iter(self.pool.map(fn, items, **({"buffersize": 100} if bounded else {})))
