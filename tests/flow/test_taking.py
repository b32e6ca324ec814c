"""Taking with the place of each result, and with something to do before one waits; and draining."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from procession import Failure, Pipeline, Pool, Stage
from procession.stream_taking import Taker, drain

KINDS = ("imap", "unordered", "pipeline", "unordered pipeline")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Stream:
    """One of each kind, on threads, with what it needs."""

    def __init__(self, kind: str, fn: Any, items: Any, **words: Any) -> None:
        ordered = not kind.startswith("unordered")
        self.workers: Any
        if "pipeline" in kind:
            self.workers = Pipeline(Stage(fn, workers=2, backend="threads"), ordered=ordered, window=50)
            self.workers.__enter__()
            self.stream = self.workers.run(items, **words)
        else:
            self.workers = Pool(2, backend="threads")
            self.stream = self.workers.imap(fn, items, ordered=ordered, window=50, **words)

    def __enter__(self) -> Any:
        return self.stream

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.workers.__exit__(None, None, None)


def all_of(taker: Taker) -> Iterator[tuple[int, Any]]:
    while True:
        try:
            value = taker.take(lambda: None)
        except StopIteration:
            return
        yield taker.place, value


def test_each_result_has_its_place_and_so_has_each_failure(kind: str) -> None:
    failures: list[Failure] = []

    def tenth(x: int) -> int:
        return 10 // (x % 7) + 100 * x

    with Stream(kind, tenth, iter(range(200)), on_error=failures.append) as stream:
        found = dict(all_of(Taker(stream)))
    assert found == {x: tenth(x) for x in range(200) if x % 7}
    assert sorted(each.index for each in failures) == [*range(0, 200, 7)]


def test_a_place_stays_when_the_stream_is_closed_meanwhile(kind: str) -> None:
    with Stream(kind, abs, iter(range(20))) as stream:
        taker = Taker(stream)
        value = taker.take(lambda: None)
        closer = threading.Thread(target=stream.close)
        closer.start()
        closer.join()
        assert taker.place == value
        assert [*all_of(taker)] == []


def test_idle_is_called_before_one_waits_and_never_for_what_is_ready(kind: str) -> None:
    gate = threading.Event()
    idle: list[int] = []

    def wait(x: int) -> int:
        assert x or gate.wait(30)
        return x

    with Stream(kind, wait, iter(range(1))) as stream:
        taker = Taker(stream)

        def open_gate() -> None:
            idle.append(len(idle))
            gate.set()

        assert taker.take(open_gate) == 0
    assert idle
    assert gate.is_set()


def test_who_drains_gets_what_runs_and_an_end(kind: str) -> None:
    """Of an endless source; what was taken in and not started is withdrawn."""
    gate = threading.Event()
    running = threading.Semaphore(0)
    failures: list[Failure] = []
    begun: list[int] = []

    def wait(x: int) -> int:
        begun.append(x)
        running.release()
        assert gate.wait(30)
        return x

    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    with Stream(kind, wait, endless(), on_error=failures.append, live=True) as stream:
        assert running.acquire(timeout=30)
        assert running.acquire(timeout=30)
        drainer = threading.Thread(target=drain, args=(stream,))
        drainer.start()
        drainer.join()
        if "pipeline" in kind:  # whose conductor does it
            deadline = time.monotonic() + 30
            while not stream._exit.conductor._calls.withdrawn:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        gate.set()
        found = sorted(value for _, value in all_of(Taker(stream)))
    assert found == sorted(begun)
    assert 2 <= len(found) < 50
    assert all(isinstance(each.error, CancelledError) for each in failures)
    assert sorted(found + [each.index for each in failures]) == [*range(len(found) + len(failures))]


def test_an_exception_of_on_error_comes_out_and_the_stream_goes_on(kind: str) -> None:
    def refuse(failure: Failure) -> None:
        raise LookupError(failure.index)

    with Stream(kind, lambda x: 1 // x, iter([1, 0, 1]), on_error=refuse) as stream:
        taker = Taker(stream)
        values: list[int] = []
        raised: list[object] = []
        while True:
            try:
                values.append(taker.take(lambda: None))
            except LookupError as error:
                raised.append(error.args)
            except StopIteration:
                break
    assert (values, raised) == ([1, 1], [(1,)])
