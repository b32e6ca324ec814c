"""The sheet on which a worker writes when it ran what: found by number, never half, never an old one's."""

import mmap
import os
from collections.abc import Iterator

import pytest

from procession.transport import aside, page
from procession.transport.timesheet import MOST, SLOTS, Pen, TimeSheet


@pytest.fixture
def sheets() -> Iterator[tuple[TimeSheet, TimeSheet]]:
    fd = page.create()
    ours, theirs = TimeSheet(fd), TimeSheet(fd)
    yield ours, theirs
    ours.close()
    theirs.close()
    os.close(fd)


def test_what_was_written_is_found_by_its_number(sheets: tuple[TimeSheet, TimeSheet]) -> None:
    parent, worker = sheets
    pen = Pen(worker, 7)
    for i in range(3):
        pen.began(1000 * i + 1)
        assert pen.reads(lambda body: body * 2, 21, iter((5, 8 + i)).__next__) == 42
        pen.ended(1000 * i + 50)
    aside.moved[0] += 100  # as the encoding does, of what lies aside
    pen.dumped(1000 * 2 + 90, 12)
    found = parent.columns(7, 3)
    assert list(found.started) == [1, 1001, 2001]
    assert list(found.ended) == [50, 1050, 2090]
    assert list(found.load) == [3, 4, 5]
    assert list(found.dump) == [0, 0, 40]
    assert list(found.out) == [0, 0, 112]
    pen.close()


def test_what_was_never_written_down_is_nothing(sheets: tuple[TimeSheet, TimeSheet]) -> None:
    parent, worker = sheets
    assert list(parent.columns(0, 4).started) == [0, 0, 0, 0]
    pen = Pen(worker, 2)
    pen.began(10)
    pen.ended(20)
    found = parent.columns(0, 5)
    assert list(found.started) == [0, 0, 10, 0, 0]
    assert list(found.ended) == [0, 0, 20, 0, 0]
    pen.close()


def test_one_that_runs_has_its_start(sheets: tuple[TimeSheet, TimeSheet]) -> None:
    parent, worker = sheets
    pen = Pen(worker, SLOTS + 5)
    pen.began(99)
    found = parent.columns(SLOTS + 5, 1)
    assert (found.started[0], found.ended[0]) == (99, 0)
    pen.close()


@pytest.mark.parametrize("first", [0, SLOTS - 2, 3 * SLOTS - 1, MOST - 1])
def test_it_goes_around(sheets: tuple[TimeSheet, TimeSheet], first: int) -> None:
    parent, worker = sheets
    pen = Pen(worker, first)
    for i in range(5):
        pen.began(i + 1)
        pen.ended(i + 2)
    assert list(parent.columns(first, 5).started) == [1, 2, 3, 4, 5]
    pen.close()


def test_what_was_written_over_is_nothing(sheets: tuple[TimeSheet, TimeSheet]) -> None:
    parent, worker = sheets
    pen = Pen(worker, 0)
    for i in range(SLOTS + 3):
        pen.began(i + 1)
        pen.ended(i + 2)
    # 0 to 2 are gone, and 3 may be at any moment: the worker may just be writing the next one there.
    assert list(parent.columns(0, 6).started) == [0, 0, 0, 0, 5, 6]
    whole = parent.columns(0, SLOTS + 3)
    assert len(whole.started) == SLOTS + 3
    assert list(whole.started[4:]) == list(range(5, SLOTS + 4))
    assert list(parent.columns(SLOTS, 3).started) == [SLOTS + 1, SLOTS + 2, SLOTS + 3]
    pen.close()


def test_an_entry_that_is_being_changed_is_nothing(sheets: tuple[TimeSheet, TimeSheet]) -> None:
    """Between any two stores of `began`, over an old entry: it is the old one no more, and not yet the new one."""
    parent, worker = sheets
    pen = Pen(worker, 0)
    pen.began(1)
    pen.ended(2)
    stores: list[tuple[memoryview, int]] = []
    views = pen._long, pen._short

    class Stopping:
        def __init__(self, view: memoryview) -> None:
            self.view = view

        def __setitem__(self, at: int, value: int) -> None:
            if len(stores) and stores[0][1] == 0:
                raise InterruptedError
            if stores:
                stores[0] = stores[0][0], stores[0][1] - 1
            self.view[at] = value

        def __getitem__(self, at: int) -> int:
            return self.view[at]

    for steps in range(7):
        stores[:] = [(pen._long, steps)]
        pen._long, pen._short = Stopping(views[0]), Stopping(views[1])  # type: ignore[assignment]
        pen.number = SLOTS
        with pytest.raises(InterruptedError):
            pen.began(77)
        assert list(parent.columns(SLOTS, 1).started) == [0]
    pen._long, pen._short = views
    pen.began(77)
    assert list(parent.columns(SLOTS, 1).started) == [77]
    pen.close()


@pytest.mark.skipif(not hasattr(mmap, "MADV_REMOVE"), reason="of Linux")
@pytest.mark.parametrize("first", [0, 7])
def test_what_is_cleared_is_nothing_and_what_follows_is_whole(sheets: tuple[TimeSheet, TimeSheet], first: int) -> None:
    parent, worker = sheets
    pen = Pen(worker, first)
    pen.began(1)
    parent.clear()  # while it is run
    pen.ended(2)
    pen.began(3)
    pen.ended(4)
    found = parent.columns(first, 2)
    assert (list(found.started), list(found.ended)) == ([0, 3], [0, 4])
    assert int.from_bytes(parent.memory[:8], "little") == first + 2
    pen.close()
