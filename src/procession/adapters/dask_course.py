"""One computation of a Dask graph on a pool: which tasks go to a worker, together, and when.

Laws
1. A task runs once, after all that it depends on. Its value is kept until the last task that needs it has run; longer
   only if it was asked for.
2. What becomes ready last is taken first (Dask's order breaks ties), and only some batches are under way: so the values
   that are kept are about as few as on Dask's own schedulers.
3. A batch is run by one call. It begins with tasks that are ready, and goes on with those that it makes ready itself. A
   further one is taken when the batch so far is cheap (`ENOUGH`, by what tasks of that name took before), or when it is
   all that waits for anything of the batch. So a batch makes nobody wait for long, and a chain is never cut.
4. From a batch comes back what tasks outside need, what was asked for, and nothing else.
5. However it ends, nothing of it is under way afterwards: calls are cancelled, and have come to an end (after ^C
   threads, which cannot be ended, are not waited for).
6. Only the thread that called changes anything here; calls that end are put into a queue.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from procession.adapters.dask_graph import Graph, Told
from procession.errors import TaskTimeout, WorkerDied
from procession.pool_face import PoolFace

ENOUGH = 0.005
"""Seconds of work in a batch, about."""
LONGEST = 500
"""Tasks in a batch, at most."""

_here = threading.local()


@dataclass(frozen=True)
class Settings:
    """What a user has said; see `dask.get`."""

    pool: PoolFace
    num_workers: int | None
    share: int | None
    rerun: bool


def inside() -> bool:
    """A task of a computation asks. If it waited for the pool, it would hold the place of what it waits for."""
    return getattr(_here, "inside", False)


def run(dsk: Any, keys: Any, settings: Settings, cache: Any, callbacks: Any) -> Any:
    """The values of `keys`."""
    from dask.callbacks import local_callbacks
    from dask.local import nested_get

    graph = Graph(dsk, keys, {} if cache is None else cache)
    with local_callbacks(callbacks) as told:
        with Told(told, graph) as listeners:
            with _Course(graph, settings, listeners) as course:
                course.run()
    return nested_get(keys, graph.cache)


# -- in a worker -------------------------------------------------------------------------------------------------------


def run_batch(tasks: list[Any], values: dict[Any, Any], wanted: list[Any]) -> tuple[list[Any], list[float]]:
    """Runs the tasks one after another; returns the values of those that are wanted, and the seconds of each."""
    took: list[float] = []
    before = inside()
    _here.inside = True
    key = None
    try:
        for task in tasks:
            key = task.key
            began = perf_counter()
            values[key] = task(values)
            took.append(perf_counter() - began)
    except Exception as error:
        error.add_note(f"in the Dask task {key!r}")
        raise
    finally:
        _here.inside = before
    return [values[key] for key in wanted], took


# -- what goes to the workers ------------------------------------------------------------------------------------------


class _Batch:
    """Tasks that one call runs, in this order."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.taken: set[Any] = set()
        self.values: dict[Any, Any] = {}
        """What they need of others."""
        self.wanted: list[Any] = []
        """Those whose values come back."""
        self.inside: list[Any] = []
        """What waits for nothing but tasks of this batch, the last one first."""
        self.open: dict[Any, int] = {}
        """Task of this batch -> how many tasks outside need it, if any do."""
        self._missing: dict[Any, int] = {}

    def add(self, graph: Graph, key: Any) -> None:
        """One more."""
        self.keys.append(key)
        self.taken.add(key)
        for other in graph.dependencies[key]:
            if (left := self.open.get(other)) is not None:
                if left == 1:
                    del self.open[other]
                else:
                    self.open[other] = left - 1
        dependents = graph.dependents[key]
        if dependents:
            self.open[key] = len(dependents)
        for each in sorted(dependents, key=graph.place, reverse=True):
            waits = graph.waiting.get(each)
            if waits is not None:
                left = self._missing.get(each, len(waits)) - 1
                self._missing[each] = left
                if not left:
                    self.inside.append(each)

    def waits_only(self, graph: Graph, key: Any) -> bool:
        """This task is all that waits for anything of the batch."""
        needs = graph.dependencies[key]
        return len(self.open) <= len(needs) and all(left == 1 and each in needs for each, left in self.open.items())


class _Course:
    """The loop. A context manager: law 5."""

    def __init__(self, graph: Graph, settings: Settings, listeners: Told) -> None:
        self._graph = graph
        self._pool = settings.pool
        self._settings = settings
        self._listeners = listeners
        self._single = settings.pool._rules is not None  # a policy is for one task
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()
        self._under_way: dict[Future[Any], _Batch] = {}
        self._took: dict[str, float] = {}
        self._shared: dict[Any, Any] = {}

    def __enter__(self) -> _Course:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        for future in self._under_way:
            future.cancel()
        if kind is None or issubclass(kind, Exception):  # after ^C nobody waits for threads, which cannot be ended
            wait(self._under_way)

    def run(self) -> None:
        """Until nothing is left."""
        graph = self._graph
        while graph.ready or graph.running:
            while graph.ready and len(self._under_way) < self._room():
                self._send()
            if self._under_way:
                future = self._ended.get()
                self._take(future, self._under_way.pop(future))
        if graph.waiting:
            raise ValueError(f"the Dask graph has a cycle through {next(iter(graph.waiting))!r}")

    def _room(self) -> int:
        """So many calls at once: each worker has its next one at hand."""
        given = self._settings.num_workers
        return 2 * self._workers() if given is None else given

    def _workers(self) -> int:
        found: int = self._pool._engine.max_workers
        return found

    # -- sending -------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        graph = self._graph
        key = graph.ready[-1]
        if self._runs_here(key):
            graph.ready.pop()
            return self._run_here(key)
        batch = self._collect()
        tasks = [graph.nodes[key] for key in batch.keys]
        for key in batch.keys:
            self._begin(key)
        future = self._pool.submit(run_batch, tasks, self._packed(batch.values), batch.wanted)
        self._under_way[future] = batch
        future.add_done_callback(self._ended.put)

    def _begin(self, key: Any) -> None:
        self._graph.running.add(key)
        self._listeners.begins(key)

    def _runs_here(self, key: Any) -> bool:
        """It only hands on what is here; or it is the last, and puts the parts of the result together: to send them all
        away, and have them back as one, would cost more than that."""
        from dask._task_spec import Alias, GraphNode, NestedContainer

        graph = self._graph
        node = graph.nodes[key]
        if isinstance(node, Alias):
            return True
        if isinstance(node, NestedContainer):
            return not any(isinstance(each, GraphNode) and not isinstance(each, Alias) for each in node.args)
        if len(graph.ready) > 1 or graph.running or graph.waiting or len(node.dependencies) < 2:
            return False
        module = getattr(node.func, "__module__", None) or ""
        fused = getattr(node.func, "__name__", None) == "_execute_subgraph"
        return module.partition(".")[0] == "dask" and not fused

    def _run_here(self, key: Any) -> None:
        graph = self._graph
        self._begin(key)
        value = graph.nodes[key]({other: graph.cache[other] for other in graph.dependencies[key]})
        graph.cache[key] = value
        graph.finish(key)
        self._listeners.ended(key, value)

    def _collect(self) -> _Batch:
        """The next batch; law 3. What it takes waits no more, and is not ready."""
        graph, batch = self._graph, _Batch()
        most = -(-len(graph.ready) // self._workers())  # of those that are ready, one worker's part
        cost, begun = 0.0, 0
        while len(batch.keys) < (1 if self._single else LONGEST):
            if batch.inside and (cost < ENOUGH or batch.waits_only(graph, batch.inside[-1])):
                key = batch.inside.pop()
                del graph.waiting[key]
            elif graph.ready and (
                not batch.keys or (cost < ENOUGH and begun < most and not self._runs_here(graph.ready[-1]))
            ):
                key = graph.ready.pop()
                begun += 1
            else:
                break
            batch.add(graph, key)
            cost += self._took.get(_kind(key), ENOUGH)
        everything = bool(self._listeners.after)
        batch.wanted = [key for key in batch.keys if everything or key in batch.open or key in graph.asked]
        for key in batch.keys:
            for other in graph.dependencies[key]:
                if other not in batch.taken:
                    batch.values[other] = graph.cache[other]
        return batch

    def _packed(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """What is large and goes to several, as a handle."""
        if self._settings.share is None:
            return values
        from dask.sizeof import sizeof

        packed = dict(values)
        for key, value in values.items():
            handle = self._shared.get(key)
            if handle is None and len(self._graph.needed[key]) > 1 and sizeof(value) >= self._settings.share:
                handle = self._shared[key] = self._pool.share(value)
            if handle is not None:
                packed[key] = handle
        return packed

    # -- what comes back -----------------------------------------------------------------------------------------------

    def _take(self, future: Future[Any], batch: _Batch) -> None:
        try:
            values, took = future.result()
        except Exception as error:
            if self._settings.rerun and not future.cancelled():
                run_batch([self._graph.nodes[key] for key in batch.keys], dict(batch.values), [])
            if isinstance(error, (WorkerDied, TaskTimeout)):
                error.add_note(f"it ran these Dask tasks: {', '.join(map(repr, batch.keys[:10]))}")
            raise
        for key, seconds in zip(batch.keys, took, strict=True):
            kind = _kind(key)
            self._took[kind] = (self._took.get(kind, seconds) + seconds) / 2
        came = dict(zip(batch.wanted, values, strict=True))
        self._graph.cache.update(came)
        for key in batch.keys:
            self._graph.finish(key)
            self._listeners.ended(key, came.get(key))
        for key in self._shared.keys() & self._graph.released:
            del self._shared[key]


def _kind(key: Any) -> str:
    """Tasks of one kind take about as long."""
    from dask.utils import key_split

    kind: str = key_split(key)
    return kind
