"""multiprocessing.Pool."""

from collections.abc import Iterator, Sequence
from operator import methodcaller
from typing import Any

from benchmarks.peers.base import POOL_MEASURES, TaskPeer, Work


class MultiprocessingPoolPeer(TaskPeer):
    """Its handles are AsyncResult, which `concurrent.futures.wait` does not know."""

    name = "mp-pool"
    title = "multiprocessing.Pool"
    package = "multiprocessing"
    measures = POOL_MEASURES - {"submit_wait"}
    chunked = True
    streams_in_chunks = True
    chunksizes = (500, 2_000, 8_000, 25_000)
    script_import = "from multiprocessing import Pool"
    script_body = "with Pool(2) as pool:\n    print(pool.apply_async(noop, (1,)).get())"

    def open(self, workers: int) -> None:
        pool = self.pool = self.library().Pool(workers)
        self.submit = lambda fn, item: pool.apply_async(fn, (item,))
        self.take = methodcaller("get")

    def close(self) -> None:
        self.pool.close()
        self.pool.join()

    def map(self, fn: Work, items: Sequence[Any], chunksize: int | None = None) -> list[Any]:
        results: list[Any] = self.pool.map(fn, items, chunksize)
        return results

    def stream(
        self, fn: Work, items: Sequence[Any], chunksize: int | None = None, buffer_bytes: int | None = None
    ) -> Iterator[Any]:
        results: Iterator[Any] = self.pool.imap(fn, items, chunksize or 1)
        return results
