"""pebble.ProcessPool."""

from collections.abc import Sequence
from typing import Any

from benchmarks.peers.base import POOL_MEASURES, TaskPeer, Work


class PebblePeer(TaskPeer):
    """Its futures are those of `concurrent.futures`."""

    name = "pebble"
    title = "pebble.ProcessPool"
    package = "pebble"
    distribution = "pebble"
    measures = POOL_MEASURES - {"stream_stragglers", "stream_memory"}
    chunked = True
    script_import = "from pebble import ProcessPool"
    script_body = "with ProcessPool(max_workers=2) as pool:\n    print(pool.schedule(noop, args=[1]).result())"

    def open(self, workers: int) -> None:
        pool = self.pool = self.library().ProcessPool(max_workers=workers)
        self.submit = lambda fn, item: pool.schedule(fn, args=[item])

    def close(self) -> None:
        self.pool.close()
        self.pool.join()

    def map(self, fn: Work, items: Sequence[Any], chunksize: int | None = None) -> list[Any]:
        words = {} if chunksize is None else {"chunksize": chunksize}
        return list(self.pool.map(fn, items, **words).result())
