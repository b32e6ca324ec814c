"""A program that has its workers run what is defined in its own script."""

import sys
from collections.abc import Callable


class Point:
    """A class of `__main__`."""

    def __init__(self, x: int) -> None:
        self.x = x


def function(n: int) -> int:
    """A function of `__main__`."""
    return n + 1


def moved(point: Point) -> Point:
    """Takes and returns an instance of a class of `__main__`."""
    return Point(point.x + 1)


def closure(step: int) -> Callable[[int], int]:
    """A function that no name leads to."""

    def inside(n: int) -> int:
        return n + step

    return inside


anonymous: Callable[[int], int] = lambda n: n + 1  # noqa: E731

if __name__ == "__main__":
    from rivals.child import main

    main(sys.modules["__main__"])
