"""What a worker's `setup` gave: entered once a worker, read by its tasks, torn down when the worker ends in order.

Laws
1. A setup belongs to the thread that entered it: a worker process's main thread, a worker thread, or, for the inline
   backend, whoever runs a task, while it runs.
2. A thread that a task starts has no state of its own; in a worker process it reads the process's.
3. What setup returns is entered if it is a context manager: then the state is what `__enter__` gave, and the teardown
   is `__exit__(None, None, None)`. Both are looked up on the type, as `with` does.
"""

from __future__ import annotations

import sys
from _thread import _local, get_ident

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Entered:
    """One setup that has been run: its state, and its end."""

    __slots__ = ("_manager", "thread", "value")

    def __init__(self, setup: Callable[[], Any]) -> None:
        """Run `setup` and enter what it returns; raises what they raise."""
        self.thread = get_ident()
        made = setup()
        kind = type(made)
        if hasattr(kind, "__enter__") and hasattr(kind, "__exit__"):
            self.value = kind.__enter__(made)
            self._manager = made
        else:
            self.value = made
            self._manager = None

    def leave(self) -> None:
        """The teardown; raises what it raises. Only the first call does anything."""
        manager, self._manager, self.value = self._manager, None, None
        if manager is not None:
            type(manager).__exit__(manager, None, None, None)


_own = _local()
_last: Entered | None = None  # what the main thread entered for good: this process is a worker


def state() -> Any:
    """The state of the worker that runs this task: what its `setup=` returned, or entered.

    Raises RuntimeError where there is none: outside a task, or in a pool without setup=.
    """
    entered: Entered | None = getattr(_own, "entered", None) or _last
    if entered is None:
        raise RuntimeError(
            "there is no state here: state() works in a task of a Pool or SpinOff that was made with setup=..."
        )
    return entered.value


def enter_setup(setup: Callable[[], Any]) -> None:
    """Run `setup` for this thread, until `teardown`. Raises what it raises."""
    global _last
    entered = Entered(setup)
    _own.entered = entered
    if _on_main_thread():
        _last = entered


def teardown() -> None:
    """End what `enter_setup` began in this thread, if it did. Raises what the context manager raises."""
    global _last
    entered: Entered | None = getattr(_own, "entered", None)
    _own.entered = None
    if entered is not None:
        if _last is entered:
            _last = None
        entered.leave()


def _on_main_thread() -> bool:
    threading = sys.modules.get("threading")  # a worker process may do without it, and has one thread then
    return threading is None or threading.main_thread().ident == get_ident()


class using:
    """A context manager: within it `state()` is that of `entered`, in this thread."""

    __slots__ = ("_before", "_entered")

    def __init__(self, entered: Entered | None) -> None:
        self._entered = entered

    def __enter__(self) -> None:
        self._before = getattr(_own, "entered", None)
        _own.entered = self._entered

    def __exit__(self, *exc_info: object) -> None:
        _own.entered = self._before
