"""`procession.adapters.tqdm` beside `tqdm.contrib.concurrent`."""

from __future__ import annotations

import io
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tqdm import tqdm
from tqdm.contrib import concurrent

from procession.adapters.tqdm import process_map, thread_map
from procession.errors import WorkerDied
from tests import warm

kept_zygote = warm.keep()


@pytest.fixture(autouse=True)
def _no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of tqdm's that stays."""
    monkeypatch.setattr(tqdm, "monitor_interval", 0)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(process_map, concurrent.thread_map), (thread_map, concurrent.thread_map)]
)
def test_results_and_the_bar_are_the_same(ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    shown, wanted = io.StringIO(), io.StringIO()
    words: dict[str, Any] = {"max_workers": 2, "tqdm_class": tqdm, "desc": "sums", "mininterval": 0}
    came = ours(lambda a, b: a + b, [1, 2, 3], (10, 20, 30, 40), file=shown, **words)
    assert came == theirs(lambda a, b: a + b, [1, 2, 3], (10, 20, 30, 40), file=wanted, **words) == [11, 22, 33]
    assert "sums: 100%" in shown.getvalue()
    assert "3/3" in shown.getvalue()
    assert "3/3" in wanted.getvalue()


def test_the_source_is_read_as_results_are_taken() -> None:
    read = 0

    class Stop(Exception):
        pass

    class Bar:
        """Takes one result."""

        def __init__(self, results: Iterator[int], **_words: Any) -> None:
            self.results = results

        def __iter__(self) -> Iterator[int]:
            yield next(self.results)
            raise Stop

    def numbers() -> Iterator[int]:
        nonlocal read
        for number in itertools.count():
            read = number
            yield number

    with pytest.raises(Stop):
        process_map(abs, numbers(), max_workers=2, tqdm_class=Bar)
    assert read < 1_000_000  # how far a window of tiny results goes depends on how long the first one took


def _die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_failures() -> None:
    with pytest.raises(ZeroDivisionError):
        thread_map(lambda x: 1 // x, [1, 0], disable=True)
    with pytest.raises(WorkerDied):
        process_map(_die, range(8), max_workers=2, disable=True)
    with pytest.raises(TypeError, match="at least one iterable"):
        process_map(abs)
    assert threading.active_count() < 20


def test_all_words_of_theirs_are_taken() -> None:
    assert process_map(abs, [-1, -2], max_workers=1, chunksize=2, lock_name="mp_lock", timeout=60, disable=True) == [
        1,
        2,
    ]
    assert thread_map(abs, iter([-1]), total=1, disable=True) == [1]
