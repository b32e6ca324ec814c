"""mpire.WorkerPool."""

from collections.abc import Iterator, Sequence
from operator import methodcaller
from typing import Any

from benchmarks.peers.base import POOL_MEASURES, TaskPeer, Work


class MpirePeer(TaskPeer):
    """Its handles are AsyncResult, which `concurrent.futures.wait` does not know."""

    name = "mpire"
    title = "mpire.WorkerPool"
    package = "mpire"
    distribution = "mpire"
    measures = POOL_MEASURES - {"submit_wait"}
    chunked = True
    streams_in_chunks = True
    script_import = "from mpire import WorkerPool"
    script_body = "with WorkerPool(n_jobs=2) as pool:\n    print(pool.apply_async(noop, (1,)).get())"

    def open(self, workers: int) -> None:
        pool = self.pool = self.library().WorkerPool(n_jobs=workers, keep_alive=True)
        self.submit = lambda fn, item: pool.apply_async(fn, (item,))
        self.take = methodcaller("get")

    def close(self) -> None:
        self.pool.stop_and_join()

    def map(self, fn: Work, items: Sequence[Any], chunksize: int | None = None) -> list[Any]:
        results: list[Any] = self.pool.map(fn, items, chunk_size=chunksize)
        return results

    def stream(
        self, fn: Work, items: Sequence[Any], chunksize: int | None = None, buffer_bytes: int | None = None
    ) -> Iterator[Any]:
        results: Iterator[Any] = self.pool.imap(fn, items, chunk_size=chunksize)
        return results
