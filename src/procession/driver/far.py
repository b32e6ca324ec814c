"""The engine of a pool on a cluster: what a pool calls, as the process engine has it; workers are Ray's or Dask's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from procession.backends.base import Capabilities, EngineStats, WorkerConfig
from procession.backends.cluster import Cluster
from procession.backends.heard import definition_of
from procession.driver import lifecycle
from procession.driver.inbox import Inbox
from procession.driver.processes import ProcessEngine


class FarEngine(ProcessEngine):
    """Workers on a cluster behind the contract of `backends.base.Engine`.

    Args:
        cluster: the connection.
        max_workers: at most so many, started when there is work for them, as the cluster has room.
        config: initializer and setup; and what each worker takes of the cluster: "CPU" is 1 unless that says otherwise.
        max_tasks_per_child, preload: see `ProcessEngine`.
    """

    def __init__(
        self,
        cluster: Cluster,
        max_workers: int,
        config: WorkerConfig,
        *,
        max_tasks_per_child: int | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        super().__init__(max_workers, config, max_tasks_per_child=max_tasks_per_child, preload=preload)
        self.capabilities = Capabilities(cluster.name, can_kill=True, owns_workers=True, pickles=True, in_caller=False)
        self.cluster = cluster
        self._resources: dict[str, float] = {"CPU": 1.0, **(config.resources or {})}
        self._others: dict[tuple[tuple[str, float], ...], FarEngine] = {}

    def having(self, resources: Mapping[str, float]) -> FarEngine:
        """The engine, beside this, of the workers that have these; it ends with this."""
        wanted = {"CPU": 1.0, **resources}
        if wanted == self._resources:
            return self
        key = tuple(sorted(wanted.items()))
        with self._starting:
            other = self._others.get(key)
            if other is None:
                self._refuse()
                config = self._config
                config = WorkerConfig(config.initializer, config.initargs, config.setup, config.beside, dict(resources))
                words = {"max_tasks_per_child": self._max_tasks, "preload": self._preload}
                other = self._others[key] = FarEngine(self.cluster, self.max_workers, config, **words)  # type: ignore[arg-type]
                other.role = self.role
                lifecycle.register(other)
            return other

    def load_kit(self) -> None:
        """See `Beginning`."""
        from procession.driver import far_arrange

        self.kit = far_arrange

    def _load(self) -> None:
        from procession import tapping
        from procession.core.policy import FarProfile
        from procession.core.pool import PoolCore
        from procession.driver.far_arrange import Nowhere
        from procession.transport.codec import Codec

        core = PoolCore(self.max_workers, max_tasks_per_child=self._max_tasks, far=True)
        core, codec = vars(self).setdefault("_first", (core, Codec(FarProfile, supply=Nowhere())))
        vars(self).update(core=core, codec=codec, encode=codec.encode)
        if tapping.tap is not None:
            self.note_encoding(tapping.tap)

    def share(self, obj: Any) -> Any:
        """See `Engine.share`: into the cluster's store once, from there to each worker once, before its next lease."""
        from procession.transport.handles import Core, Shared
        from procession.transport.paths import pickling_error
        from procession.transport.pickler import dumps_shared
        from procession.worker.lent import shared

        self._refuse()
        self.begin()
        try:
            payload = dumps_shared(obj, None)
        except Exception as error:
            raise pickling_error("what is to be shared", obj, error) from error
        number, life = self.codec.number()
        driver: Any = self._driver
        parcel = self.cluster.parcel(definition_of(number, payload))
        self._request(lambda: driver.parcels.__setitem__(number, parcel))
        return Shared(Core((shared, (number,)), [life]))

    def _start_here(self) -> Inbox:
        with self._starting:
            if self.inbox is not None:
                return self.inbox
            self._refuse()
            return self._begin((self.cluster, self._resources))  # type: ignore[arg-type]  # as its kit takes it

    # -- with those beside it ------------------------------------------------------------------------------------

    def shutdown(self, wait: bool, cancel: bool) -> None:
        """See `Engine.shutdown`."""
        for other in list(self._others.values()):
            other.shutdown(False, cancel)
        super().shutdown(wait, cancel)
        if wait:
            for other in list(self._others.values()):
                other.shutdown(True, cancel)

    def kill(self, signum: int) -> None:
        """See `Engine.kill`."""
        for other in list(self._others.values()):
            other.kill(signum)
        super().kill(signum)

    def resize(self, max_workers: int) -> None:
        """See `Engine.resize`."""
        for other in list(self._others.values()):
            other.resize(max_workers)
        super().resize(max_workers)

    def stats(self) -> EngineStats:
        """See `Engine.stats`: of all of them."""
        found = [each.alone() for each in self._family()]
        if len(found) == 1:
            return found[0]
        names = [name for name in EngineStats.__annotations__ if name not in ("auto", "quarantined")]
        sums: dict[str, Any] = {name: sum(getattr(each, name) for each in found) for name in names}
        return EngineStats(**sums, quarantined=tuple(error for each in found for error in each.quarantined))

    def seal(self) -> None:
        """See `ProcessEngine.seal`: what comes from there is rebuilt here."""

    def picture(self) -> str:
        """See `Dumps`."""
        if self.foreign:
            return str(lifecycle.foreign())
        from procession.driver.far_dumping import of_clusters

        return of_clusters(self._family())

    def _family(self) -> list[FarEngine]:
        return [self, *(each for other in list(self._others.values()) for each in other._family())]

    # -- for who looks on --------------------------------------------------------------------------------------------

    @property
    def beside(self) -> str:
        """What its workers have beside a CPU, in words for people; empty if nothing."""
        others = {name: amount for name, amount in self._resources.items() if (name, amount) != ("CPU", 1.0)}
        return f" ({', '.join(f'{name}: {amount:g}' for name, amount in sorted(others.items()))})" if others else ""

    def alone(self) -> EngineStats:
        """See `Enrolled`."""
        return super().stats()

    def _taken(self) -> dict[str, Any]:
        """Nothing is known of that from here."""
        return {}

    def _shown(self) -> dict[str, Any]:
        from procession.driver.far_shown import of_cluster

        return of_cluster(self, self._driver, self._request)


__all__ = ["FarEngine"]
