"""See conftest.py."""

from tests.spinoff.conftest import engines  # noqa: F401
from tests.spinoff.test_full import *  # noqa: F403
