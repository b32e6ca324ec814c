"""See conftest.py."""

from tests.spinoff.conftest import engines  # noqa: F401
from tests.spinoff.test_batches_together import *  # noqa: F403
