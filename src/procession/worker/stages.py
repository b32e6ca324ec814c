"""What a stage of a pipeline calls in a worker: the user's function, with its outputs made into lists there.

A generator cannot leave its worker, so what yields many is run to its end here; a batch's outputs are counted by the
parent.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


class Many:
    """A function of one item that gives any number of outputs."""

    def __init__(self, fn: Callable[..., Iterable[Any]]) -> None:
        self.fn = fn

    def __call__(self, *args: Any) -> list[Any]:
        """`args` are the item, or the worker's state and the item."""
        return _listed(self.fn(*args), "Stage(fn, many=True)")


class Batch:
    """A function of a list of items that gives one output for each, in order."""

    def __init__(self, fn: Callable[..., Iterable[Any]]) -> None:
        self.fn = fn

    def __call__(self, *args: Any) -> Any:
        """An array of outputs travels as one; who receives it takes it apart."""
        outputs = self.fn(*args)
        return outputs if hasattr(outputs, "__len__") else _listed(outputs, "Stage(fn, batch=)")


class ManyOfBatch:
    """A function of a list of items that gives any number of outputs for each."""

    def __init__(self, fn: Callable[..., Iterable[Iterable[Any]]]) -> None:
        self.fn = fn

    def __call__(self, *args: Any) -> list[list[Any]]:
        """One list for each item."""
        what = "Stage(fn, many=True, batch=)"
        return [_listed(each, what) for each in _listed(self.fn(*args), what)]


def _listed(outputs: Any, what: str) -> list[Any]:
    try:
        return list(outputs)
    except TypeError:
        if hasattr(type(outputs), "__iter__"):
            raise  # what it iterates over has raised it
        raise TypeError(f"{what} must return an iterable of outputs, not {type(outputs).__name__}") from None
