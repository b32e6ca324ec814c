"""`tqdm.contrib.concurrent` on procession pools: old code moves by an import.

    from procession.adapters.tqdm import process_map, thread_map      # was: from tqdm.contrib.concurrent import ...

    results = process_map(fn, items, max_workers=4, desc="sizes")

What is better: the iterables are read as results are taken, not at once; a worker that dies is an error, where it was
the end of the pool; lambdas and local functions can be sent; and `chunksize` need not be said, since it changes nothing
but speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from typing import Any, TypeVar

from procession.options import Backend

T = TypeVar("T")

__all__ = ["process_map", "thread_map"]


def process_map(fn: Callable[..., T], *iterables: Iterable[Any], **words: Any) -> list[T]:
    """The results of `fn` over the items, in order, on worker processes, with a bar of tqdm.

    max_workers: None: the CPUs that this process may use.
    chunksize: items that a worker is given at once; None: by measured time.
    timeout: seconds that one item may take; then TaskTimeout.
    tqdm_class: None: `tqdm.auto.tqdm`.
    lock_name: accepted, as there; there is no lock to be set up.
    All other words are tqdm's (desc=, total=, disable=, leave=, ...). Without `total` it is the length of the shortest
    of those iterables that have one.

    Raises the first error in order; what waits and what runs is cancelled. ImportError without tqdm.
    """
    return _mapped("processes", fn, iterables, words)


def thread_map(fn: Callable[..., T], *iterables: Iterable[Any], **words: Any) -> list[T]:
    """The same on threads."""
    return _mapped("threads", fn, iterables, words)


def _mapped(
    backend: Backend, fn: Callable[..., T], iterables: tuple[Iterable[Any], ...], words: dict[str, Any]
) -> list[T]:
    from procession.pool import Pool

    if not iterables:
        raise TypeError("there is nothing to map over: give at least one iterable behind the function")
    workers, chunksize = words.pop("max_workers", None), words.pop("chunksize", None)
    timeout = words.pop("timeout", None)
    words.pop("lock_name", None)
    bar = words.pop("tqdm_class", None) or _tqdm()
    lengths = [len(each) for each in iterables if isinstance(each, Sized)]
    words.setdefault("total", min(lengths, default=None))
    with Pool(workers, backend=backend) as pool:
        with pool.options(timeout=timeout).imap(fn, *iterables, chunksize=chunksize) as results:
            return list(bar(results, **words))


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("this needs tqdm: pip install 'procession[tqdm]'") from error
    return tqdm
