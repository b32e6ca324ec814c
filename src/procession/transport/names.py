"""What a code object names: the globals that it, or what is defined in it, reads."""

from __future__ import annotations

import marshal
from opcode import opmap
from types import CodeType

_EXTENDED_ARG = opmap["EXTENDED_ARG"]
_LOAD_GLOBAL = opmap["LOAD_GLOBAL"]
# A class body inside a function reads globals as plain names; since 3.12 some of them by one more instruction.
_BY_NAME = {opmap["LOAD_NAME"], opmap["DELETE_GLOBAL"], opmap.get("LOAD_FROM_DICT_OR_GLOBALS", opmap["LOAD_NAME"])}
_REMEMBERED = 2048

_known: dict[int, Names] = {}


class Names:
    """A code object, marshalled (None where that cannot be), and its names."""

    __slots__ = ("attributes", "code", "globals", "marshalled")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        found: dict[str, None] = {}
        attributes: set[str] = set()
        _collect(code, found, attributes)
        self.globals = tuple(found)
        self.attributes = attributes
        try:
            self.marshalled: bytes | None = marshal.dumps(code)
        except ValueError:
            self.marshalled = None


def names_of(code: CodeType) -> Names:
    """Cached by identity; the cache holds the code objects, and is emptied when it is full."""
    found = _known.get(id(code))
    if found is None:
        if len(_known) >= _REMEMBERED:
            _known.clear()
        found = _known[id(code)] = Names(code)
    return found


def _collect(code: CodeType, found: dict[str, None], attributes: set[str]) -> None:
    names = code.co_names
    attributes.update(names)
    words = code.co_code
    extended = 0
    for at in range(0, len(words), 2):
        op, arg = words[at], words[at + 1] | extended
        extended = arg << 8 if op == _EXTENDED_ARG else 0
        if op == _LOAD_GLOBAL:
            found[names[arg >> 1]] = None
        elif op in _BY_NAME:
            found[names[arg]] = None
    for const in code.co_consts:
        if type(const) is CodeType:
            _collect(const, found, attributes)


__all__ = ["Names", "names_of"]
