"""pebble.ProcessPool."""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rivals.peers.base import ExecutorPeer, Policy, Wish, Work, starting
from rivals.verdict import Lacks


class PebblePeer(ExecutorPeer):
    """Its futures are those of `concurrent.futures`; cancelling one that runs kills its worker."""

    name = "pebble"
    title = "pebble"
    package = "pebble"
    distribution = "pebble"

    def open(self, wish: Wish) -> None:
        if wish.max_memory:
            raise Lacks()
        words: dict[str, Any] = starting(wish.initializer)
        if wish.spawned:
            words["context"] = multiprocessing.get_context("spawn")
        self.pool = self.library().ProcessPool(max_workers=wish.workers, **words)

    def close(self) -> None:
        self.pool.close()
        self.pool.join()

    def submit(self, fn: Work, *args: Any) -> Any:
        return self.pool.schedule(fn, args=args)

    def submit_with(self, policy: Policy, fn: Work, *args: Any) -> Any:
        if policy.retries:
            raise Lacks()
        return self.pool.schedule(fn, args=args, timeout=policy.timeout)

    def map(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        return list(self.pool.map(fn, items).result())

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        return iter(self.pool.map(fn, items).result())
