"""What a stage of a pipeline, or a SpinOff with batches, calls in a worker: the user's function, its outputs as lists.

A generator cannot leave its worker, so what yields many is run to its end here; a batch's outputs are counted by the
parent.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


NO_OUTPUTS = (str, bytes, bytearray, dict, set, frozenset)
"""Iterables that are no list of outputs."""


class Many:
    """A function of one item that gives any number of outputs."""

    def __init__(self, fn: Callable[..., Iterable[Any]]) -> None:
        self.fn = fn

    def __call__(self, *args: Any) -> list[Any]:
        """`args` are the item, or the worker's state and the item."""
        return _listed(self.fn(*args), "Stage(fn, many=True)")


class Batch:
    """A function of a list of items that gives one output for each, in order. `who` is given it: "Stage", "SpinOff"."""

    def __init__(self, fn: Callable[..., Iterable[Any]], who: str = "Stage") -> None:
        self.fn = fn
        self.who = who

    def __call__(self, *args: Any) -> Any:
        """The last of `args` is the list. An array of outputs travels as one; who receives it takes it apart."""
        return self.outputs(self.fn(*args))

    def outputs(self, made: Any) -> Any:
        """What the function has made. TypeError for what has no order, or is one thing of many parts."""
        if isinstance(made, NO_OUTPUTS):
            raise TypeError(
                f"{self.who}(fn, batch=) must return a list of outputs, one for each item, not {type(made).__name__}"
            )
        return made if hasattr(made, "__array__") else _listed(made, f"{self.who}(fn, batch=)")


class PickledBatch(Batch):
    """The same for items that were encoded one by one: each plain, or a tuple of the pickle of its call.

    Returns the outputs; or, if there are items that cannot be rebuilt here, a tuple: the outputs of the others, and the
    errors of those, encoded, by their places.
    """

    def __call__(self, *args: Any) -> Any:
        """The last of `args` is the list."""
        from procession.worker.functions import FunctionTable, argument_of

        *state, bodies = args
        items, unbuilt = [], {}
        for place, body in enumerate(bodies):
            try:
                items.append(argument_of(body[0]) if type(body) is tuple else body)
            except Exception as error:
                unbuilt[place] = FunctionTable.encode_error(error)
        if not unbuilt:
            del bodies, args
            return self.outputs(self.fn(*state, items))
        return (list(self.outputs(self.fn(*state, items))) if items else []), unbuilt


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
