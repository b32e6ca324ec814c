"""A program with a journal is killed, and goes on: its output is what it would have been (tests/soak/journals.py)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.failures.kit import seeded
from tests.soak.journalled import KINDS
from tests.soak.journals import Torture

KILLS = 5
ITEMS = 3000


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_program_that_is_killed_goes_on(kind: str, tmp_path: Path) -> None:
    rng: random.Random = seeded()
    told = Torture(kind, ITEMS, rng, tmp_path).run(KILLS)
    assert told.kills == KILLS
    assert told.ended >= 1
