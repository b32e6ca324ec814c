"""What is to be done, in ordinary functions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Parcel:
    number: int
    weight: float = 1.0


class Scale:
    """Loaded once a worker."""

    def weigh(self, parcel: Parcel) -> float:
        return parcel.weight


def load() -> Scale:
    return Scale()


@contextmanager
def plugged_in() -> Iterator[Scale]:
    yield Scale()


def label(number: int, prefix: str = "P") -> str:
    return f"{prefix}{number}"


def price(number: int, town: str) -> float:
    return number * len(town)


def route(number: int, town: str, express: bool) -> list[str]:
    return [town] if express else [town, str(number)]


def larger(one: int, other: int) -> int:
    return max(one, other)


def pack(number: int, *, weight: float = 1.0) -> Parcel:
    return Parcel(number, weight)


def weigh(scale: Scale, parcel: Parcel) -> float:
    return scale.weigh(parcel)


def weigh_all(scale: Scale, parcels: list[Parcel]) -> list[float]:
    return [scale.weigh(each) for each in parcels]


def pack_all(numbers: list[int]) -> list[Parcel]:
    return [Parcel(each) for each in numbers]


def split(parcel: Parcel) -> Iterator[Parcel]:
    yield parcel


def split_all(parcels: list[Parcel]) -> list[list[Parcel]]:
    return [[each] for each in parcels]


def numbers(count: int) -> Iterator[int]:
    yield from range(count)
