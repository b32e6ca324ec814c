"""What runs in a worker: a batch of joblib's, its part of the CPUs, and memmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procession.adapters.joblib.library import NAME, library, nested

if TYPE_CHECKING:
    from collections.abc import Callable

    from procession.adapters.joblib.share import Share

    Item = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

_share: Share | None = None
_registered = False


def run(items: list[Item], level: int, share: Share | None, factory: Any) -> list[Any]:
    """The results of these calls.

    level: nested calls of `Parallel` are at this one. share: what this worker may use; None: as it is. factory: makes
    the backends of tasks that ask for ours by its name.
    """
    global _registered, _share
    if share is not None and share != _share:
        from procession.adapters.joblib.share import take

        take(share)
        _share = share
    joblib = library()
    if not _registered and factory is not None:
        joblib.register_parallel_backend(NAME, factory)
        _registered = True
    with joblib.parallel_config(backend=nested(level), n_jobs=None):
        return [function(*args, **kwargs) for function, args, kwargs in items]


def remap(filename: str, mode: str, start: int, size: int, first: int, dtype: Any, shape: Any, strides: Any) -> Any:
    """An array that looks into `size` bytes of a file, from `start`; its first element is `first` bytes further."""
    import numpy

    raw = numpy.memmap(filename, dtype=numpy.uint8, mode=mode, offset=start, shape=(size,))  # type: ignore[call-overload]
    item = raw[first : first + dtype.itemsize].view(dtype)
    return numpy.lib.stride_tricks.as_strided(item, shape, strides, subok=True)


__all__ = ["remap", "run"]
