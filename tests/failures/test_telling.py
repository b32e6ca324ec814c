"""What is said of a call's arguments, without running any code of a user."""

import pickle
import random
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest

from procession.driver.telling import TOLD, arguments


class Loud:
    """Whoever unpickles it, or asks it for its repr, hears of it."""

    heard: list[str] = []  # noqa: RUF012

    def __reduce__(self) -> Any:
        return _speak, ("unpickled",)

    def __repr__(self) -> str:
        Loud.heard.append("repr")
        return "loud"


def _speak(text: str) -> str:
    Loud.heard.append(text)
    return text


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((1, 2.5, None, True), {}, "1, 2.5, None, True"),
        (("a" * 100,), {"key": b"b" * 100}, f"'{'a' * 37}'..., key=b'{'b' * 37}'..."),
        (([1, [2, [3, [4]]]], (1,), {"a": {1}}), {}, "[1, [2, [3, <list>]]], (1,), {'a': {1}}"),
        ((list(range(1000)),), {}, "[0, 1, 2, 3, 4, 5, ...]"),
        ((Decimal("1.5"), PurePosixPath("/x")), {}, "<Decimal>, <PurePosixPath>"),
        ((10**100,), {}, "1" + "0" * 36 + "..."),
    ],
)
def test_said(args: tuple[Any, ...], kwargs: dict[str, Any], said: str) -> None:
    """Row: A worker dies. Arguments are told shortened; objects by the name of their class."""
    assert arguments(pickle.dumps((args, kwargs), 5), whole=False, carries_function=False) == said
    assert arguments(pickle.dumps((len, args, kwargs), 5), whole=False, carries_function=True) == said
    assert arguments((args, kwargs), whole=False, carries_function=False) == said


def test_nobody_is_asked() -> None:
    """Row: A worker dies. No `__reduce__`, `__setstate__` or `__repr__` runs to tell of arguments."""
    body = pickle.dumps(((Loud(), [Loud()]), {}), 5)
    assert arguments(body, whole=False, carries_function=False) == "<_speak>, [<_speak>]"
    assert arguments(Loud(), whole=True, carries_function=False) == "<Loud>"
    assert Loud.heard == []


def test_garbage() -> None:
    """Row: A worker dies. Whatever the bytes, telling of them raises nothing and stays short."""
    rng = random.Random(5)
    good = pickle.dumps((({"a": [1, 2, Decimal(3)], "b": ("x", b"y")},), {"k": 1}), 5)
    for _ in range(3000):
        body = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        said = arguments(bytes(body[: rng.randrange(1, len(body) + 1)]), whole=False, carries_function=False)
        assert said is None or len(said) <= TOLD
