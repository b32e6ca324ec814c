"""What the adapters of other libraries are given, and what they give to a pool's `imap`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from procession.pool_face import PoolFace
from procession.stream_pulling import close_if_ours


def check_pool(pool: object) -> None:
    """Raises TypeError for what is no pool of ours."""
    if not isinstance(pool, PoolFace):
        raise TypeError(f"pool must be a procession.Pool, or a view of one by options(), not {type(pool).__name__}")


def shared() -> PoolFace:
    """The pool of who has said none."""
    from procession.pool_shared import shared_pool

    return shared_pool()


def pool_of(pool: PoolFace | None) -> PoolFace:
    """The one to run on. Raises TypeError for what is no pool of ours."""
    if pool is None:
        return shared()
    check_pool(pool)
    return pool


class Sized:
    """An iterable whose length is known, for a progress bar."""

    def __init__(self, each: Iterable[Any], length: int) -> None:
        self._each = each
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return iter(self._each)


def checked(
    given: Iterable[Any], fits: Callable[[Any], bool], wanted: str, made: Callable[[Any], Any] | None = None
) -> Iterator[Any]:
    """The items of a source, or what is `made` of each. Raises TypeError at the first that does not fit. A source that
    is a generator, or a stream of ours, is closed at the end."""
    items = iter(given)
    try:
        for number, item in enumerate(items):
            if not fits(item):
                raise TypeError(f"item {number} of the source must be {wanted}, not {type(item).__name__}")
            yield item if made is None else made(item)
    finally:
        close_if_ours(items)


__all__ = ["Sized", "check_pool", "checked", "pool_of", "shared"]
