"""What `Future._condition` is here: the Condition that the standard library's `wait` and `as_completed` acquire.

`threading.Condition` is a dozen objects, and made for every future that somebody waits for it is most of the cost of
waiting. Nobody sleeps on it but foreign code: `wait` sleeps on an event, our `result()` on a gate. So

* `FutureCondition` is its lock, nothing else, and the rest of a Condition is made when it is asked for;
* a future that is done changes no more: all of them have one, `SETTLED`, whose lock is none.

A signal that raises while `wait` acquires its futures leaves their locks held for ever, by a thread that does not know
it. Whoever resolves such a future waits for its lock a while (`seize`), and then goes on without. As there may be a
hundred thousand of them, it is found out once: what was made before that, and is held, is taken to be held for ever.
"""

from __future__ import annotations

import threading
from _thread import RLock
from collections.abc import Callable

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

LOOKS = 16
LOOK = 0.25
"""A lock is held for ever when it is found held so often, for so many seconds each: `wait` holds those of a million
futures for a second or two, and while the collector stops the program nobody looks."""

_leaked = 0  # what has a lower number and is held is held for ever; made later are those that have this number


class FutureCondition(RLock):  # type: ignore[misc]  # final in the stubs, not in CPython
    """A `threading.Condition` over itself."""

    __slots__ = ("_full", "_number")

    def __init__(self) -> None:
        self._number = _leaked
        self._full: threading.Condition | None = None

    def seize(self) -> bool:
        """Acquire it on an engine's thread; False when whoever holds it will never release it."""
        if self.acquire(blocking=False):
            return True
        if self._number < _leaked:
            return False
        return any(self.acquire(timeout=LOOK) for _ in range(LOOKS)) or self._give_up()

    def _give_up(self) -> bool:
        global _leaked
        _leaked += 1
        return False

    def _whole(self) -> threading.Condition:
        """The rest of it; whoever asks holds the lock."""
        if self._full is None:
            self._full = threading.Condition(self)
        return self._full

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Condition.wait`."""
        return self._whole().wait(timeout)

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """As `threading.Condition.wait_for`."""
        return self._whole().wait_for(predicate, timeout)

    def notify(self, n: int = 1) -> None:
        """As `threading.Condition.notify`."""
        self._whole().notify(n)

    def notify_all(self) -> None:
        """As `threading.Condition.notify_all`."""
        if self._full is not None:
            self._full.notify_all()


class _Settled:
    """The condition of all that has happened."""

    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return True

    def release(self) -> None:
        pass

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *exc_info: object) -> None:
        pass

    def wait(self, timeout: float | None = None) -> bool:
        return True

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        return predicate()

    def notify(self, n: int = 1) -> None:
        pass

    def notify_all(self) -> None:
        pass


class _Nobody:
    """Who waits for what has happened: `wait` adds itself to each of its futures, and takes itself away again."""

    __slots__ = ()

    def append(self, waiter: object) -> None:
        pass

    def remove(self, waiter: object) -> None:
        pass

    def __iter__(self) -> Any:
        return iter(())


SETTLED = _Settled()
NOBODY = _Nobody()
