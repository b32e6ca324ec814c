"""deadpool.Deadpool."""

from typing import Any

from rivals.peers.base import ExecutorPeer, Policy, Wish, Work, starting
from rivals.verdict import Lacks


class DeadpoolPeer(ExecutorPeer):
    """Its workers come from a fork server by default, and its queue is bounded: `submit` waits when it is full."""

    name = "deadpool"
    title = "deadpool"
    package = "deadpool"
    distribution = "deadpool-executor"

    def open(self, wish: Wish) -> None:
        words: dict[str, Any] = starting(wish.initializer)
        if wish.max_memory:
            words["max_worker_memory_bytes"] = wish.max_memory
        if wish.backlog:
            words["max_backlog"] = wish.backlog
        self.pool = self.library().Deadpool(max_workers=wish.workers, **words)

    def submit_with(self, policy: Policy, fn: Work, *args: Any) -> Any:
        if policy.retries:
            raise Lacks()
        return self.pool.submit(fn, *args, deadpool_timeout=policy.timeout)

    def cancel_running(self, handle: Any) -> bool:
        handle.cancel_and_kill_if_running()
        return True
