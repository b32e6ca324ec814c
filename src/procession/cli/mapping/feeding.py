"""The items of a run on their way in: what is pulled by the stream, and which item each result belongs to.

Laws
1. The n-th value that is given has index n in the stream, from 0 on; its item waits under that index until `known` or
   `forget` takes it. Only values travel.
2. One thread pulls, another takes; both use single operations on a dict.
3. Once stopped, no further item is given.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

from procession.cli.mapping.inputs import Items
from procession.cli.mapping.inputs_base import Item


class Feed(Iterator[Any]):
    """The values, in the order in which they run."""

    closes_as_source = True

    def __init__(self, items: Iterator[Item], at_hand: Any = None) -> None:
        self._items = items
        self._at_hand = at_hand
        self._waiting: dict[int, Item] = {}
        self.pulled = 0
        self.stopped = False
        self.total: int | None = None
        """How many there are, where that is known."""

    def __next__(self) -> Any:
        if self.stopped:
            raise StopIteration
        item = next(self._items)
        self._waiting[self.pulled] = item
        self.pulled += 1
        return item[0]

    def at_hand(self) -> int:
        """How many values can be had without waiting."""
        return 0 if self._at_hand is None or self.stopped else int(self._at_hand())

    def known(self, index: int) -> Item:
        """The item of this index, which is done."""
        return self._waiting.pop(index)

    @property
    def left(self) -> int:
        """How many were given, and have not come to an end."""
        return len(self._waiting)

    def stop(self) -> None:
        """Give no more."""
        self.stopped = True

    def close(self) -> None:
        """See `stop`; files that are open are closed when the process ends, since another thread may read them."""
        self.stopped = True


class SizedFeed(Feed):
    """One that knows how many it gives."""

    def __init__(self, items: Iterator[Item], at_hand: Any, total: int) -> None:
        super().__init__(items, at_hand)
        self.total = total

    def __len__(self) -> int:
        return self.total or 0


def chosen(items: Items, limit: int | None, shuffle: int | None) -> Iterator[Item]:
    """The items that run: shuffled (which reads all of them first), and no more than `limit`."""
    found: Iterator[Item] = iter(items)
    if shuffle is not None:
        everything = list(found)
        random.Random(None if shuffle < 0 else shuffle).shuffle(everything)
        found = iter(everything)
    return found if limit is None else islice(found, limit)


def feed(items: Items, total: int | None, limit: int | None = None, shuffle: int | None = None) -> Feed:
    """What a stream is given. `total`: how many items there are, if that is known."""
    if total is not None and limit is not None:
        total = min(total, limit)
    at_hand = None if shuffle is not None else getattr(items, "at_hand", None)
    found = chosen(items, limit, shuffle)
    return Feed(found, at_hand) if total is None else SizedFeed(found, at_hand, total)


__all__ = ["Feed", "chosen", "feed"]
