"""An engine on which the streams run for real; `fakes.py` has one that a test plays by hand."""

from collections.abc import Iterator

import pytest

from procession.backends.base import WorkerConfig
from procession.driver.threads import ThreadEngine


@pytest.fixture
def threads() -> Iterator[ThreadEngine]:
    engine = ThreadEngine(3, WorkerConfig())
    yield engine
    engine.shutdown(wait=True, cancel=False)
