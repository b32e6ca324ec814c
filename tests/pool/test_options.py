"""Bad input is refused at the call, with the word's name and what would be right."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest

from procession import Pool
from procession.futures import ProcessPoolExecutor, ThreadPoolExecutor

FORK = multiprocessing.get_context("fork")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Pool(backend="celery"),
            ValueError,
            r"backend must be one of 'processes', 'threads', 'inline', 'ray', 'dask'; got",
        ),
        (lambda: Pool(0), ValueError, "max_workers must be greater than 0"),
        (lambda: Pool(-1), ValueError, "max_workers must be greater than 0"),
        (lambda: Pool("4"), TypeError, "max_workers must be an integer or None"),
        (lambda: Pool(True), TypeError, "max_workers must be an integer"),
        (lambda: Pool(initializer=5), TypeError, "initializer must be a callable"),
        (lambda: Pool(initializer=print, initargs=5), TypeError, "initargs must be a tuple"),
        (lambda: Pool(initializer=print, initargs="abc"), TypeError, "initargs must be a tuple"),
        (lambda: Pool(setup=5), TypeError, "setup must be a callable"),
        (lambda: Pool(processes=4), TypeError, r"unexpected keyword argument 'processes'; use max_workers"),
        (lambda: Pool(n_jobs=4), TypeError, "use max_workers"),
        (lambda: Pool(n_jobs=None), TypeError, "use max_workers"),
        (lambda: Pool(maxtasksperchild=4), TypeError, "use max_tasks_per_child"),
        (lambda: Pool(banana=4), TypeError, "unexpected keyword argument 'banana'$"),
        (lambda: Pool(address="tcp://", backend="threads"), TypeError, "address is an option of"),
        (lambda: Pool(pickle=True, backend="threads"), TypeError, r'pickle is an option of backend="inline"; this'),
        (lambda: Pool(mp_context=FORK, backend="threads"), TypeError, 'mp_context is an option of backend="processes"'),
        (lambda: Pool(preload=["os"], backend="inline"), TypeError, 'preload is an option of backend="processes"'),
        (lambda: Pool(preload="os"), TypeError, "preload must be a sequence of module names"),
        (lambda: Pool(preload=[5]), TypeError, "preload must be names of modules"),
        (lambda: Pool(max_tasks_per_child=0), ValueError, "max_tasks_per_child must be >= 1"),
        (lambda: Pool(max_tasks_per_child=1.5), TypeError, "max_tasks_per_child must be an integer"),
        (lambda: Pool(mp_context=FORK, max_tasks_per_child=1), ValueError, "incompatible with the 'fork'"),
        (lambda: Pool(max_pending=0), ValueError, "max_pending must be at least 1"),
        (lambda: Pool(max_pending="5"), TypeError, "max_pending must be an integer or None"),
        (lambda: Pool(max_pending=5, overflow="explode"), ValueError, "overflow must be one of 'block', 'raise'"),
        (lambda: Pool(overflow="raise"), ValueError, "overflow='raise' needs max_pending"),
        (lambda: ProcessPoolExecutor(0), ValueError, "max_workers must be greater than 0"),
        (lambda: ThreadPoolExecutor(-1), ValueError, "max_workers must be greater than 0"),
        (lambda: ThreadPoolExecutor(initializer=5), TypeError, "initializer must be a callable"),
    ],
)
def test_a_pool_is_not_made(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda p: p.submit(5), TypeError, "fn must be callable, not int"),
        (lambda p: p.map(5, [1]), TypeError, "fn must be callable, not int"),
        (lambda p: p.imap(None, [1]), TypeError, "fn must be callable, not NoneType"),
        (
            lambda p: p.imap(abs, [1], 100),
            TypeError,
            "int is none; for items per lease say chunksize=100, .* window=100",
        ),
        (lambda p: p.map(abs, [1], 100), TypeError, "buffersize=100"),
        (lambda p: p.aimap(abs, 5), TypeError, "window=5"),
        (lambda p: p.map(abs, None), TypeError, "NoneType is none"),
        (lambda p: p.imap(abs), TypeError, "iterable"),
        (lambda p: p.imap(abs, [1], window=0), ValueError, "window must be at least 1"),
        (lambda p: p.imap(abs, [1], window="1"), TypeError, "window must be an integer"),
        (lambda p: p.imap(abs, [1], chunksize=0), ValueError, "chunksize must be at least 1"),
        (lambda p: p.imap(abs, [1], on_error="ignore"), ValueError, "on_error must be"),
        (lambda p: p.imap(abs, [1], key=5), TypeError, "key must be a callable"),
        (lambda p: p.imap(abs, [1], chunk_size=5), TypeError, "use chunksize"),
        (lambda p: p.imap(abs, [1], timeout=5), TypeError, r"'timeout'; use options\(timeout=\).*map\(timeout=\)"),
        (lambda p: p.imap(abs, [1], n_jobs=5), TypeError, "use max_workers of the pool"),
        (lambda p: p.imap_unordered(abs, [1], ordered=False), TypeError, "unexpected keyword argument 'ordered'"),
        (lambda p: p.map(abs, [1], chunksize=-1), ValueError, "chunksize must be at least 1"),
        (lambda p: p.map(abs, [1], buffersize=0), ValueError, "buffersize must be None or > 0"),
        (lambda p: p.map(abs, [1], window=3), TypeError, "use buffersize"),
        (lambda p: p.options(nmae="x"), TypeError, "unexpected keyword argument 'nmae'"),
        (lambda p: p.options(label="x"), TypeError, "use name"),
        (lambda p: p.options(name=5), TypeError, "name must be a string"),
        (lambda p: p.options(max_retries=5), TypeError, "use retries"),
        (lambda p: p.options(timeout=0), ValueError, "timeout must be greater than 0 seconds"),
        (lambda p: p.options(timeout=-1.0), ValueError, "timeout must be greater than 0 seconds"),
        (lambda p: p.options(timeout=float("nan")), ValueError, "timeout must be greater than 0 .* got nan"),
        (lambda p: p.options(timeout=float("inf")), ValueError, "timeout must be .* or None; got inf"),
        (lambda p: p.options(timeout="5"), TypeError, "timeout must be a number of seconds or None, not str"),
        (lambda p: p.options(timeout=True), TypeError, "timeout must be a number of seconds"),
        (lambda p: p.options(queue_timeout=-1), ValueError, "queue_timeout must be greater than 0"),
        (lambda p: p.options(grace=-1), ValueError, "grace must be at least 0"),
        (lambda p: p.options(retries=-1), ValueError, "retries must be between 0"),
        (lambda p: p.options(retries=1.5), TypeError, "retries must be an integer or None, not float"),
        (lambda p: p.options(retry_on="OSError"), TypeError, "retry_on must be an exception class .*'OSError' is none"),
        (lambda p: p.options(retry_on=(OSError, 5)), TypeError, "retry_on must be .*5 is none"),
        (lambda p: p.options(retry_on=()), ValueError, "retry_on must name at least one"),
        (lambda p: p.options(backoff=-0.5), ValueError, "backoff must be at least 0"),
        (lambda p: p.options(backoff="1s"), TypeError, "backoff must be a number of seconds or a callable"),
        (lambda p: p.options(priority=1.5), TypeError, "priority must be an integer"),
    ],
)
def test_a_use_is_refused(use: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with Pool(1, backend="threads") as pool:
        with pytest.raises(error, match=message):
            use(pool)
        assert pool.stats().workers == 0, "nothing was started for it"


def test_an_old_program_finds_what_it_looks_for() -> None:
    with ProcessPoolExecutor(2, FORK, max_tasks_per_child=None) as pool:
        assert pool._max_workers == 2
        assert pool._mp_context is FORK
        assert pool._broken is False
        assert not pool._processes
    with ProcessPoolExecutor(2, max_tasks_per_child=3) as pool:
        assert pool._mp_context is not None
        assert pool._mp_context.get_start_method() == "spawn"
    with ThreadPoolExecutor(2, "prefix") as threads:
        threads.submit(abs, -1).result()
        assert [each.name for each in threads._threads] == ["prefix_0"]


def test_views_merge() -> None:
    with Pool(1, backend="threads") as pool:
        seen: list[tuple[int, int | None]] = []
        view = pool.options(name="first").options(progress=lambda done, total: seen.append((done, total)))
        assert "first" in repr(view)
        assert list(view.imap(abs, [-1, -2])) == [1, 2]
        assert seen[-1] == (2, 2)
        assert "second" in repr(view.options(name="second"))
