"""Packets between the zygote and its parent: one marshalled tuple, with descriptors, over SOCK_SEQPACKET.

Above INLINE bytes the tuple travels in a memfd, the last descriptor of the packet, and only its first two items are
in the packet itself: so that a receiver out of descriptors still knows whom to tell. The raw `_socket` serves:
`socket` would cost each worker 30 ms of imports.
"""

from __future__ import annotations

import _socket
import marshal
import os
import sys

TYPE_CHECKING = False  # typing costs milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

INLINE = 8192
_SPILLED = b"."  # no marshalled tuple begins with it
_MAX_FDS = 16


def send(sock: _socket.socket, message: tuple[Any, ...], fds: Sequence[int] = ()) -> None:
    """Send one packet; the descriptors are duplicated by the kernel. Raises OSError, BlockingIOError among them."""
    body = marshal.dumps(message)
    spill = -1
    try:
        if len(body) > INLINE:
            spill = os.memfd_create("procession-packet")
            with open(spill, "wb", closefd=False) as file:
                file.write(body)
            fds, body = (*fds, spill), _SPILLED + marshal.dumps(message[:2])
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
        sock.sendmsg([body], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if fds else [])
    finally:
        if spill >= 0:
            os.close(spill)


def receive(sock: _socket.socket) -> tuple[tuple[Any, ...] | None, list[int]]:
    """Take one packet and its descriptors; None for the message at the end. Raises BlockingIOError when there is none.

    When this process is out of descriptors, the last ones of a packet are missing, and of a large message all but the
    first two items.
    """
    body, rights, flags, _ = sock.recvmsg(INLINE, _socket.CMSG_SPACE(_MAX_FDS * 4), _socket.MSG_CMSG_CLOEXEC)
    fds = [
        int.from_bytes(data[i : i + 4], sys.byteorder)
        for level, kind, data in rights
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS
        for i in range(0, len(data) - 3, 4)
    ]
    if not body:
        return None, fds
    if body.startswith(_SPILLED):
        body = body[1:]
        if not flags & _socket.MSG_CTRUNC:
            with open(fds.pop(), "rb") as file:
                file.seek(0)
                body = file.read()
    message: tuple[Any, ...] = marshal.loads(body)
    return message, fds
