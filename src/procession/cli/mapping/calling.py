"""What is called in workers instead of a user's function, where its argument or its result needs a change.

A worker imports this module: it must stay light.
"""

from __future__ import annotations

from functools import partial
from time import monotonic, time

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def by_name(fn: Callable[..., Any]) -> Callable[[Any], Any]:
    """`fn`, given a row by the names of its fields. It has the name of `fn`: by that a journal knows whose it is."""

    def call(row: Any) -> Any:
        if not isinstance(row, dict):
            raise TypeError(f"--kwargs needs rows with names, as JSON objects or CSV with a header; got {row!r:.80}")
        return fn(**row)

    call.__module__ = getattr(fn, "__module__", __name__)
    call.__qualname__ = getattr(fn, "__qualname__", type(fn).__qualname__)
    return call


class Stateless:
    """`fn` as a stage with a setup calls it, which hands on the state: `procession.state()` has that, too."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        self.fn = fn

    def __call__(self, _state: Any, value: Any) -> Any:
        """Call it."""
        return self.fn(value)

    def __reduce__(self) -> tuple[Any, ...]:
        return Stateless, (self.fn,)


class Chained:
    """Functions, each with its name, one after the other in one worker: to a journal they are one function."""

    def __init__(self, functions: tuple[tuple[str, Callable[[Any], Any]], ...]) -> None:
        self.functions = functions
        self.__module__, self.__qualname__ = "functions", " | ".join(name for name, _ in functions)
        self.__wrapped__ = partial(tuple, [fn for _, fn in functions])  # by whose code a journal knows them

    def __call__(self, value: Any) -> Any:
        """Call them. An error has a note, which of them has raised it."""
        for name, fn in self.functions:
            try:
                value = fn(value)
            except Exception as error:
                error.add_note(f"in {name}")
                raise
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return Chained, (self.functions,)


class Timed:
    """`fn`, whose result is (when it began, how long it took, the result): seconds since the epoch, and seconds.

    first: it is given a value, and not what the stage before it has made. many: it is given lists.
    """

    def __init__(self, fn: Callable[[Any], Any], first: bool, many: bool) -> None:
        self.fn = fn
        self.first = first
        self.many = many

    def __call__(self, given: Any) -> Any:
        """Call it."""
        many = given if self.many else [given]
        now, clock = time(), monotonic()
        carried: list[tuple[float, float, Any]] = [(now, 0.0, each) for each in many] if self.first else many
        try:
            values = [value for _, _, value in carried]
            outputs = list(self.fn(values)) if self.many else [self.fn(values[0])]
        except Exception as error:
            note(error, carried[0][0], carried[0][1] + monotonic() - clock)
            raise
        if len(outputs) != len(carried):
            return outputs  # the pipeline says what is wrong with that
        took = (monotonic() - clock) / len(carried)
        made = [(start, spent + took, each) for (start, spent, _), each in zip(carried, outputs, strict=True)]
        return made if self.many else made[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return Timed, (self.fn, self.first, self.many)


NOTE = "_procession_times"


def note(error: BaseException, start: float, took: float) -> None:
    """An error takes its times along, if it can have attributes."""
    try:
        setattr(error, NOTE, (start, took))
    except Exception:
        pass


def noted(error: BaseException) -> tuple[float, float] | None:
    """When what has raised it began, and how long it took."""
    found = getattr(error, NOTE, None)
    return found if isinstance(found, tuple) and len(found) == 2 else None


class Field:
    """A field of a row: `row[name]`; of a list or a tuple, by its number."""

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self.number: int | None = int(name)
        except ValueError:
            self.number = None

    def __call__(self, row: Any) -> Any:
        """Of one row. Raises LookupError or TypeError with a sentence."""
        if isinstance(row, dict):
            if self.name in row:
                return row[self.name]
            raise LookupError(f"there is no field {self.name!r}; there are {', '.join(map(repr, row))}")
        if isinstance(row, list | tuple) and self.number is not None:
            try:
                return row[self.number]
            except IndexError:
                raise LookupError(f"there is no field {self.number}; the row has {len(row)}") from None
        raise TypeError(f"field {self.name!r} of what is no row: {row!r:.80}")


__all__ = ["Chained", "Field", "Stateless", "Timed", "by_name", "noted"]
