"""What random pipelines do; few imports, since each worker that is started imports this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """A function of one item, whatever the stage is like that it runs in."""

    kind: str
    number: int

    def one(self, x: int) -> list[int]:
        """Its outputs for one item; raises where it fails."""
        if self.kind == "fails" and x % 7 == self.number:
            raise LookupError(x)
        if self.kind == "many":
            return [10 * x + n for n in range(x % (self.number + 1))]
        if self.kind == "filter":
            return [x] if x % 3 != self.number % 3 else []
        return [x + self.number]

    def single(self, x: int) -> Any:
        found = self.one(x)
        return found if self.many else found[0]

    def batch(self, items: list[int]) -> list[Any]:
        return [self.single(x) for x in items]

    @property
    def many(self) -> bool:
        return self.kind in ("many", "filter")


def parity(x: int) -> int:
    return x % 2
