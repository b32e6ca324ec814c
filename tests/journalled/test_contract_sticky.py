"""See conftest.py."""

from tests.contract.test_sticky import *  # noqa: F403
