"""procession itself, by the same rules: nothing tuned."""

from collections.abc import Iterable, Iterator
from typing import Any

from rivals.peers.base import ExecutorPeer, Policy, Wish, Work, starting


class ProcessionPeer(ExecutorPeer):
    """`Pool` on processes, which is its default."""

    name = "procession"
    title = "procession"
    package = "procession"
    distribution = "procession"

    def open(self, wish: Wish) -> None:
        words: dict[str, Any] = starting(wish.initializer)
        if wish.max_memory:
            words["max_memory_per_child"] = wish.max_memory
        self.pool = self.library().Pool(wish.workers, **words)

    def submit_with(self, policy: Policy, fn: Work, *args: Any) -> Any:
        words = {"timeout": policy.timeout, "retries": policy.retries}
        asked = {word: value for word, value in words.items() if value is not None}
        return self.pool.options(**asked).submit(fn, *args)

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        return iter(self.pool.imap(fn, items))
