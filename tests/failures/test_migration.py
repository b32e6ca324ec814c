"""The two programs of docs/failure-semantics.md, "Coming from code that rebuilds its pool", on this library."""

from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import pytest

from procession import Pool
from procession.futures import ProcessPoolExecutor
from tests.failures import tasks
from tests.failures.kit import Notes

Work = Callable[[int], int]


def square_or_die(path: str, item: int) -> int:
    """Item 3 kills its first two workers."""
    if item == 3:
        tasks.die_first_times(path, 2)
    return item * item


def rebuilding(work: Work, items: Iterable[int], attempts: int = 3) -> dict[int, int]:
    results: dict[int, int] = {}
    left = dict.fromkeys(items, 0)
    while left:
        with ProcessPoolExecutor() as pool:
            futures = {pool.submit(work, item): item for item in left}
            for future in as_completed(futures):
                item = futures[future]
                try:
                    results[item] = future.result()
                    del left[item]
                except BrokenProcessPool:
                    left[item] += 1
                    if left[item] >= attempts:
                        raise
    return results


def not_rebuilding(work: Work, items: Any, attempts: int = 3) -> dict[int, int]:
    with Pool() as pool:
        results = pool.options(retries=attempts - 1).imap(work, items)
        return dict(zip(items, results, strict=True))


def test_the_loop_around_a_pool_goes_on_working(notes: Notes) -> None:
    """Row: Coming from code that rebuilds its pool. The loop ends with all results, and blames nobody else."""
    found = rebuilding(partial(square_or_die, notes.path), range(50))
    assert found == {item: item * item for item in range(50)}


def test_and_is_not_needed_any_more(notes: Notes) -> None:
    """Row: Coming from code that rebuilds its pool. The same in three lines; and what cannot be saved, named."""
    assert not_rebuilding(partial(square_or_die, notes.path), range(50)) == {item: item * item for item in range(50)}
    with pytest.raises(BrokenProcessPool, match=r"square_or_die\[3\]"):
        not_rebuilding(partial(square_or_die, notes.path + "2"), range(50), attempts=2)
