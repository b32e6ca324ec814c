"""What test_sharing.py has run, in sessions of its own: more tests than one session keeps for itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import apart
from tests.failures.kit import wait_until

NOTES = Path(os.environ.get("SHARED_NOTES", os.devnull))
WHAT = os.environ.get("SHARED_WHAT")
"""What goes wrong in the other session: "fails", "dies", nothing."""
COUNT = 120
THERE = apart.VARIABLE in os.environ


@pytest.mark.parametrize("number", range(COUNT))
def test_one(number: int) -> None:
    """The first, which this session takes, waits for the other session to take the last ones."""
    if number == 0 and not THERE:
        wait_until(lambda: NOTES.exists() and "there" in NOTES.read_text(), "the other session has begun", 60)
    with NOTES.open("a") as file:
        file.write(f"{number} {'there' if THERE else 'here'}\n")
    if THERE and WHAT == "dies" and number == COUNT - 3:
        os._exit(3)
    assert not (THERE and WHAT == "fails" and number >= COUNT - 2)
