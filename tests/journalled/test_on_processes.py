"""See conftest.py."""

from tests.spinoff.conftest import engines  # noqa: F401
from tests.spinoff.test_on_processes import *  # noqa: F403

del test_what_does_not_pickle_fails_at_its_place  # noqa: F821  # put raises it: the journal cannot keep it
