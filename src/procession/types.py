"""Small public and shared types."""

from __future__ import annotations

from procession.record import frozen

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any


@frozen
class Failure:
    """One item that failed, as an `on_error=` callable receives it. A record, not an exception."""

    index: int
    """The item's place in its stream, from 0."""
    args: tuple[Any, ...]
    """The arguments of its call."""
    error: BaseException
    """What it raised, or what happened to it (`WorkerDied`, `PicklingError`, ...)."""
    attempts: int = 1
    """How often it was started."""
    stage: str | None = None
    """The stage of a pipeline in which it failed."""
    _rerun: Any = None
    """How it is run again: a `replaying.Rerun`; None of one that was made by hand."""
    _place: Any = None
    """Where it stands under a seed, see worker/chance.py."""

    def __copy__(self) -> Failure:
        return self  # it never changes

    def __deepcopy__(self, memo: dict[int, Any]) -> Failure:
        from copy import deepcopy

        args, error = deepcopy((self.args, self.error), memo)
        return Failure(self.index, args, error, self.attempts, self.stage, self._rerun, self._place)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._rerun is not None:
            return self._rerun.pickled(self)  # type: ignore[no-any-return]
        return Failure, (self.index, self.args, self.error, self.attempts, self.stage)


class Raised:
    """An outcome that is not a value: what a task raised, or what happened to it."""

    __slots__ = ("attempts", "error")

    def __init__(self, error: BaseException, attempts: int = 1) -> None:
        self.error = error
        self.attempts = attempts
