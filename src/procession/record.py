"""Records: classes of named values, quick to define and quick to make. Events, commands, statistics, words.

A dataclass would do, but for its price: 9 ms for the module and 0.3 ms for each class at import, which every program
pays, and with `frozen=True` 0.3 µs for each of the four that a round trip makes.
"""

from __future__ import annotations

from collections.abc import Callable

from procession.lean import cast

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_words):
        return lambda decorator: decorator


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """A class with slots for its annotated names, which its constructor takes in this order; equal by their values.

    Names that begin with an underscore are no part of what is compared, shown and matched; they are pickled with it.
    Read-only for the type checker alone. Not hashable. A `__post_init__` is called when all are there.
    """
    return _made_again(cls, "self.{0} = {0}", {"__hash__": None})


@dataclass_transform(frozen_default=True)
def frozen(cls: type[T]) -> type[T]:
    """A `record` that nobody can change, for those that users see; hashable if its values are."""
    rest = {"__setattr__": _refuse, "__delattr__": _refuse, "__hash__": _hash}
    return _made_again(cls, "set_attribute(self, {0!r}, {0})", rest)


def _made_again(cls: type[T], assign: str, rest: dict[str, Any]) -> type[T]:
    names = tuple(cls.__annotations__)
    space = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__", *names)}
    known = {name: vars(cls)[name] for name in names if name in vars(cls)}

    def first(self: Any, *values: Any, **named: Any) -> None:
        """Compiles the constructor: a program makes some of the events and commands, and pays for those."""
        again: Any = made
        again.__init__ = _constructor(made, names, known, assign)
        again.__init__(self, *values, **named)

    space |= {
        "__slots__": names,
        "__match_args__": tuple(name for name in names if not name.startswith("_")),
        "__init__": first,
        "__eq__": _equal,
        "__repr__": _show,
        "__reduce__": vars(cls).get("__reduce__", _reduce),
        **rest,
    }
    made = cast("type[T]", type(cls.__name__, (), space))  # the same class, made again with slots
    return made


def _constructor(cls: type, names: tuple[str, ...], known: dict[str, Any], assign: str) -> Callable[..., None]:
    taken = "".join(f", {name}=default_{name}" if name in known else f", {name}" for name in names)
    steps = [assign.format(name) for name in names] + ["self.__post_init__()"] * hasattr(cls, "__post_init__")
    body = "".join(f"\n    {step}" for step in steps or ["pass"])
    made: dict[str, Callable[..., None]] = {}
    defaults = {f"default_{name}": value for name, value in known.items()}
    # Compiled first: `exec` of a text makes CPython forget that a KeyboardInterrupt ends it, and this may run
    # at the end.
    code = compile(f"def __init__(self{taken}):{body}", "<record>", "exec")
    exec(code, {**defaults, "set_attribute": object.__setattr__}, made)
    made["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return made["__init__"]


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__match_args__)


def _equal(self: object, other: object) -> object:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: object) -> int:
    return hash((self.__class__, _values(self)))


def _show(self: object) -> str:
    fields = zip(self.__match_args__, _values(self), strict=True)  # type: ignore[attr-defined]
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in fields)})"


def _reduce(self: object) -> tuple[type[object], tuple[Any, ...]]:
    return self.__class__, tuple(getattr(self, name) for name in self.__slots__)  # type: ignore[attr-defined]


def _refuse(self: object, name: str, *_value: object) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} never changes: {name!r} cannot be assigned or deleted")
