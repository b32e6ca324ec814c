"""Which engine a backend has, and which cluster is meant."""

from __future__ import annotations

from procession import attended, options
from procession.driver import lifecycle

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

    from procession.backends.base import Engine, WorkerConfig
    from procession.backends.cluster import Cluster


def make_engine(
    backend: str,
    max_workers: int,
    config: WorkerConfig,
    *,
    stall_after: float | None = None,
    cap: int | None = None,
    **own: Any,
) -> Engine:
    """The engine of a backend, looked after when the interpreter ends; its module is imported now.

    `stall_after`: see `Pool`. `cap`: `max_workers` is where it begins, and this the most that it may find worth having.
    `own`: words of that backend only; None and () count as not given. Raises ValueError for
    an unknown backend.
    """
    options.check_backend(backend)
    options.check_own(backend, own)
    if cap is not None and backend in options.CLUSTERS:
        raise ValueError(f'max_workers="auto" measures this machine: with backend={backend!r}, say how many, or None')
    words: dict[str, Any] = {word: value for word, value in own.items() if value is not None and value != ()}
    if cap is not None:
        words["cap"] = cap
    engine: Any
    if backend == "threads":
        from procession.driver.threads import ThreadEngine

        engine = ThreadEngine(max_workers, config, **words)
    elif backend == "inline":
        from procession.backends.inline import InlineEngine

        engine = InlineEngine(config, **words)
    elif backend in options.CLUSTERS:
        from procession.driver.far import FarEngine

        engine = FarEngine(cluster_of(backend, words.pop("address", None)), max_workers, config, **words)
    else:
        from procession.driver.processes import ProcessEngine

        engine = ProcessEngine(max_workers, config, **words)
    if stall_after is not None:
        from procession.backends.stalls import StallWatch

        engine.stalls = StallWatch(engine, stall_after)
    lifecycle.register(engine)
    attended.offer()
    made: Engine = engine
    return made


def cluster_of(backend: str, address: Any) -> Cluster:
    """The connection, made if there is none; an address that is a connection already stands for itself."""
    from procession.backends.cluster import Connected

    found: Any = address if isinstance(address, Connected) else connect(backend, address)
    return found  # type: ignore[no-any-return]


def connect(backend: str, address: Any = None) -> Cluster:
    """The cluster that there is, or a new one on this machine. Raises ImportError, naming the extra, and OSError."""
    made: Cluster
    if backend == "ray":
        from procession.backends.ray import RayCluster

        made = RayCluster.connect(address)
    else:
        from procession.backends.dask import DaskCluster

        made = DaskCluster.connect(address)
    return made


__all__ = ["cluster_of", "connect", "make_engine"]
