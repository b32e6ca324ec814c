"""What an engine of processes works with, and how its workers will start.

Imported while the zygote comes up (`ProcessEngine._start_here`); the engine reaches what it needs of all this through
here, so that nothing is left to be imported when something goes wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from procession.backends.base import WorkerConfig
from procession.core import events
from procession.cpu import budget
from procession.driver import dumping, leftovers
from procession.driver.answers import by_pid, numbers
from procession.driver.inbox import Inbox
from procession.driver.loop import Driver
from procession.driver.recycling import limits
from procession.driver.taking_back import taken_back
from procession.worker.loop import prepare

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from procession.transport.codec import Codec


def arrange(
    driver: Driver, codec: Codec, config: WorkerConfig, context: BaseContext | None, preload: Sequence[str], among: int
) -> None:
    """Give the driver its launcher, and what a worker does before its first task.

    `context`: what `launch.choose` has found. `among`: the CPUs are for so many workers. Raises PicklingError when the
    initializer, its arguments or the setup do not pickle, OSError when there are no descriptors or processes left.
    """
    start = (config.initializer, config.initargs, config.setup)
    driver.config["cpus"] = budget(among).cpus
    if context is None:
        driver.start_by_zygote(preload)
        if config.initializer is not None or config.setup is not None:
            driver.config["start_pickled"] = codec.encode(codec.function(prepare), start, {})
    else:
        codec.own_main = True  # a global of `__main__` that does not pickle has a value of its own there
        driver.start_by_context(context)
        driver.config["start"] = start
        driver.config["own_main"] = True


__all__ = ["Driver", "Inbox", "arrange", "by_pid", "dumping", "events", "leftovers", "limits", "numbers", "taken_back"]
