"""Where browsers find the dashboard of a program: a port of this machine alone, and a token that they must know.

Shared by who serves it from another terminal (cli/web/) and who has it served (procession/dashboard.py).
"""

from __future__ import annotations

import fcntl
import re
import secrets
import socket
from collections.abc import Mapping

VARIABLE = "PROCESSION_DASHBOARD_TOKEN"
"""Names a token to take, for who asks again and again, as Prometheus does."""
SHORTEST, LONGEST = 16, 200
_FIT = re.compile(rf"[A-Za-z0-9_.~-]{{{SHORTEST},{LONGEST}}}")
READY, OVER = "ready", b"over "
"""What a server that a program has started says to it when requests are answered; and what the program says when its
last pool with a dashboard has ended, with the last numbers of its pools in JSON behind it. It closes the pipe then; so
does its death."""
HOST = "127.0.0.1"
BACKLOG = 128


def new_token(environ: Mapping[str, str]) -> str:
    """What the environment says, or one that nobody has had. Raises ValueError when that is no good token."""
    said = environ.get(VARIABLE)
    if said is None:
        return secrets.token_urlsafe(24)
    if not _FIT.fullmatch(said):
        raise ValueError(
            f"{VARIABLE} must be {SHORTEST} to {LONGEST} characters, letters, digits and any of '-._~'; "
            f"the one in the environment, of {len(said)}, is not"
        )
    return said


def listen(port: int) -> socket.socket:
    """A socket that listens at HOST; 0: at any port that is free. Raises OSError."""
    made = _above_standard(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a server that has just ended
        made.bind((HOST, port))
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _above_standard(made: socket.socket) -> socket.socket:
    """The same socket, under a number that is none of stdin's, stdout's and stderr's. Where those are closed it has got
    one of them; a process that is handed the socket by its number has another file there."""
    if made.fileno() > 2:
        return made
    with made:
        return socket.socket(fileno=fcntl.fcntl(made.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))


def place(port: int) -> str:
    """Where it is, without the token."""
    return f"http://{HOST}:{port}/"


def address(port: int, token: str) -> str:
    """What is to be opened in a browser."""
    return f"{place(port)}?token={token}"


__all__ = ["HOST", "LONGEST", "OVER", "READY", "SHORTEST", "VARIABLE", "address", "listen", "new_token", "place"]
