"""What takes a flow's place when its stream is cancelled, in one store, without its lock: closed, and empty for good.

Another thread may just be bringing an outcome. It finds the old flow, which is let go, or this one, where that outcome
is nobody's. Counted, it would be that of an item that was never admitted: whoever takes might be given it, or wait for
ever until as many were handed over as were admitted.
"""

from __future__ import annotations

from typing import Any

from procession.core.flow import FlowCore


class CancelledFlow(FlowCore):
    """See the module."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.close()

    def done(self, start: int, outcomes: list[Any]) -> None:
        """They come too late."""

    def done_one(self, index: int, outcome: Any) -> None:
        """It comes too late."""

    def drop(self, index: int) -> None:
        """It is gone already."""


__all__ = ["CancelledFlow"]
