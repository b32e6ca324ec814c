"""procession itself: Pool for the pool's measures, SpinOff for the spin-off's."""

from collections.abc import Iterator
from typing import Any

from benchmarks.peers.base import POOL_MEASURES, ExecutorPeer, Work


class ProcessionPeer(ExecutorPeer):
    """Nothing tuned: every word but the number of workers is the default."""

    name = "procession"
    title = "procession"
    package = "procession"
    requires = ("Pool", "SpinOff")
    distribution = "procession"
    measures = POOL_MEASURES | {"spinoff_small", "spinoff_large"}
    script_import = "from procession import Pool"
    script_body = "with Pool(2) as pool:\n    print(pool.submit(noop, 1).result())"

    def make_pool(self, workers: int) -> Any:
        return self.library().Pool(workers)

    def open_spinoff(self, fn: Work, maxsize: int | None) -> None:
        # Without bound, as the opponent's queue: one thread that puts and takes cannot wait for itself to take.
        spin = self.pool = self.library().SpinOff(fn, maxsize=0)
        # Instance attributes over the methods of the base: the loop calls the library's own methods.
        vars(self).update(put=spin.put, ready=spin.ready, close=self._end_spinoff)

    def following(self) -> Iterator[Any]:
        return iter(self.pool)

    def _end_spinoff(self) -> None:
        self.pool.close()
        self.pool.join()
