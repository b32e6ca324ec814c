"""multiprocessing.Pool."""

import multiprocessing

from rivals.peers.base import AsyncResultPeer, Wish, starting
from rivals.verdict import Lacks


class MultiprocessingPoolPeer(AsyncResultPeer):
    """Its `with` terminates, as documented."""

    name = "mp-pool"
    title = "multiprocessing.Pool"
    package = "multiprocessing"

    def open(self, wish: Wish) -> None:
        if wish.max_memory:
            raise Lacks()
        context = multiprocessing.get_context("spawn" if wish.spawned else None)
        self.pool = context.Pool(wish.workers, **starting(wish.initializer))

    def close(self) -> None:
        self.pool.close()
        self.pool.join()
