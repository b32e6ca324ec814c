"""What the parent of a first worker needs of `typing`, without the two milliseconds that its import takes.

A fresh program waits for its zygote, and the zygote is started when the modules that do that are there: those take
these names from here, and everything that only annotations name under TYPE_CHECKING. The checkers see the originals.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, NamedTuple, Protocol, TypeVar, cast, overload

    T = TypeVar("T")
else:
    from _collections import _tuplegetter

    class Generic:
        """What stands in its brackets, and in those of its subclasses, is for checkers."""

        __slots__ = ()
        __class_getitem__ = classmethod(type(list[int]))

    Protocol = object
    T = object
    """In `Base[T]`, which leads to `Base`."""

    def cast(_kind, value):
        return value

    def overload(function):
        return function

    class NamedTuple(tuple):
        """`typing.NamedTuple` for a few rare objects: made in a seventh of the time, its instances in twice that."""

        __slots__ = ()
        _fields = ()

        def __init_subclass__(cls):
            names = cls._fields = cls.__match_args__ = tuple(cls.__annotations__)
            cls._field_defaults = {name: vars(cls)[name] for name in names if name in vars(cls)}
            for at, name in enumerate(names):
                setattr(cls, name, _tuplegetter(at, None))

        def __new__(cls, *values, **named):
            given = cls._field_defaults | named
            rest = [given[name] for name in cls._fields[len(values) :] if name in given]
            if len(values) + len(rest) != len(cls._fields) or not named.keys() <= {*cls._fields[len(values) :]}:
                raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}; got {values} and {named}")
            return tuple.__new__(cls, (*values, *rest))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(map('{}={!r}'.format, self._fields, self))})"

        def __getnewargs__(self):
            return tuple(self)

        def _replace(self, **named):
            return type(self)(**dict(zip(self._fields, self, strict=True), **named))


__all__ = ["Generic", "NamedTuple", "Protocol", "T", "cast", "overload"]
