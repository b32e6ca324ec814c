"""What joblib calls a backend, as the mix-in `Backend`, and the class that is made of it when joblib is there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

from procession.adapters.joblib import words
from procession.adapters.joblib.arrays import Sharing
from procession.adapters.joblib.library import internals, jobs, nested
from procession.adapters.joblib.pools import take
from procession.adapters.joblib.share import share
from procession.adapters.joblib.told import terminated, unsent
from procession.adapters.joblib.worker import run
from procession.cpu import budget
from procession.errors import PicklingError, WorkerDied
from procession.transport.codec import name_of

JOBLIBS = ("max_nbytes", "temp_folder", "mmap_mode", "prefer", "require", "verbose", "context")
"""What `Parallel` gives to any backend; those that say something here are in docs/joblib.md."""


@cache
def kind() -> Any:
    """The class of our backends. Raises ImportError when there is no joblib."""
    bases = (Backend, internals().AutoBatchingMixin, internals().ParallelBackendBase)
    return type("ProcessionBackend", bases, {"__module__": __name__, "__doc__": Backend.__doc__})


class Backend:
    """joblib's tasks on procession's workers."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    uses_threads = False
    supports_sharedmem = False
    MIN_IDEAL_BATCH_DURATION = 0.01
    MAX_IDEAL_BATCH_DURATION = 0.1

    nesting_level: int | None
    inner_max_num_threads: int | None
    parallel: Any = None
    factory: Any = None
    """What makes backends like this; registered in the workers."""

    def __init__(
        self, nesting_level: int | None = None, inner_max_num_threads: int | None = None, **given: Any
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)  # type: ignore[call-arg]
        self._given = given
        self._words = words.read(given)
        self._pending: dict[Future[Any], None] = {}
        self._quiet = threading.Event()
        """Set when no task is out, or joblib wants to look by itself."""
        self._kept: Any = None
        self._workers: Any = None
        self._views: dict[str, Any] = {}
        self._around: tuple[Any, ...] = ()
        self._arrays: Any = None
        if self._words.given is not None:
            kind = self._words.given.stats().backend
            self.default_n_jobs = -1
            self.uses_threads = self.supports_sharedmem = kind == "threads"
            self.supports_inner_max_num_threads = kind == "processes"

    # -- a call begins ----------------------------------------------------------------------------------------------

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many run at the same time; 1 is without workers."""
        pool = self._words.given
        if pool is None:
            return jobs(n_jobs)
        width = pool.stats().max_workers
        wanted = jobs(n_jobs) if n_jobs is None or n_jobs >= 0 else max(width + 1 + n_jobs, 1)
        return min(width, wanted)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **given: Any) -> int:
        """Begin the calls of `parallel`; see law 1 of this package."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise internals().FallbackToBackend(internals().SequentialBackend(nesting_level=self.nesting_level))
        own = {word: value for word, value in given.items() if word not in JOBLIBS}
        if self.parallel is not parallel:
            raise internals().FallbackToBackend(self._for(parallel, own))
        self._n_jobs = n_jobs
        self._begin(given)
        return n_jobs

    def _for(self, parallel: Any, own: dict[str, Any]) -> Any:
        made: Any = type(self)(self.nesting_level, self.inner_max_num_threads, **{**self._given, **own})
        made.parallel, made.factory = parallel, self.factory
        return made

    def _begin(self, given: dict[str, Any]) -> None:
        pool, threads, its_share = self._words.given, self.inner_max_num_threads, None
        if pool is None:
            self._kept = take(_for_workers(self._words.pool), self._n_jobs, self)
            pool = self._kept.pool
            its_share = share(budget(self._n_jobs).cpus, threads)
        elif threads is not None:
            its_share = share(budget(pool.stats().max_workers).cpus, threads)
        self._around = (self._level, its_share, self.factory)
        self._workers = pool.options(**self._words.policy) if self._words.policy else pool
        shares = given.get("mmap_mode", "r") == "r"
        self._arrays = Sharing(pool, given.get("max_nbytes") if shares else None)

    # -- tasks -----------------------------------------------------------------------------------------------------

    def submit(self, func: Any, callback: Any = None) -> Future[Any]:
        """Have a batch of calls run; its future. See law 2."""
        try:
            with self._arrays:
                future: Future[Any] = self._view(func.items).submit(run, func.items, *self._around)
        except Exception as error:
            future = Future()
            future.set_exception(error)
        self._pending[future] = None
        self._quiet.clear()
        future.add_done_callback(partial(self._done, callback))
        return future

    def _view(self, items: list[Any]) -> Any:
        """The pool, for what is called as the user's function is."""
        if "name" in self._words.policy or not items:
            return self._workers
        name = name_of(items[0][0])
        found = self._views.get(name)
        if found is None:
            found = self._views[name] = self._workers.options(name=name)
        return found

    apply_async = submit
    """Its name before joblib 1.5."""

    def _done(self, callback: Any, future: Future[Any]) -> None:
        try:
            if callback is not None:
                callback(future)
        finally:
            self._pending.pop(future, None)
            if not self._pending or getattr(self.parallel, "_aborting", True):
                self._quiet.set()

    def retrieve_result_callback(self, future: Future[Any]) -> Any:
        """The results of a batch; raises what was raised there."""
        try:
            return future.result()
        except WorkerDied as error:
            raise terminated(error) from error.__cause__
        except PicklingError as error:
            raise unsent(error) from error.__cause__

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """joblib looks for results every 10 ms. Who wants them all at once need not look before the end."""
        if not self.parallel.return_generator and self.parallel.timeout is None:
            while self._pending and not self._quiet.wait(1.0):
                pass
        yield

    def compute_batch_size(self) -> int:
        """So many calls make a batch now; one where each is under a policy of its own."""
        if self._words.policy:
            return 1
        size: int = super().compute_batch_size()  # type: ignore[misc]
        return size

    # -- a call ends ------------------------------------------------------------------------------------------------

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what is out, what has not started first."""
        for future in reversed(list(self._pending)):
            future.cancel()

    def terminate(self) -> None:
        """The calls of this Parallel are over."""
        if self._kept is not None:
            self._kept.leave(self)
            self._kept = None
        self._workers = None
        self._views.clear()
        if self._arrays is not None:
            self._arrays.clear()
        self.reset_batch_stats()  # type: ignore[attr-defined]

    # -- nested calls ------------------------------------------------------------------------------------------------

    @property
    def _level(self) -> int:
        return (self.nesting_level or 0) + 1

    def get_nested_backend(self) -> Any:
        """For calls of `Parallel` in a task; `worker.run` makes it there."""
        return nested(self._level), None


def _for_workers(said: dict[str, Any]) -> dict[str, Any]:
    """The words of a pool. Its workers need joblib, and NumPy with it: loaded once for all of them, if the threads of
    its libraries can be told then what each worker may use."""
    if "mp_context" in said or find_spec("threadpoolctl") is None:
        return said
    return {**said, "preload": ("joblib", *said.get("preload", ()))}


__all__ = ["Backend", "kind"]
