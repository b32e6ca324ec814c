"""A cluster in this process, and a gate for tasks on it, as fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from procession import engines
from procession.testing.near import NearCluster
from tests.contract.conftest import Gate


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> Iterator[NearCluster]:
    """The cluster that pools of this test find."""
    made = NearCluster()
    monkeypatch.setattr(engines, "connect", lambda backend, address: made)
    yield made
    made.join()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path)
    yield made
    made.open(1000)
    made.close()


def pass_gate(arrivals: str, tickets: str) -> None:
    with open(arrivals, "wb", buffering=0) as file:
        file.write(b".")
    with open(tickets, "rb", buffering=0) as file:
        file.read(1)
