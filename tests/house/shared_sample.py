"""What test_sharing.py has run, in sessions of its own: more tests than one session keeps for itself."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests import apart
from tests.failures.kit import wait_until

NOTES = Path(os.environ.get("SHARED_NOTES", os.devnull))
WHAT = os.environ.get("SHARED_WHAT")
"""What goes wrong in the other session: "fails", "dies", "hangs", nothing. Or "apart": the program of low priority."""
COUNT = 120
THERE = apart.VARIABLE in os.environ
BEGUN = NOTES.with_suffix(".begun")
if WHAT == "apart":
    apart.PLACES = (Path(__file__).relative_to(apart.ROOT).as_posix(),)


def has_run(where: str) -> bool:
    """A test there, or here."""
    return NOTES.exists() and where in NOTES.read_text()


LIMITED = pytest.param(COUNT - 3, marks=pytest.mark.timeout(1, method="thread") if WHAT == "hangs" else ())
NUMBERS = [LIMITED if number == COUNT - 3 else number for number in range(COUNT)]


@pytest.mark.parametrize("number", NUMBERS)
def test_one(number: int) -> None:
    """The first that this session takes waits for the other session to begin at the other end."""
    if number == 0 and WHAT == "apart":
        BEGUN.touch()
        wait_until(lambda: has_run("here"), "this session goes on with what is left", 60)
    elif number == 0 and not THERE:
        wait_until(lambda: has_run("there"), "the other session has begun", 60)
    elif number == COUNT - apart.BUNDLE and not THERE and WHAT == "apart":
        wait_until(BEGUN.exists, "the program of low priority has begun", 60)
    with NOTES.open("a") as file:
        file.write(f"{number} {'there' if THERE else 'here'}\n")
    if THERE and WHAT == "dies" and number == COUNT - 3:
        os._exit(3)
    if THERE and WHAT == "hangs" and number == COUNT - 3:
        threading.Event().wait()
    assert not (THERE and WHAT == "fails" and number >= COUNT - 2)
