"""mpire.WorkerPool."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rivals.peers.base import AsyncResultPeer, Policy, Wish, Work
from rivals.verdict import Lacks


class MpirePeer(AsyncResultPeer):
    """Its initializer and its time limit are words of each call."""

    name = "mpire"
    title = "mpire"
    package = "mpire"
    distribution = "mpire"

    def open(self, wish: Wish) -> None:
        if wish.max_memory:
            raise Lacks()
        words = {"start_method": "spawn"} if wish.spawned else {}
        self.pool = self.library().WorkerPool(n_jobs=wish.workers, keep_alive=True, **words)
        self.words: dict[str, Any] = {}
        if wish.initializer:
            initialize, args = wish.initializer
            self.words["worker_init"] = lambda: initialize(*args)

    def close(self) -> None:
        self.pool.stop_and_join()

    def submit(self, fn: Work, *args: Any) -> Any:
        return self.pool.apply_async(fn, args, **self.words)

    def submit_with(self, policy: Policy, fn: Work, *args: Any) -> Any:
        if policy.retries:
            raise Lacks()
        return self.pool.apply_async(fn, args, task_timeout=policy.timeout)

    def map(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        return list(self.pool.map(fn, [(item,) for item in items]))  # it takes a tuple for the arguments

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        return iter(self.pool.imap(fn, items))
