"""What a cluster is to us: it gives out places for workers, and carries calls to the agents there.

Ray and Dask have a file each (ray.py, dask.py) that puts these words into theirs; `driver/far_loop.py` drives whatever
keeps this contract, and `procession.testing.near` is one without a cluster, for tests.

Laws
1. No method waits for the cluster, but `parcel`. What is asked for is answered by a future, on a thread of the
   cluster's; whoever adds a callback to it does nothing there but leave a note.
2. A call to an agent whose process is gone fails with `SeatLost`, also one that was waiting; so `news`, which always
   waits, tells of each loss. It says what the cluster says of it.
3. When the cluster itself is gone, every call fails with `ClusterLost`.
4. Each call runs once at most: the cluster repeats none of its own accord.
5. What a seat has taken of the cluster is given back by `release`, or at the end of the program that took it, however
   that ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from procession.lean import NamedTuple

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import NamedTuple


class SeatLost(Exception):
    """The process of an agent is gone, and why, as the cluster says it; `again`: another place may be found."""

    def __init__(self, why: str, again: bool = True) -> None:
        super().__init__(why)
        self.why = why
        self.again = again


class Wanted(NamedTuple):
    """What a worker is to have."""

    setting: Any
    """What its agent is made of (driver/agent_wire.py)."""
    make: Callable[[Any], Any]
    """Makes the agent, where it is to be: importable by name there."""
    resources: Mapping[str, float]
    """As `options(resources=)` has them; "CPU" is 1 unless it says otherwise."""


class Seat(Protocol):
    """A place for one worker after another, with an agent in it."""

    where: str
    """For people: which machine, or which process, it is in; may be known only once it is taken."""

    @property
    def placed(self) -> bool:
        """It is a place now, and is not waited for."""
        ...

    def call(self, name: str, /, *args: Any) -> Future[Any]:
        """`agent.name(*args)`; beside what else goes on there."""
        ...

    def lease(self, wid: int, number: int, marks: bytes, leases: int, /, *data: Any) -> Future[Any]:
        """`agent.lease(...)`, as a task of the cluster's: as long as it runs, the place counts as busy.

        `data`: bytes, or parcels of them.
        """
        ...

    def release(self) -> None:
        """Close the agent and give the place back. Never raises."""
        ...


class Connected:
    """A connection to a cluster."""


class Cluster(Protocol):
    """The same, as those who use it see it."""

    name: str
    """"ray" or "dask"."""

    @property
    def cpus(self) -> int:
        """So many workers with a CPU each have room there now, if nobody else uses it."""
        ...

    def seat(self, wanted: Wanted) -> Seat:
        """Ask for a place. While there is none, calls wait."""
        ...

    def parcel(self, data: bytes) -> Any:
        """Put this into the cluster's store, once; what is returned stands for it in a lease's `data`. May wait."""
        ...

    def environment(self) -> dict[str, str]:
        """Variables by which a task finds the same cluster."""
        ...


__all__ = ["Cluster", "Connected", "Seat", "SeatLost", "Wanted"]
