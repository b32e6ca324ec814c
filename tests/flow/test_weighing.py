"""What a result weighs."""

import array
import threading
import types
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest

from procession.types import Raised
from procession.weighing import FAILURE, MOST, weigh

KB = 1000


@dataclass
class Record:
    name: str = "n"
    blob: bytes = b"x" * 50 * KB


@dataclass(slots=True)
class Slotted:
    blob: bytes = b"x" * 50 * KB


@dataclass
class Knot:
    blob: bytes = b"x" * 50 * KB
    me: "Knot | None" = None
    of: type = field(default_factory=lambda: Record)


def knot() -> Knot:
    it = Knot()
    it.me = it
    return it


SHARED = "y" * 50 * KB


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"x" * 50 * KB, 50 * KB),
        (bytearray(50 * KB), 50 * KB),
        ("y" * 50 * KB, 50 * KB),
        (memoryview(bytes(50 * KB)), 50 * KB),
        (array.array("d", bytes(80 * KB)), 80 * KB),
        ([b"x" * KB for _ in range(50)], 50 * KB),
        ((1, ("a", b"x" * 50 * KB)), 50 * KB),
        ({"k": {"l": bytes(50 * KB)}}, 50 * KB),
        ({bytes(50 * KB): 1}, 50 * KB),
        ({bytes(25 * KB), bytes([1]) * 25 * KB}, 50 * KB),
        (deque([bytes(50 * KB)]), 50 * KB),
        (Record(), 50 * KB),
        (Slotted(), 50 * KB),
        (knot(), 50 * KB),
        ([SHARED, SHARED, SHARED], 50 * KB),
        (list(range(300, 10_300)), 36 * 10_000),
        (tuple(bytes(90) for _ in range(100_000)), 100_000 * (90 + 33 + 8)),
        ([Record(blob=b"x" * KB) for _ in range(2000)], 2000 * (KB + 250)),
        (types.SimpleNamespace(a=bytes(50 * KB)), 50 * KB),
        (10**100_000, 44 * KB),
    ],
    ids=lambda value: type(value).__name__,
)
def test_within_a_fifth(value: Any, expected: int) -> None:
    assert expected * 0.8 <= weigh(value) <= expected * 1.2 + 1000


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "", b"", (), [], {}, Fraction(1, 2), object(), range(10**9)])
def test_small_things(value: Any) -> None:
    assert 1 <= weigh(value) <= 600


def test_what_is_nobodys_own() -> None:
    """Functions, classes and modules do not count, however much hangs on them."""
    assert weigh([threading, Record, test_small_things, len, Record.__init__]) < 1000


def test_failures() -> None:
    assert FAILURE <= weigh(Raised(ValueError("x" * 10))) <= 2 * FAILURE


class Odd:
    """What a user may have made of it."""

    def __sizeof__(self) -> int:
        raise LookupError

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise AssertionError


class Lying:
    def __sizeof__(self) -> int:
        return -5


def test_nothing_is_raised_and_nobody_is_asked() -> None:
    assert weigh(Odd()) < 1000
    assert weigh([Lying(), Odd()]) < 1000


def test_it_looks_at_so_much_and_no_more() -> None:
    chain: Any = None
    for _ in range(MOST * 3):
        chain = [chain]
    assert 0 < weigh(chain) < MOST * 200


def test_arrays() -> None:
    numpy = pytest.importorskip("numpy")
    big = numpy.zeros(50 * KB, dtype="u1")
    assert weigh(big) == 50 * KB
    assert weigh(big[:10]) == 10
    assert 50 * KB <= weigh({"a": [big, big]}) <= 52 * KB
    assert weigh(numpy.float64(2)) == 8

    class Own(numpy.ndarray):
        pass

    assert weigh(big.view(Own)) == 50 * KB
