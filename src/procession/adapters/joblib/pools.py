"""The pools that joblib's calls share: one for each set of words, warm between calls.

Laws
1. A pool has as many workers as the largest of the calls that use it now asks for; between calls it stays as it is.
2. At most IDLE pools are kept that no call uses; of more the one goes that was used longest ago.
3. Pools are found and made by a thread that no signal handler can strike.
4. A forked child has none of them.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from procession.backends import forksafe
from procession.backends.unstruck import unstruck
from procession.pool_shared import SharedPool

IDLE = 2


class Kept:
    """A pool, and who uses it."""

    def __init__(self, words: dict[str, Any], n_jobs: int) -> None:
        self.words = words
        self.pool = SharedPool(n_jobs, **words)
        self.users: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def widen(self, user: Any, n_jobs: int) -> None:
        """One more that uses it."""
        self.users[user] = n_jobs
        width = max(self.users.values())
        if width != self.pool.stats().max_workers:
            self.pool.resize(width)
        self.pool.warm()

    def leave(self, user: Any) -> None:
        """It is not needed by this one any more."""
        self.users.pop(user, None)


class Shelf:
    """The pools of this process, the one used last at the end."""

    def __init__(self) -> None:
        self.forked()
        forksafe.on_fork(self.forked)

    def forked(self) -> None:
        """In a child."""
        self.lock = threading.Lock()
        self.kept: list[Kept] = []

    def take(self, words: dict[str, Any], n_jobs: int, user: Any) -> Kept:
        """The pool with these words, for this user until it leaves."""
        with self.lock:
            found = next((each for each in self.kept if each.pool.takes_work and _same(each.words, words)), None)
            if found is None:
                found = Kept(words, n_jobs)
            self.kept = [each for each in self.kept if each is not found and each.pool.takes_work]
            idle = [each for each in self.kept if not each.users]
            for each in idle[: -IDLE + 1]:
                self.kept.remove(each)
                each.pool.shutdown(wait=False)
            self.kept.append(found)
            found.widen(user, n_jobs)
            return found

    def clear(self) -> list[Kept]:
        """All of them; they are nobody's now."""
        with self.lock:
            kept, self.kept = self.kept, []
        return kept


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if one.keys() != other.keys():
        return False
    try:
        return all(one[word] is other[word] or bool(one[word] == other[word]) for word in one)
    except Exception:  # an array among the initargs has no truth
        return False


_shelf = Shelf()


def take(words: dict[str, Any], n_jobs: int, user: Any) -> Kept:
    """See `Shelf.take`."""
    found: list[Kept] = []
    unstruck(lambda: found.append(_shelf.take(words, n_jobs, user)))
    return found[0]


def shutdown(wait: bool) -> None:
    """End all of them."""
    kept = _shelf.clear()
    for each in kept:
        each.pool.shutdown(wait=False)
    for each in kept if wait else ():
        each.pool.shutdown(wait=True)


__all__ = ["shutdown", "take"]
