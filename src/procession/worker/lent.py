"""What `pool.share` has sent to a worker on a cluster, by its number."""

from __future__ import annotations

from procession.worker import loop

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from typing import Any


def shared(number: int) -> Any:
    """The object; called by the pickle of a task's arguments. It is rebuilt when it is first asked for."""
    assert loop.serving is not None
    return loop.serving.table.get(number)


__all__ = ["shared"]
