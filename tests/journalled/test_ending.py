"""See conftest.py."""

from tests.spinoff.conftest import engines  # noqa: F401
from tests.spinoff.test_ending import *  # noqa: F403
