"""How a pool's workers will start, and with what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from procession.backends.base import WorkerConfig
from procession.backends.launch import choose
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
