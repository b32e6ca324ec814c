"""See conftest.py."""

from typing import Any

import pytest

from procession.errors import PicklingError
from procession.journal.queued import QueueJournal
from tests.properties.test_spinoffs import *  # noqa: F403


@pytest.fixture(autouse=True)
def items_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal cannot keep them either, and put would raise: it keeps something else, and they are taken in."""
    encoded = QueueJournal.encoded

    def encode(self: QueueJournal, item: Any) -> Any:
        try:
            return encoded(self, item)
        except PicklingError:
            return encoded(self, "it cannot be pickled")

    monkeypatch.setattr(QueueJournal, "encoded", encode)
