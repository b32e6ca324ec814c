"""What is an outcome of an item, and what only says that its run was ended."""

from concurrent.futures import BrokenExecutor, CancelledError

import pytest

from procession.errors import JournalError, MemoryLimit, PoisonTask, TaskTimeout, WorkerDied, WorkerStartError
from procession.journal.outcomes import counts


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (ValueError("x"), True),
        (WorkerDied("work", -9), True),
        (WorkerDied("work", 3), True),
        (PoisonTask("work", -11), True),
        (MemoryLimit("work", None), True),
        (TaskTimeout("work", "running", 1.0, 1.0), True),
        (TaskTimeout("work", "queued", 1.0, 1.0), False),
        (WorkerDied("work", -15), False),
        (WorkerDied("work", -2), False),
        (WorkerDied("work", -1), False),
        (WorkerDied("work", None), False),  # who had started it has died as well
        (CancelledError(), False),
        (BrokenExecutor(), False),
        (WorkerStartError("x"), False),
        (JournalError("x"), False),
    ],
    ids=repr,
)
def test_a_failure_counts_if_it_says_something_about_the_item(error: BaseException, counted: bool) -> None:
    assert counts(error) is counted
