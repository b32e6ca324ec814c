"""See conftest.py."""

from tests.contract.test_batches import *  # noqa: F403

del test_what_cannot_be_sent_fails_alone  # noqa: F821  # put raises it: the journal cannot keep it
