"""Traces of the chaos: begun and ended at random; each keeps the laws of a recording, and none breaks off."""

import logging
import random
import warnings
from typing import TYPE_CHECKING

from procession import trace
from tests.seeing.test_tracing import keeps_the_laws

if TYPE_CHECKING:
    from tests.soak.load import Load


class _Broken(logging.Handler):
    """What a pool says that cannot be traced any further."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "traced" in record.msg:
            self.texts.append(self.format(record))


def traced(load: "Load", rng: random.Random, who: str) -> None:
    """One trace of what the others do meanwhile."""
    broken = _Broken()
    logger = logging.getLogger("procession")
    logger.addHandler(broken)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            with trace(None) as found:
                load.stop.wait(rng.uniform(0.01, 2.0))
    finally:
        logger.removeHandler(broken)
    if broken.texts:
        raise AssertionError(f"{who}: {broken.texts[0]}")
    keeps_the_laws(found.recording)
    load.book.counts["traces"] += 1
    load.book.counts["traced runs"] += len(found.recording)


WAYS = (traced,)
