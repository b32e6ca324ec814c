"""See conftest.py."""

from tests.spinoff.conftest import engines  # noqa: F401
from tests.spinoff.test_put_and_take import *  # noqa: F403
