"""Ray as a cluster for us: a seat is an actor, a call a method of it; what a worker is to have is what its actor has.

    Pool(backend="ray")                    RayCluster.connect -> ray.init, if nobody has done so
    a worker                               an actor of one CPU (or of `options(resources=)`), in which an Agent is
    a lease                                a call of its method `lease`, one at a time: Ray sees the actor at work
    all else that is asked of the agent    calls of `call`, in a concurrency group of their own
    loss of the actor, or of its machine   ActorDiedError and the like -> SeatLost
    no connection any more                 ray.shutdown(), the head is gone -> ClusterLost

Laws, beside those of cluster.py
1. Neither actors nor calls are restarted or repeated by Ray (`max_restarts=0`, `max_task_retries=0`): what runs again
   is decided by the rules of its task.
2. A session that we have started is Ray's own from then on: it ends with this program, or by `ray.shutdown()`. That is
   what ends our connection, too; a pool that is made later begins another.
3. Ray answers nobody who waits when a session is shut down; so a thread of ours looks whether it is there, every PULSE
   seconds.
4. An actor costs a second of a CPU to start. One that is given back is kept for KEPT seconds: the next pool that wants
   the same resources has it at once.
5. A head that has gone for good is a lost cluster after OUTAGE seconds: well before Ray gives up, which ends this
   process (after 60 s), and after a head that is started anew would be there.
6. `ray.kill` waits for Ray, and for ever if a thread of Ray's own calls it, as the one that tells of a loss: so it is
   left to the thread of law 3.
7. An actor that has not closed its agent within ENDS seconds hangs, and is killed.

Sources: docs.ray.io, "Actors", "Concurrency groups", "Actor fault tolerance" (2.60).
"""

from __future__ import annotations

import functools
import logging
import os
import socket
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from time import monotonic
from typing import Any

from procession.backends import hosting
from procession.backends.cluster import Connected, SeatLost, Wanted
from procession.backends.saying import say
from procession.errors import ClusterLost

Resources = tuple[tuple[str, float], ...]

PULSE = 0.5
OUTAGE = 20.0
KEPT = 3.0
ENDS = 15.0
"""Seconds: see laws 3, 5, 4 and 7."""
TOGETHER = 8
"""Threads of an actor beside the one of its leases; one of them always waits for news."""
LOST = "Ray's session is over: ray.shutdown() was called, or its head is gone"


class RayCluster(Connected):
    """A session of Ray's, as this process has one at a time."""

    name = "ray"
    _lock = threading.Lock()
    _current: RayCluster | None = None

    def __init__(self) -> None:
        self._ray = imported()
        self._session = self._now()
        self._waiting: dict[Future[Any], None] = {}
        self._kept: dict[Resources, list[tuple[Any, float]]] = {}  # idle actors, and until when each is kept
        self._condemned: list[Any] = []
        self._ending: list[tuple[Future[Any], Any, float]] = []  # until when each may take
        self._wanted = threading.Condition()
        self._over = False  # nobody looks any more whether the session is there
        self._head = str(self._ray.get_runtime_context().gcs_address)
        threading.Thread(target=self._watch, name="procession-ray-pulse", daemon=True).start()

    @classmethod
    def connect(cls, address: Any = None) -> RayCluster:
        """The session of this process, or a new one. Raises ImportError, ConnectionError, ValueError."""
        ray = imported()
        if address is not None and not isinstance(address, str):
            raise TypeError(f'address must be what ray.init takes, "auto" or "ray://host:10001" say; got {address!r}')
        with cls._lock:
            if not ray.is_initialized():
                _begin(ray, address)
                cls._current = None
            if cls._current is None or not cls._current.alive:
                cls._current = cls()
            return cls._current

    def _now(self) -> object:
        return self._ray._private.worker.global_worker.core_worker if self._ray.is_initialized() else None

    @property
    def alive(self) -> bool:
        """It is still the session of this process."""
        return not self._over and self._session is not None and self._now() is self._session

    @property
    def cpus(self) -> int:
        """See `Cluster`."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def environment(self) -> dict[str, str]:
        """See `Cluster`: what a task asks of Ray starts no session of its own."""
        return {"RAY_ADDRESS": self._head}

    def parcel(self, data: bytes) -> Any:
        """See `Cluster`: an object of Ray's store."""
        if not self.alive:
            raise ClusterLost(LOST)
        return self._ray.put(data)

    def seat(self, wanted: Wanted) -> RaySeat:
        """See `Cluster`."""
        if not self.alive:
            raise ClusterLost(LOST)
        resources = tuple(sorted(wanted.resources.items()))
        with self._wanted:
            kept = self._kept.get(resources)
            actor = kept.pop()[0] if kept else None
        if actor is None:
            actor = _actor_class().options(**as_ray_says(wanted.resources)).remote()
        return RaySeat(self, actor, resources, wanted)

    def keep(self, actor: Any, resources: Resources) -> None:
        """Law 4."""
        with self._wanted:
            self._kept.setdefault(resources, []).append((actor, monotonic() + KEPT))

    def dispose(self, actor: Any) -> None:
        """It is not wanted any more, see law 6."""
        with self._wanted:
            self._condemned.append(actor)
            self._wanted.notify()

    def let_end(self, ended: Future[Any], actor: Any) -> None:
        """Its agent was asked to end; an actor that does not answer in time is killed."""
        with self._wanted:
            self._ending.append((ended, actor, monotonic() + ENDS))

    def _kill(self, actor: Any) -> None:
        with suppress(Exception):  # it is gone, or the session is
            self._ray.kill(actor, no_restart=True)

    def _sweep(self) -> list[Any]:
        """Those that were kept for long enough."""
        now = monotonic()
        old, self._condemned = self._condemned, []
        ending = [each for each in self._ending if not each[0].done()]
        old += [actor for _, actor, until in ending if until <= now]
        self._ending = [each for each in ending if each[2] > now]
        for kept in self._kept.values():
            while kept and kept[0][1] <= now:
                old.append(kept.pop(0)[0])
        return old

    # -- calls -------------------------------------------------------------------------------------------------------

    def follow(self, make: Any) -> Future[Any]:
        """The outcome of the call that `make()` makes."""
        future: Future[Any] = Future()
        try:
            if not self.alive:
                raise ClusterLost(LOST)
            reference = make()
        except Exception as error:
            future.set_exception(error if isinstance(error, ClusterLost) else self._meant(error))
            return future
        with self._wanted:
            self._waiting[future] = None
        if self._over:
            self._settle(future, None, ClusterLost(LOST))
        reference.future().add_done_callback(lambda done: self._came(future, done))
        return future

    def _came(self, future: Future[Any], done: Future[Any]) -> None:
        """By a thread of Ray's."""
        error = RuntimeError("the call was cancelled") if done.cancelled() else done.exception()
        self._settle(future, None if error is not None else done.result(), error and self._meant(error))

    def _settle(self, future: Future[Any], value: Any, error: BaseException | None) -> None:
        with self._wanted:
            if self._waiting.pop(future, future) is future:
                return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    def _watch(self) -> None:
        """Laws 3, 4 and 5."""
        why, answered = LOST, monotonic()
        while self.alive:
            with self._wanted:
                self._wanted.wait(PULSE)
                old, waiting = self._sweep(), list(self._waiting)
            for each in old:
                self._kill(each)
            if not waiting or self._head_answers():
                answered = monotonic()
            elif monotonic() - answered > OUTAGE:
                why = f"Ray's head has not answered for {OUTAGE:.0f} s"
                break
        with self._wanted:
            self._over = True
            waiting = list(self._waiting)
        for future in waiting:
            self._settle(future, None, ClusterLost(why))
        if why is not LOST and self._now() is self._session:
            say(logging.ERROR, "%s: this program leaves its session, since Ray would end it soon", why)
            self._ray.shutdown()

    def _head_answers(self) -> bool:
        host, _, port = self._head.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), 1.0).close()
            return True
        except (OSError, ValueError):
            return False

    def _meant(self, error: BaseException) -> BaseException:
        """What an error of Ray's is to us."""
        found = self._ray.exceptions
        if isinstance(error, found.RayTaskError):  # of the agent itself: a bug of ours, or it was closed
            return SeatLost(f"its agent has failed: {error}", again=False)
        if isinstance(error, found.RayActorError):
            text = " ".join(str(error).split())
            creation = isinstance(getattr(error, "cause", None), found.RayTaskError)
            return SeatLost(f"Ray says: {text}", again=not creation and "creation task" not in text)
        if isinstance(error, (found.OutOfMemoryError, found.ObjectLostError, found.WorkerCrashedError)):
            return SeatLost(f"Ray says: {error}")
        if not self.alive or isinstance(error, (ConnectionError, found.RaySystemError)):
            lost = ClusterLost(f"{LOST} ({type(error).__name__}: {error})")
            lost.__cause__ = error
            return lost
        return SeatLost(f"Ray says: {type(error).__name__}: {error}")


class RaySeat:
    """An actor, or what of it is ours: it may have served another pool before."""

    def __init__(self, cluster: RayCluster, actor: Any, resources: Resources, wanted: Wanted) -> None:
        self.where = "an actor of Ray's"
        self._cluster = cluster
        self._actor = actor
        self._resources = resources
        self._key = uuid.uuid4().hex
        self._released = False
        self._begun = cluster.follow(lambda: actor.begin.remote(self._key, wanted.make, wanted.setting))
        self.call("whereabouts").add_done_callback(self._known)

    def _known(self, done: Future[Any]) -> None:
        if done.exception() is None:
            self.where = str(done.result())

    @property
    def placed(self) -> bool:
        """See `Seat`."""
        return self._begun.done()

    def call(self, name: str, *args: Any) -> Future[Any]:
        """See `Seat`."""
        return self._cluster.follow(lambda: self._actor.call.remote(self._key, name, args))

    def lease(self, *args: Any) -> Future[Any]:
        """See `Seat`."""
        return self._cluster.follow(lambda: self._actor.lease.remote(self._key, *args))

    def release(self) -> None:
        """See `Seat`."""
        if self._released or not self._cluster.alive:
            return
        self._released = True
        if self._begun.done() and self._begun.exception() is None:
            ended = self._cluster.follow(lambda: self._actor.end.remote(self._key))
            self._cluster.let_end(ended, self._actor)
            ended.add_done_callback(self._ended)
        else:  # it waits for room, perhaps
            self._cluster.dispose(self._actor)

    def _ended(self, done: Future[Any]) -> None:
        if done.exception() is None:
            self._cluster.keep(self._actor, self._resources)
        else:
            self._cluster.dispose(self._actor)


def imported() -> Any:
    """Ray. Raises ImportError, which names the extra."""
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("backend=\"ray\" needs Ray: pip install 'procession[ray]'") from error
    return ray


def _begin(ray: Any, address: str | None) -> None:
    """Connect, or start Ray on this machine: quietly, with the CPUs that this process may use."""
    from procession import cpu

    if address is None and not os.environ.get("RAY_ADDRESS"):
        ray.init(
            address="local",
            num_cpus=cpu.available(),
            include_dashboard=False,
            configure_logging=False,
            log_to_driver=False,
        )
    else:
        ray.init(address=address, configure_logging=False, log_to_driver=False)


def as_ray_says(resources: Mapping[str, float]) -> dict[str, Any]:
    """The options of an actor: "CPU", "GPU" and "memory" (bytes) have words of their own there."""
    others = dict(resources)
    said: dict[str, Any] = {
        "num_cpus": others.pop("CPU", 1),
        "max_restarts": 0,
        "max_task_retries": 0,
    }
    if "GPU" in others:
        said["num_gpus"] = others.pop("GPU")
    if "memory" in others:
        said["memory"] = others.pop("memory")
    if others:
        said["resources"] = others
    return said


@functools.cache
def _actor_class() -> Any:
    ray = imported()

    beside = ray.method(concurrency_group="beside")

    class ProcessionWorker:
        """The actor: who is called by the words of `hosting`."""

        def lease(self, key: str, *args: Any) -> Any:
            """One at a time."""
            return hosting.here.answer(key, "lease", args)

        @beside  # type: ignore[untyped-decorator]
        def begin(self, key: str, make: Any, setting: Any) -> None:
            """An agent."""
            hosting.here.begin(key, make, setting)

        @beside  # type: ignore[untyped-decorator]
        def call(self, key: str, name: str, args: Any) -> Any:
            """Any other method of it."""
            return hosting.here.answer(key, name, args)

        @beside  # type: ignore[untyped-decorator]
        def end(self, key: str) -> None:
            """It is not wanted any more."""
            hosting.here.end(key)

    return ray.remote(concurrency_groups={"beside": TOGETHER})(ProcessionWorker)


__all__ = ["RayCluster", "RaySeat", "as_ray_says", "imported"]
