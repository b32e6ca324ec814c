"""What an engine works with whose workers are on a cluster; as arrange.py, in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procession.backends.base import WorkerConfig
from procession.core import events
from procession.driver import dumping, leftovers
from procession.driver.answers import by_pid, numbers
from procession.driver.far_loop import FarDriver as Driver
from procession.driver.inbox import Inbox
from procession.driver.recycling import limits
from procession.driver.taking_back import taken_back
from procession.worker.loop import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from procession.transport.codec import Codec


class Nowhere:
    """No arena: what is sent to another machine lies in no memory of this one. (A `Supply`, and as `Arenas` has it.)"""

    restless = False

    def arena(self) -> None:
        """See `Supply`."""

    def open(self) -> None:
        """None for a worker, either."""

    def close(self) -> None:
        """Nothing is given back."""


def arrange(driver: Any, codec: Codec, config: WorkerConfig, context: Any, preload: Sequence[str], among: int) -> None:
    """See `arrange.arrange`; `context`: the cluster, and what each worker is to have of it."""
    start = (config.initializer, config.initargs, config.setup)
    cluster, resources = context
    driver.config["cpus"] = max(1, int(resources.get("CPU", 1)))
    driver.start_by_cluster(cluster, resources, tuple(preload))
    if config.initializer is not None or config.setup is not None:
        driver.config["start_pickled"] = codec.encode(codec.function(prepare), start, {})


__all__ = [
    "Driver",
    "Inbox",
    "Nowhere",
    "arrange",
    "by_pid",
    "dumping",
    "events",
    "leftovers",
    "limits",
    "numbers",
    "taken_back",
]
