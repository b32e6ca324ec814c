"""The file of a journal, as the system sees it: made, known for one, whose it is, and whether it is still there.

Laws
1. A journal is there whole or not at all: it is made beside, under another name, synced, and then gets its name.
2. Nothing is opened as a database, let alone written, unless its first bytes say that it is a journal.
3. This process opens the file of a journal by itself only before SQLite has it open: closing it would free SQLite's
locks.
"""

from __future__ import annotations

import os
import stat
import struct

from procession.journal.refusals import damaged, explained, refusal

APPLICATION = 0x70726F63  # "proc"
FORMAT = 1
"""What `PRAGMA user_version` says: the format of this package's journals."""

_MAGIC = b"SQLite format 3\0"
_HEADER = 100
BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite looks for beside a file, and takes for a part of it."""

LONGEST, LONGEST_NAME = 490, 240
"""Bytes of a path and of a name in a folder: systems take 255 of a name, and SQLite 511 in all; `-journal` is added."""


def real(path: str) -> str:
    """The path that stands for the file, whatever links lead there. Raises JournalError if it has no folder."""
    found = os.path.realpath(path)
    if os.path.isdir(found):
        raise refusal(path, "it is a folder; name a file in it")
    folder, name = os.path.split(found)
    if len(os.fsencode(name)) > LONGEST_NAME or len(os.fsencode(found)) > LONGEST:
        most = f"a name may have {LONGEST_NAME} bytes, with its folders {LONGEST}"
        raise refusal(path, f"its name is too long for SQLite, which adds to it: {most}")
    if not os.path.isdir(folder):
        raise refusal(path, f"there is no folder {folder}; make it first")
    return found


def there(path: str) -> bool:
    """Is there a journal of ours, or anything that must not be touched? False: none, or an empty file.

    Raises JournalError for what is no journal, is of a newer format, or cannot be read.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise refusal(path, "it is no ordinary file")
            head = file.read(_HEADER)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise explained(path, "reading it", error) from error
    if not head:
        return False
    known(path, head)
    return True


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe that nobody writes to


def known(path: str, head: bytes) -> None:
    """Raise JournalError unless these are a journal's first bytes, of a format that is known here."""
    if len(head) < _HEADER or head[:16] != _MAGIC:
        raise refusal(path, "it is no journal, but another kind of file; nothing was changed in it. Name another file")
    user_version, application = struct.unpack(">i4xi", head[60:72])
    if application != APPLICATION:
        raise refusal(path, "it is a database, but no journal; nothing was changed in it. Name another file")
    if user_version > FORMAT:
        text = f"it was written by a newer procession (format {user_version}, this one knows {FORMAT}); upgrade, or "
        raise refusal(path, f"{text}begin with another file")
    if user_version != FORMAT:
        raise damaged(path, f"it says that its format is {user_version}")


def no_orphan(path: str, log: str) -> None:
    """Raise JournalError if the log of a journal is there that is gone itself: what it has is no use without."""
    if os.path.exists(log) and os.path.getsize(log):
        text = f"it is gone, but its log {log} is there, with the last of it; put the file back, or remove the log"
        raise refusal(path, text)


def publish(made: str, path: str) -> None:
    """Give the finished file `made` its name: on the disk, too."""
    try:
        with open(made, "rb") as file:
            os.fsync(file.fileno())
        os.replace(made, path)
        sync_folder(path)
    except OSError as error:
        raise explained(path, "making it", error) from error


def sync_folder(path: str) -> None:
    """Have the system write down the names in the folder of `path`."""
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError:
        pass  # some file systems know no such thing
    finally:
        os.close(fd)


def remove(*paths: str) -> None:
    """Those of them that are there."""
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            pass


def foreign(path: str) -> str | None:
    """Why pickles in it are not to be loaded: who else writes it, or may. None: it is the user's alone."""
    for name in (path, *(path + end for end in BESIDE)):
        why = _others_write(name)
        if why is not None:
            return why
    return None


def not_planted(path: str, real: str) -> None:
    """Raise JournalError if the file is the user's alone, and what lies beside it is not.

    SQLite would write what is there into the file, and who reads that later could not tell.
    """
    if _others_write(real) is not None:
        return  # nothing in it is trusted anyway
    for end in BESIDE:
        why = _others_write(real + end)
        if why is not None:
            text = f"{why}. It would become a part of the journal; remove it, if you do not know where it is from"
            raise refusal(path, text)


def _others_write(name: str) -> str | None:
    """Why not only the user writes this file, if it is there."""
    me = os.geteuid()
    try:
        found = os.stat(name)
    except FileNotFoundError:
        return None
    if found.st_uid != me:
        return f"{name} belongs to user {found.st_uid}, not to you (user {me})"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{name} may be written by others (mode {stat.S_IMODE(found.st_mode):04o}); chmod go-w, if it is yours"
    return None


class Presence:
    """The files that were opened, to be found again under their names."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = [(name, os.stat(name)) for name in (path, f"{path}-wal")]

    def check(self) -> None:
        """Raise JournalError if one is gone, or another is there in its place."""
        for name, seen in self._seen:
            try:
                now = os.stat(name)
                if now.st_ino == seen.st_ino and now.st_dev == seen.st_dev:
                    continue
                text = f"{name} was replaced by another file"
            except OSError as error:
                text = f"{name} is gone ({error.strerror})"
            raise refusal(self._path, f"{text} while this program wrote it")
