"""See conftest.py."""

from tests.contract.test_rates import *  # noqa: F403

del test_what_cannot_be_sent_takes_no_token  # noqa: F821  # put raises it: the journal cannot keep it
