"""What is said on the socket: one line of JSON for a request, one for the reply. Pure.

A request is an object: `"v"`, the version of what is said; `"do"`, a word of REQUESTS; and what that wants. A reply has
`"v"` and either `"error"`, a text for people, or what was asked for. Who says something else is told so, once, and
heard no longer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

VERSION = 1
MOST_REQUEST = 4096
"""Bytes of a request."""
MOST_REPLY = 1 << 24
"""Bytes of a reply that is read."""

REQUESTS: Mapping[str, tuple[str, ...]] = {
    "look": (),
    "dump": ("pool",),
    "resize": ("pool", "n"),
    "drain": ("pool", "worker"),
    "kill": ("pool", "worker"),
    "count": (),
}
"""What may be asked for, and the numbers that belong to it. "count": a look without what is measured for it."""


class Nonsense(Exception):
    """What came is no request, or no reply; the text says why."""


def line(said: Mapping[str, Any]) -> bytes:
    """As it goes over the wire."""
    return json.dumps({"v": VERSION, **said}, separators=(",", ":")).encode() + b"\n"


def error(text: str) -> bytes:
    """A reply that something is not done."""
    return line({"error": text})


def request(words: bytes, versioned: bool = True) -> dict[str, Any]:
    """Raises Nonsense. Not `versioned`: it came another way, on which the version is not said."""
    said = _object(words)
    if versioned and said.get("v") != VERSION:
        raise Nonsense(f"this program speaks version {VERSION} of the protocol, not {said.get('v')!r}")
    what = said.get("do")
    if not isinstance(what, str) or what not in REQUESTS:
        raise Nonsense(f"do must be one of {', '.join(REQUESTS)}; got {what!r}")
    for name in REQUESTS[what]:
        value = said.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
            raise Nonsense(f"{what} wants {name}, a number; got {value!r}")
    return said


def reply(words: bytes) -> dict[str, Any]:
    """Raises Nonsense."""
    said = _object(words)
    if said.get("v") != VERSION:
        raise Nonsense(f"the program speaks version {said.get('v')!r} of the protocol, not {VERSION}")
    return said


def _object(words: bytes) -> dict[str, Any]:
    try:
        said = json.loads(words)
    except (ValueError, RecursionError):
        raise Nonsense("this is not JSON") from None
    if not isinstance(said, dict):
        raise Nonsense("this is not a JSON object")
    return said


class Lines:
    """Cuts what comes into lines; raises Nonsense at a line that is longer than `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()

    def feed(self, more: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends."""
        scanned = len(self._rest)
        self._rest += more
        found: list[bytes] = []
        begin = 0
        while (end := self._rest.find(b"\n", max(begin, scanned))) >= 0:
            found.append(bytes(self._rest[begin:end]))
            begin = end + 1
        del self._rest[:begin]
        if len(self._rest) > self._most or any(len(each) > self._most for each in found):
            raise Nonsense(f"a line is longer than {self._most} bytes")
        return found


__all__ = [
    "MOST_REPLY",
    "MOST_REQUEST",
    "REQUESTS",
    "VERSION",
    "Lines",
    "Nonsense",
    "error",
    "line",
    "reply",
    "request",
]
