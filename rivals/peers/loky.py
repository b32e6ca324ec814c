"""loky, through the reusable executor that its documentation recommends."""

from rivals.peers.base import ExecutorPeer, Wish, starting


class LokyPeer(ExecutorPeer):
    """Replaces a worker that has grown by 300 MB, a figure that cannot be set: `max_memory` is met as it comes."""

    name = "loky"
    title = "loky"
    package = "loky"
    distribution = "loky"

    def open(self, wish: Wish) -> None:
        self.pool = self.library().get_reusable_executor(max_workers=wish.workers, **starting(wish.initializer))
