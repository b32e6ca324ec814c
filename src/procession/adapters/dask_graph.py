"""A Dask graph, as far as it has come, and who is told of it."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Graph:
    """Tasks, what they wait for, and the values that there are; `state` is what Dask's diagnostics are shown."""

    def __init__(self, dsk: Any, keys: Any, cache: Any) -> None:
        from dask._task_spec import convert_legacy_graph
        from dask.core import flatten
        from dask.order import order

        if not isinstance(dsk, Mapping):
            dsk = dsk.__dask_graph__()
        self.cache = cache
        self.asked = set(flatten(keys)) if isinstance(keys, list) else {keys}
        self.nodes: dict[Any, Any] = convert_legacy_graph(dsk, all_keys=set(dsk) | set(cache))
        self.rank = order(self.nodes)
        self.dependencies: dict[Any, set[Any]] = {}
        self.dependents: dict[Any, set[Any]] = {}
        self.waiting: dict[Any, set[Any]] = {}
        """Task -> what it waits for."""
        self.needed: dict[Any, set[Any]] = {}
        """Value -> tasks that have not run and need it."""
        self.running: set[Any] = set()
        self.finished: set[Any] = set()
        self.released: set[Any] = set()
        self._walk()
        ready = [key for key, missing in self.waiting.items() if not missing]
        for key in ready:
            del self.waiting[key]
        self.ready: list[Any] = sorted(ready, key=self.place, reverse=True)
        self.state = {
            "dependencies": self.dependencies,
            "dependents": self.dependents,
            "waiting": self.waiting,
            "waiting_data": self.needed,
            "cache": cache,
            "ready": self.ready,
            "running": self.running,
            "finished": self.finished,
            "released": self.released,
        }

    def place(self, key: Any) -> Any:
        """In Dask's order."""
        return self.rank.get(key, -1)

    def _walk(self) -> None:
        from dask._task_spec import DataNode

        stack = list(self.asked)
        while stack:
            key = stack.pop()
            if key in self.dependencies:
                continue
            self.dependencies[key] = set()
            self.dependents.setdefault(key, set())
            self.needed.setdefault(key, set())
            if key in self.cache:
                continue
            node = self.nodes.get(key)
            if node is None:
                raise ValueError(
                    f"the Dask graph has nothing under {key!r}, which {self.dependents[key] or 'you'} need"
                )
            if isinstance(node, DataNode):
                self.cache[key] = node()
                continue
            self.dependencies[key] = set(node.dependencies)
            self.waiting[key] = set()
            for other in node.dependencies:
                self.dependents.setdefault(other, set()).add(key)
                self.needed.setdefault(other, set()).add(key)
                stack.append(other)
        for key in self.waiting:
            self.waiting[key] = {other for other in self.dependencies[key] if other not in self.cache}

    def finish(self, key: Any) -> None:
        """This one has run; its value is in the cache, if somebody needs it."""
        for each in sorted(self.dependents[key], key=self.place, reverse=True):
            missing = self.waiting.get(each)
            if missing is not None:
                missing.discard(key)
                if not missing:
                    del self.waiting[each]
                    self.ready.append(each)
        for other in self.dependencies[key]:
            needed = self.needed[other]
            needed.discard(key)
            if not needed and other not in self.asked:
                self.released.add(other)
                self.cache.pop(other, None)
        self.running.discard(key)
        self.finished.add(key)


class Told:
    """Dask's callbacks around one computation."""

    def __init__(self, callbacks: Any, graph: Graph) -> None:
        from dask.callbacks import unpack_callbacks

        self._callbacks = list(callbacks)
        self._graph = graph
        _, _, self.before, self.after, _ = unpack_callbacks(self._callbacks)
        self._begun: list[Any] = []

    def __enter__(self) -> Told:
        try:
            for each in self._callbacks:
                if each[0]:
                    each[0](self._graph.nodes)
                self._begun.append(each)
            for each in self._callbacks:
                if each[1]:
                    each[1](self._graph.nodes, self._graph.state)
        except BaseException:
            self.__exit__(BaseException)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        for each in self._begun:
            if each[4]:
                each[4](self._graph.nodes, self._graph.state, kind is not None)

    def begins(self, key: Any) -> None:
        for each in self.before:
            each(key, self._graph.nodes, self._graph.state)

    def ended(self, key: Any, value: Any) -> None:
        for each in self.after:
            each(key, value, self._graph.nodes, self._graph.state, None)
