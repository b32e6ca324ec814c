"""`--halt`: when a run is to end before its input does. Pure.

Items are counted in the order in which their results are written: so, where order is kept, what is in the output when a
run halts does not depend on how quick the workers were.
"""

from __future__ import annotations

from procession.cli.flags.kinds import Halt, Share

ENOUGH = 20
"""Where it is not known how many items there will be, a percentage is one of those that are done, from so many on."""


class Count:
    """How many items have come to what, and whether that is the end. `total`: of all items, where it is known."""

    def __init__(self, halt: Halt | None, total: int | None, succeeded: int = 0, failed: int = 0) -> None:
        self.halt = halt
        self.total = total
        self.succeeded = succeeded
        self.failed = failed

    @property
    def done(self) -> int:
        """Both together."""
        return self.succeeded + self.failed

    def reached(self) -> bool:
        """Whether the run is to halt now."""
        halt = self.halt
        if halt is None:
            return False
        count = {"fail": self.failed, "success": self.succeeded, "done": self.done}[halt.what]
        if not isinstance(halt.limit, Share):
            return count >= halt.limit
        whole = self.done if self.total is None else self.total
        if self.total is None and whole < ENOUGH:
            return False
        return count > 0 and count >= halt.limit.of(whole)


__all__ = ["Count"]
