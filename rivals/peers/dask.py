"""dask.distributed on this machine alone: a Client that starts a scheduler and worker processes."""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rivals.peers.base import Peer, Pending, Policy, Wish, Work
from rivals.verdict import Lacks


class DaskPeer(Peer):
    """A task whose worker dies is run again by default, three times at most."""

    name = "dask"
    title = "dask.distributed"
    package = "distributed"
    distribution = "distributed"

    def open(self, wish: Wish) -> None:
        words: dict[str, Any] = {"memory_limit": wish.max_memory} if wish.max_memory else {}
        self.pool = self.library().Client(
            n_workers=wish.workers, threads_per_worker=1, processes=True, dashboard_address=None, **words
        )
        if wish.initializer:
            self.pool.register_plugin(self._plugin(*wish.initializer))

    def _plugin(self, initialize: Work, args: tuple[Any, ...]) -> Any:
        class Initialize(importlib.import_module("distributed").WorkerPlugin):  # type: ignore[misc]
            def setup(self, worker: Any) -> None:
                initialize(*args)

        return Initialize()

    def close(self) -> None:
        self.pool.close()
        self.pool.cluster.close()

    def submit(self, fn: Work, *args: Any) -> Any:
        return self.pool.submit(fn, *args, pure=False)

    def submit_with(self, policy: Policy, fn: Work, *args: Any) -> Any:
        if policy.timeout:
            raise Lacks()
        return self.pool.submit(fn, *args, pure=False, retries=policy.retries)

    def take(self, handle: Any, seconds: float) -> Any:
        try:
            return handle.result(seconds)
        except TimeoutError:
            if handle.done():
                raise
            raise Pending from None

    def cancel(self, handle: Any) -> bool:
        handle.cancel()
        return bool(handle.cancelled())

    def map(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        return list(self.pool.gather(self.pool.map(fn, items, pure=False)))

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        raise Lacks("no map of an iterator")
