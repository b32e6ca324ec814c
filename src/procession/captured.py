"""What a task has written, beside what it has returned: a `Captured`, and how the error of one that failed bears it."""

from __future__ import annotations

from procession.lean import T
from procession.record import frozen

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any, Generic
else:
    from types import GenericAlias

    class Generic:
        def __class_getitem__(cls, _parameter):
            return object


TOLD = 10
"""Lines of each stream that a note has."""
WIDTH = 200
"""Characters of each of them."""


@frozen
class Captured(Generic[T]):
    """What a task under `options(capture=True)` has come to.

    Of one that failed, `Captured.of(error)` says what it had written.
    """

    value: T
    """What the function has returned; None of a task that failed."""
    stdout: str
    """What was written to it. Of more than 1 MiB the first and the last half, and between them a line that says so."""
    stderr: str
    """The same."""
    omitted: int = 0
    """Bytes of both that are not here."""

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)

    @staticmethod
    def of(error: BaseException) -> Captured[None] | None:
        """What the task that failed with `error` had written; None if that was not captured."""
        try:
            found = getattr(error, "__captured__", None)
        except Exception:
            return None  # whatever its class does when it is asked
        return found if isinstance(found, Captured) else None


def captured(value: Any, out: tuple[str, int], err: tuple[str, int]) -> Captured[Any]:
    """Of a value, and of each stream its text and the bytes that are not in it."""
    return Captured(value, out[0], err[0], out[1] + err[1])


def keep(error: BaseException, written: Captured[Any]) -> None:
    """`error` is that of a task that has written this. The name is such as no program has for itself."""
    try:
        error.__captured__ = written  # type: ignore[attr-defined]
    except Exception:
        pass  # a class that lets nothing be set: there is the note


def tell(error: BaseException, written: Captured[Any]) -> None:
    """`keep`, and a note with the last of it."""
    keep(error, written)
    note = last_of(written)
    try:
        known = note in getattr(error, "__notes__", ())  # it may have been here before
    except Exception:
        return  # whatever its class does when it is asked
    if note and not known:
        add_note(error, note)


def add_note(error: BaseException, note: str) -> None:
    """`error.add_note`, if it takes one: a task's error may have something else for notes, and a method of its own."""
    try:
        error.add_note(note)
    except Exception:
        pass  # what it says is less than that it comes


def last_of(written: Captured[Any]) -> str:
    """The last lines of both streams, for people; "" if nothing was written."""
    return "\n".join(part for part in (_last("stdout", written.stdout), _last("stderr", written.stderr)) if part)


def _last(name: str, text: str) -> str:
    if not text:
        return ""
    lines = text.splitlines()
    shown = [f"    {line if len(line) <= WIDTH else line[: WIDTH - 3] + '...'}" for line in lines[-TOLD:]]
    which = "" if len(lines) <= TOLD else f", the last {TOLD} of {len(lines):,} lines"
    return "\n".join([f"it had written to {name}{which}:", *shown])


__all__ = ["Captured", "add_note", "captured", "keep", "last_of", "tell"]
