"""joblib.Parallel with its default backend."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.peers.base import POOL_MEASURES, Peer, Work


class JoblibPeer(Peer):
    """It has no submit: the nearest is one call that dispatches all tasks at once and singly, as a generator."""

    name = "joblib"
    title = "joblib.Parallel"
    package = "joblib"
    distribution = "joblib"
    streams_in_chunks = True
    measures = POOL_MEASURES - {"submit_wait"}
    script_import = "from joblib import Parallel, delayed"
    script_body = "print(Parallel(n_jobs=2)([delayed(noop)(1)])[0])"

    def open(self, workers: int) -> None:
        joblib = self.library()
        self.delayed = joblib.delayed
        self.parallel = joblib.Parallel(n_jobs=workers).__enter__()
        self.single = joblib.Parallel(n_jobs=workers, batch_size=1, pre_dispatch="all", return_as="generator")

    def close(self) -> None:
        self.parallel.__exit__(None, None, None)

    def submit_each(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        return list(self.single([self.delayed(fn)(item) for item in items]))

    def call(self, fn: Work, item: Any) -> Any:
        return self.parallel([self.delayed(fn)(item)])[0]

    def map(self, fn: Work, items: Sequence[Any], chunksize: int | None = None) -> list[Any]:
        results: list[Any] = self.parallel(self.delayed(fn)(item) for item in items)
        return results

    def stream(
        self, fn: Work, items: Sequence[Any], chunksize: int | None = None, buffer_bytes: int | None = None
    ) -> Iterator[Any]:
        words: dict[str, Any] = {} if chunksize is None else {"batch_size": chunksize}
        parallel = self.library().Parallel(n_jobs=2, return_as="generator", **words)
        results: Iterator[Any] = parallel(self.delayed(fn)(item) for item in items)
        return results
