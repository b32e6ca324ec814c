"""ray.util.multiprocessing.Pool, on a cluster of this machine alone."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from benchmarks.peers.base import Peer, Work


class RayPoolPeer(Peer):
    """Its pool of actors, for ordered streams: what it is asked for elsewhere, others do here."""

    name = "ray-pool"
    title = "ray.util.multiprocessing.Pool"
    package = "ray.util.multiprocessing"
    distribution = "ray"
    measures = frozenset({"stream_stragglers", "stream_memory"})
    streams_in_chunks = True
    environment: ClassVar = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}

    def open(self, workers: int) -> None:
        import ray

        self.ray = ray
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
        self.pool = self.library().Pool(workers)

    def close(self) -> None:
        self.pool.close()
        self.pool.join()
        self.ray.shutdown()

    def stream(
        self, fn: Work, items: Sequence[Any], chunksize: int | None = None, buffer_bytes: int | None = None
    ) -> Iterator[Any]:
        results: Iterator[Any] = self.pool.imap(fn, items, chunksize or 1)
        return results
