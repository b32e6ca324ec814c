"""ray on this machine alone: tasks of a local cluster that the program starts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rivals.peers.base import Peer, Pending, Policy, Wish, Work
from rivals.verdict import Lacks


class RayPeer(Peer):
    """A task whose worker dies is run again by default, three times at most."""

    name = "ray"
    title = "ray"
    package = "ray"
    distribution = "ray"

    def open(self, wish: Wish) -> None:
        if wish.max_memory:
            raise Lacks()
        words: dict[str, Any] = {}
        if wish.initializer:
            initialize, args = wish.initializer
            words["runtime_env"] = {"worker_process_setup_hook": lambda: initialize(*args)}
        self.workers = wish.workers
        self.remotes: dict[tuple[Work, int | None], Any] = {}
        self.ray = self.library()
        self.pool = self.ray.init(num_cpus=wish.workers, include_dashboard=False, **words)

    def close(self) -> None:
        self.ray.shutdown()

    def submit(self, fn: Work, *args: Any) -> Any:
        return self._remote(fn).remote(*args)

    def _remote(self, fn: Work, max_retries: int | None = None) -> Any:
        """Made once for each function, as a decorator does."""
        made = self.remotes.get((fn, max_retries))
        if made is None:
            words = {} if max_retries is None else {"max_retries": max_retries}
            made = self.remotes[fn, max_retries] = self.ray.remote(**words)(fn) if words else self.ray.remote(fn)
        return made

    def submit_with(self, policy: Policy, fn: Work, *args: Any) -> Any:
        if policy.timeout:
            raise Lacks()
        return self._remote(fn, policy.retries).remote(*args)

    def take(self, handle: Any, seconds: float) -> Any:
        try:
            return self.ray.get(handle, timeout=seconds)
        except self.ray.exceptions.GetTimeoutError:
            raise Pending from None

    def cancel(self, handle: Any) -> bool:
        """It returns nothing: that a task was cancelled is learnt by asking for its result."""
        self.ray.cancel(handle)
        return True

    def cancel_running(self, handle: Any) -> bool:
        self.ray.cancel(handle, force=True)
        return True

    def map(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        return list(self.ray.get([self.submit(fn, item) for item in items]))

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        from ray.util.multiprocessing import Pool

        self.actors = Pool(self.workers)
        return iter(self.actors.imap(fn, items))
