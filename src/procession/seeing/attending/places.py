"""Where a program is found that can be looked at: a socket `PID.sock` in a folder that is nobody else's.

Laws
1. The folder is `$XDG_RUNTIME_DIR/procession` if that variable names a folder of ours, and by no longer name than a
   socket in it can have, else `/tmp/procession-UID`. It is a folder, no link, ours, and nobody else may do anything
   there: this is looked at, not assumed, by who listens and by who asks, since anybody may make things in /tmp.
2. A socket gets its name when somebody listens there already, in one step, and so replaces one that was left behind.
3. What refuses a connection is of a program that is gone: it is removed by who looks for programs.
4. Who is at the other end is asked of the kernel, by either end: only we ourselves, and root.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

TMP, RUN = "/tmp", "/run/user"
"""By their names, whatever TMPDIR says: both ends must find them."""
LONGEST = 107 - len("/procession/.4194304.sock.new")
"""Bytes of a folder's name: the system takes no longer ones for sockets, unix(7)."""
LATE = 2
"""Seconds that a connection may take."""


class Unfit(Exception):
    """A place is not as it must be, and why."""


def possible() -> bool:
    """Whether this system can say who is at the other end."""
    return hasattr(socket, "SO_PEERCRED")


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where a program of ours listens."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and len(os.fsencode(runtime)) <= LONGEST:
        try:
            found = os.stat(runtime)
        except OSError:
            found = None
        if found is not None and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            return Path(runtime, "procession")
    return Path(TMP, f"procession-{os.geteuid()}")


def folders(uid: int, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where programs of this user may listen, whatever their environment is."""
    mine = [folder(environ)] if uid == os.geteuid() else []
    usual = [Path(RUN, str(uid), "procession"), Path(TMP, f"procession-{uid}")]
    return list(dict.fromkeys([*mine, *usual]))


def check(path: Path, uid: int) -> None:
    """Raises Unfit when this is not a folder of that user's alone; FileNotFoundError when there is none."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise Unfit(f"{path} is not a folder")
    if found.st_uid != uid:
        raise Unfit(f"{path} belongs to the user with the number {found.st_uid}")
    if found.st_mode & 0o077:
        raise Unfit(f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):o})")


def prepare(path: Path) -> None:
    """Have the folder there, and fit. Raises Unfit or OSError."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    check(path, os.geteuid())


def listen(path: Path, backlog: int) -> socket.socket:
    """A socket that listens at `path`, in a folder that is prepared. Raises OSError."""
    early = path.with_name(f".{path.name}.new")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        early.unlink(missing_ok=True)
        made.bind(os.fspath(early))
        os.chmod(early, 0o600)
        made.listen(backlog)
        os.rename(early, path)
    except BaseException:
        made.close()
        early.unlink(missing_ok=True)
        raise
    return made


def stranger(connection: socket.socket, uid: int) -> int | None:
    """The number of the user at the other end, if that is neither `uid` nor root."""
    words = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    who = struct.unpack("3i", words)[1]
    return None if who in (uid, 0) else who


def connect(path: Path) -> socket.socket:
    """Raises Unfit or OSError; removes what nobody listens at any more."""
    owner = os.lstat(path.parent).st_uid
    if owner != os.geteuid() and os.geteuid() != 0:
        raise Unfit(f"{path.parent} belongs to the user with the number {owner}")
    check(path.parent, owner)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Not `settimeout`: with that, who comes while others stand at the door is sent away at once (EAGAIN).
        late = struct.pack("ll", LATE, 0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, late)
        made.connect(os.fspath(path))
        who = stranger(made, owner)
        if who is not None:
            raise Unfit(f"the user with the number {who} listens at {path}")
    except ConnectionRefusedError:
        made.close()
        path.unlink(missing_ok=True)
        raise
    except BaseException:
        made.close()
        raise
    return made


def programs(uid: int, environ: Mapping[str, str] = os.environ) -> Iterator[tuple[int, Path]]:
    """The programs of this user that seem to listen: pid and socket, in the order of pids. Raises Unfit."""
    found: dict[int, Path] = {}
    for each in folders(uid, environ):
        try:
            check(each, uid)
            names = os.listdir(each)
        except OSError:
            continue
        for name in names:
            number, dot, kind = name.partition(".")
            if dot and kind == "sock" and number.isdigit():
                found.setdefault(int(number), each / name)
    yield from sorted(found.items())


__all__ = ["Unfit", "check", "connect", "folder", "folders", "listen", "possible", "prepare", "programs", "stranger"]
