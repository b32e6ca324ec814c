"""The reference workload: its limit, the record of a run, the diary."""

import os
import pickle
import threading
from pathlib import Path

import pytest

from procession.cli.workload import ITEMS, Work, limit, read, write


def seconds() -> list[float]:
    return [Work().seconds(item) for item in ITEMS]


def test_thirteen_seconds_in_sequence() -> None:
    assert ITEMS == (3, 6, 9, 12, 15, 18, 21, 24, 27, 30)
    assert sum(seconds()) == 13.0


@pytest.mark.parametrize(
    ("step", "workers", "best"),
    [
        (0.0, 1, 13.0),
        (0.0, 8, 4.0),
        (0.0, 10, 4.0),
        (0.0, 2, 7.0),  # 3 and 6; 9 until 5, and six of the others beside and after it
        (0.25, 1, 13.75),  # the first item comes after three steps
        (0.25, 8, 8.5),  # the last one comes after thirty
    ],
)
def test_the_limit(step: float, workers: int, best: float) -> None:
    assert limit([item * step for item in ITEMS], seconds(), workers) == best


def test_a_run_says_who_and_when(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    diary.touch()
    work = pickle.loads(pickle.dumps(Work(0.001, str(diary))))
    done = work(9)
    assert (done.item, done.pid, done.thread) == (9, os.getpid(), threading.get_native_id())
    assert done.end - done.start >= 0.004
    assert [tuple(entry) for entry in read(str(diary))] == [tuple(done)]
    assert len(diary.read_text().splitlines()) == 2


def test_the_diary_tells_what_still_runs(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    diary.touch()
    assert list(read(str(diary))) == []
    write(str(diary), 3, 1.5, None)
    write(str(diary), 6, 1.75, None)
    write(str(diary), 3, 1.5, 2.5)
    with diary.open("a") as file:
        file.write("9 12 3")  # a line that is being written
    assert [(entry.item, entry.start, entry.end) for entry in read(str(diary))] == [(3, 1.5, 2.5), (6, 1.75, None)]
