"""procession itself, in both of its modes: Pool for the pool's measures, SpinOff for the spin-off's."""

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar

from benchmarks.peers.base import POOL_MEASURES, ExecutorPeer, Work

PURE = "PROCESSION_PURE"


class ProcessionPeer(ExecutorPeer):
    """Nothing tuned: every word but the number of workers is the default. Accelerated where the extension is built."""

    name = "procession"
    title = "procession"
    package = "procession"
    requires = ("Pool", "SpinOff")
    distribution = "procession"
    measures = POOL_MEASURES | {"stream_keyed", "spinoff_small", "spinoff_large", "array_arena"}
    script_import = "from procession import Pool"
    script_body = "with Pool(2) as pool:\n    print(pool.submit(noop, 1).result())"

    def make_pool(self, workers: int) -> Any:
        return self.library().Pool(workers)

    def stream(
        self, fn: Work, items: Sequence[Any], chunksize: int | None = None, buffer_bytes: int | None = None
    ) -> Iterator[Any]:
        words = {} if buffer_bytes is None else {"buffer_bytes": buffer_bytes}
        results: Iterator[Any] = self.pool.imap(fn, items, **words)
        return results

    def keyed(self, fn: Work, items: Sequence[Any], sticky: bool) -> Iterator[Any]:
        results: Iterator[Any] = self.pool.imap(fn, items, key=itemgetter(0), ordered=False, sticky=sticky)
        return results

    def map(self, fn: Work, items: Sequence[Any], chunksize: int | None = None) -> list[Any]:
        words = {} if chunksize is None else {"chunksize": chunksize}
        return list(self.pool.map(fn, items, **words))

    def open_spinoff(self, fn: Work) -> None:
        # Without bound, as the opponents' queues: one thread that puts and takes cannot wait for itself to take.
        spin = self.pool = self.library().SpinOff(fn, maxsize=0)
        # Instance attributes over the methods of the base: the loop calls the library's own methods.
        vars(self).update(put=spin.put, ready=spin.ready, close=self._end_spinoff)

    def following(self) -> Iterator[Any]:
        return iter(self.pool)

    def _end_spinoff(self) -> None:
        self.pool.close()
        self.pool.join()


class PureProcessionPeer(ProcessionPeer):
    """The same without its C extension, which this variable turns off in the program and in its workers."""

    name = "procession-pure"
    title = "procession, pure Python"
    environment: ClassVar[Mapping[str, str]] = {PURE: "1"}
