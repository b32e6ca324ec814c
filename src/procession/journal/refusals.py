"""What is said when a journal refuses something, or cannot do it: the path, what is so, and what to do."""

from __future__ import annotations

from procession.errors import JournalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KNOWN = (
    ("disk is full", "the disk is full"),
    ("malformed", "the file is damaged"),
    ("not a database", "the file is damaged, or is no journal"),
    ("could not decode", "the file is damaged"),
    ("readonly", "the file, or its folder, cannot be written"),
    ("read-only", "the file, or its folder, cannot be written"),
    ("unable to open", "the file, or what belongs to it, cannot be opened"),
    ("locked", "another program holds the file"),
    ("i/o error", "the disk reports an error"),
)


def refusal(path: str, text: str) -> JournalError:
    """The error for this journal."""
    return JournalError(f"journal {path}: {text}")


def damaged(path: str, what: str) -> JournalError:
    """Something in the file is not what was written there."""
    return refusal(path, f"the file is damaged: {what}. Restore it from a copy, or begin with another file")


def explained(path: str, doing: str, error: BaseException) -> JournalError:
    """The error for what SQLite, or the system, has said while `doing` something."""
    if isinstance(error, JournalError):
        return error
    said = str(error) or type(error).__name__
    for word, meaning in _KNOWN:
        if word in said.lower():
            said = f"{meaning} ({said})"
            break
    made = refusal(path, f"{doing} failed: {said}")
    made.__cause__ = error
    return made


def again(error: JournalError) -> JournalError:
    """The same for one more who is to raise it: each raises its own."""
    made = JournalError(*error.args)
    made.__cause__ = error.__cause__
    return made


def shown(value: Any, most: int = 80) -> str:
    """A short repr, whatever its `__repr__` does, as text that a file can hold."""
    try:
        text = repr(value)
    except BaseException:
        text = f"<{type(value).__qualname__}, its __repr__ failed>"
    return clean(text if len(text) <= most else f"{text[: most - 3]}...")


def clean(text: str) -> str:
    """`text` without what UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
