"""A program of before: one import has changed."""

from concurrent import futures as standard
from typing import assert_type

from depot.work import Parcel, label, pack
from procession.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    TimeoutError,
    as_completed,
    wait,
)


def main() -> None:
    with ProcessPoolExecutor(2, initializer=print, initargs=(1,)) as pool:
        futures = [pool.submit(label, n) for n in range(3)]
        assert_type(futures, list[Future[str]])
        for future in as_completed(futures, timeout=3):
            assert_type(future.result(), str)
        done, not_done = wait(futures, return_when=FIRST_COMPLETED)
        assert_type(done, set[Future[str]])
        assert_type(not_done, set[Future[str]])
    same: standard.Executor = ThreadPoolExecutor(2, "name")
    by_future: dict[standard.Future[object], int] = {same.submit(lambda: object()): 1}
    try:
        for each in by_future:
            each.result(timeout=1)
    except TimeoutError:
        pass
    with ThreadPoolExecutor(thread_name_prefix="depot") as threads:
        assert_type(list(threads.map(pack, range(3), timeout=2)), list[Parcel])
