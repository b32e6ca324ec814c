"""How a pool's workers will start, and with what; and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from procession.backends.base import EngineStats, WorkerConfig
from procession.backends.launch import choose
from procession.core.pool import PoolCore
from procession.core.worker import State
from procession.driver.loop import Driver
from procession.worker.loop import prepare

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from procession.transport.codec import Codec


def arrange(
    driver: Driver, codec: Codec, config: WorkerConfig, context: BaseContext | None, preload: Sequence[str]
) -> None:
    """Give the driver its launcher, and what a worker does before its first task.

    Raises PicklingError when the initializer, its arguments or the setup do not pickle, OSError when there are no
    descriptors or processes left.
    """
    chosen = choose(context, config.initargs, config.initializer).context
    start = (config.initializer, config.initargs, config.setup)
    if chosen is None:
        driver.start_by_zygote(preload)
        if config.initializer is not None or config.setup is not None:
            driver.config["start_pickled"] = codec.encode(codec.function(prepare), start, {})
    else:
        codec.own_main = True  # a global of `__main__` that does not pickle has a value of its own there
        driver.start_by_context(chosen)
        driver.config["start"] = start
        driver.config["own_main"] = True


def counted(core: PoolCore, pending: int, driver: Driver | None) -> EngineStats:
    """The numbers of a pool, now; read without a lock."""
    states = [worker.state for worker in list(core.workers.values())]
    return EngineStats(
        workers=core.width,
        idle=states.count(State.IDLE),
        busy=states.count(State.BUSY),
        starting=states.count(State.STARTING),
        pending=pending,
        in_flight=core.in_flight,
        done=driver.done if driver is not None else 0,
        failed=driver.failed if driver is not None else 0,
        died=driver.died if driver is not None else 0,
    )
