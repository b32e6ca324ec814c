"""The journal of an imap or a SpinOff: a file that keeps each outcome, so that a program can go on after a crash.

Nothing here opens a file: `Journal` says which one, and how. README.md has the laws.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Journal:
    """Which file keeps the outcomes of an imap or of a SpinOff, and how: for `journal=`, where a path is too little.

    Making one opens nothing. The file is made, with mode 0600, when the imap or the SpinOff begins. It never changes.

    Args:
        path: a str or an `os.PathLike` of str; the file is made where there is none.
        force: go on although the file belongs to another function, code, version or seed; outcomes in it are kept.
            What is no journal, or one of another kind, is refused all the same.
        version: a str or an int that stands for the function's code: while it stays the same the code may change, and
            when it changes, the file is refused. None: the code itself is compared.
        sync: True: an outcome is handed over only when it is on the disk. False: the system may keep it in memory for a
            while; a kill loses nothing, a power cut the last seconds.

    Raises TypeError or ValueError, naming the word.
    """

    __slots__ = ("force", "path", "sync", "version")

    path: str
    force: bool
    version: str | int | None
    sync: bool

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        force: bool = False,
        version: str | int | None = None,
        sync: bool = True,
    ) -> None:
        given: object = path
        found: object = os.fspath(given) if isinstance(given, os.PathLike) else given
        if not isinstance(found, str):
            raise TypeError(f"path must be a str or a PathLike of str, the file's name; got {path!r}")
        if not found or "\0" in found:
            raise ValueError(f"path must be the name of a file; got {found!r}")
        for word, value in (("force", force), ("sync", sync)):
            if not isinstance(value, bool):
                raise TypeError(f"{word} must be True or False, not {type(value).__name__}")
        if version is not None and (isinstance(version, bool) or not isinstance(version, (str, int))):
            raise TypeError(f"version must be a str, an int or None, not {type(version).__name__}")
        values = {"force": force, "path": found, "sync": sync, "version": version}
        for name, each in values.items():
            object.__setattr__(self, name, each)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"Journal never changes: {name!r} cannot be assigned")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"Journal never changes: {name!r} cannot be deleted")

    def _values(self) -> tuple[Any, ...]:
        return self.path, self.force, self.version, self.sync

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Journal) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Journal({self.path!r}, force={self.force}, version={self.version!r}, sync={self.sync})"

    def __reduce__(self) -> Any:
        return _again, self._values()


def _again(path: str, force: bool, version: str | int | None, sync: bool) -> Journal:
    return Journal(path, force=force, version=version, sync=sync)


def check_words(journal: object, item_id: object) -> None:
    """Raise TypeError or ValueError for what makes no sense, naming the word."""
    if item_id is not None and not callable(item_id):
        raise TypeError(f"item_id must be callable or None, not {type(item_id).__name__}")
    if journal is not None:
        settings_of(journal)
    elif item_id is not None:
        raise ValueError("item_id says by what a journal knows an item: it needs journal=")


def settings_of(value: object) -> Journal:
    """What was given for `journal=`, as a Journal. Raises TypeError, naming the word."""
    if isinstance(value, Journal):
        return value
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"journal must be a path or a procession.Journal, not {type(value).__name__}")
    return Journal(value)


__all__ = ["Journal", "check_words", "settings_of"]
