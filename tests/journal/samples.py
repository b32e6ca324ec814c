"""Items and functions for the tests of identities, without pytest: other processes import them."""

from __future__ import annotations

import array
import datetime
import decimal
import enum
import fractions
import functools
import pathlib
import uuid
import zoneinfo
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Colour(enum.Enum):
    RED = 1
    BLUE = object()


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclass
class Shape:
    sides: int
    names: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Slotted:
    x: Any


class Pair(NamedTuple):
    one: Any
    two: Any


Old = namedtuple("Old", "one two")

DAY = datetime.datetime(2024, 10, 27, 2, 30)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def samples() -> list[Any]:
    """Each differs from all others."""
    return [
        *(None, ..., True, False, 0, 1, -1, 2**70, 0.0, -0.0, 1.0, float("inf"), float("nan"), 1j, "", "1", "é"),
        *("\ud800", b"", b"1", bytearray(b"1"), range(3), range(0, 3, 2), slice(1, None), slice(None, 1)),
        *(
            (),
            [],
            {},
            set(),
            frozenset(),
            (1,),
            [1],
            {1},
            frozenset({1}),
            {1: 1},
            {"1": 1},
            [[]],
            [()],
            ((),),
            ["", ""],
        ),
        *([1, 2], [2, 1], [12], ["a", "b"], ["ab"], [["a"], "b"], [["a", "b"]], {"a": 1, "b": 2}, {"a": 2, "b": 1}),
        *({"a", "b"}, {"a", ("b",)}, set(range(100)), set("abcdefgh")),
        *(
            Colour.RED,
            Colour.BLUE,
            Flags.A,
            Flags.A | Flags.B,
            Shape(3),
            Shape(3, {"x", "y"}),
            Slotted(1),
            Slotted([1]),
        ),
        *(
            Pair(1, 2),
            Pair(2, 1),
            Old(1, 2),
            (1, 2),
            pathlib.Path("/a"),
            pathlib.PurePosixPath("/a"),
            pathlib.Path("/a/b"),
        ),
        *(datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1), datetime.time(1), datetime.timedelta(1)),
        *(
            datetime.timedelta(0, 1),
            DAY,
            DAY.replace(fold=1),
            DAY.replace(tzinfo=datetime.UTC),
            DAY.replace(tzinfo=BERLIN),
        ),
        *(decimal.Decimal("1"), decimal.Decimal("1.0"), fractions.Fraction(1), uuid.UUID(int=1)),
        *(array.array("i", [1]), array.array("b", [1, 0, 0, 0])),
        *(np.array([1, 2]), np.array([2, 1]), np.array([1, 2], "f8"), np.array([[1, 2]]), np.array([1, 2], ">i8")),
        *(np.int64(1), np.float64(1), np.float32(1), np.bool_(True), np.datetime64("2024-01-01"), np.zeros(2, "i4,f8")),
    ]


def plain(n: int) -> int:
    return n + 1


def with_set(n: int) -> bool:
    return n in {"a", "b", "c", "d"}


def scaled(by: Any) -> Any:
    def scale(n: int) -> Any:
        return n * by

    return scale


def counting(limit: int) -> Any:
    def count(n: int) -> int:
        return n if n > limit else count(n + 1)

    return count


class Worker:
    def __init__(self, by: int = 1) -> None:
        self.by = by

    def work(self, n: int) -> int:
        return n * self.by

    def __call__(self, n: int) -> int:
        return n + self.by

    @classmethod
    def made(cls, n: int) -> Worker:
        return cls(n)

    @staticmethod
    def alone(n: int) -> int:
        return n


@functools.lru_cache
def cached(n: int) -> int:
    return n * 7


def functions() -> list[Any]:
    return [
        *(plain, with_set, scaled(2), counting(3), Worker().work, Worker(), Worker, Worker.made, Worker.alone),
        *(functools.partial(plain, 1), functools.partial(scaled(2), n=3), cached, lambda n: n, lambda n: -n),
    ]
