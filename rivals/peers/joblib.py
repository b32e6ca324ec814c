"""joblib.Parallel with its default backend."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rivals.peers.base import Delivery, Peer, Policy, Wish, Work, starting
from rivals.verdict import Lacks


class JoblibPeer(Peer):
    """It has no submit: tasks are one call, read as a generator, so that what was finished before a failure counts."""

    name = "joblib"
    title = "joblib"
    package = "joblib"
    distribution = "joblib"

    def open(self, wish: Wish) -> None:
        joblib = self.library()
        self.delayed = joblib.delayed
        self.words: dict[str, Any] = {"n_jobs": wish.workers, **starting(wish.initializer)}
        self.pool = joblib.Parallel(**self.words)

    def close(self) -> None:
        """There is nothing to close: the workers are those of a process-wide executor, which ends by itself."""

    def _calls(self, fn: Work, rows: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        return (self.delayed(fn)(*row) for row in rows)

    def submit(self, fn: Work, *args: Any) -> Any:
        raise Lacks("no submit")

    def map(self, fn: Work, items: Sequence[Any]) -> list[Any]:
        return list(self.pool(self._calls(fn, ((item,) for item in items))))

    def stream(self, fn: Work, items: Iterable[Any]) -> Iterator[Any]:
        lazy = self.library().Parallel(return_as="generator", **self.words)
        return iter(lazy(self._calls(fn, ((item,) for item in items))))

    def run_all(self, fn: Work, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return list(self.pool(self._calls(fn, rows)))

    def deliveries(
        self, fn: Work, rows: Sequence[tuple[Any, ...]], patience: float, policy: Policy | None = None
    ) -> list[Delivery]:
        if policy and policy.retries:
            raise Lacks()
        words = {**self.words, **({"timeout": policy.timeout} if policy else {})}
        lazy = self.library().Parallel(return_as="generator", **words)
        made = [Delivery() for _ in rows]
        began = time.monotonic()

        def read() -> None:
            place = 0
            try:
                for place, value in enumerate(lazy(self._calls(fn, rows)), 1):
                    made[place - 1] = Delivery(ok=True, value=value, after=time.monotonic() - began)
            except Exception as error:  # one error for the whole call: what was not read yet is lost with it
                for each in made[place:]:
                    each.error, each.after = error, time.monotonic() - began

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(patience)
        return made
