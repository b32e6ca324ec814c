"""Pickles whose large parts lie in an arena: what travels is a small pickle that says where.

What lies aside: buffers that a pickle gives out of band (protocol 5: NumPy, pandas, PyArrow, Polars ...) of LEAST bytes
or more, and the pickle itself when it is that large (`bytes`, long lists). Buffers of OWN_BLOCK bytes or more have a
block each, smaller ones share one: who keeps a small column of a table keeps its neighbours, and no more.

Laws
1. What travels is a pickle like any other: loading it calls `arrived`, which finds the arena by its key. So nobody on
   the way, no frame, page, channel or loop, knows of arenas.
2. **A copy on the way in, none on the way out.** What is loaded looks at the block, may be written, and is seen by
   nobody else: the block was made for it. Except
   * a body that may run again (`private`): a run gets a copy, the block stays as it was sent;
   * an array that lies in the sender's arena already (`procession.empty`): it is sent as a reference, and shared;
   * what is shared (`pool.share`): looked at by all workers, and read-only.
3. A body owns its blocks: they live as long as the bytes object. A result's blocks are published with it: they are free
   when the other side says so.
4. Where there is no arena, or no room in it, everything is in the pickle as ever.
"""

from __future__ import annotations

import sys
from _pickle import dumps as plain_dumps
from _pickle import loads
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from procession.transport.arena import Arena, Block, Inlet

    class Supply(Protocol):
        """Who has an arena."""

        def arena(self) -> Arena | None:
            """The one to send by, now; None: there is none."""
            ...

    Place = tuple[int, int, bool]  # offset and size of a block; was it lent to the program?
    Part = tuple[int, int, int]  # which block, where in it, how many bytes
    Spec = tuple[int, bool, bytes | Part, tuple[Place, ...], tuple[Part, ...]]


LEAST = 1 << 16
"""Bytes: what is smaller stays in the pickle."""
OWN_BLOCK = 1 << 20
_ALIGNED = 64
COPIED = 2
"""In place of a spec's `private`: this process copies all of it, and what lies aside stays what it was."""

inlets: dict[int, Inlet] = {}
"""The arenas of others that this process may look into, by key."""
numbers = count(1)
"""For objects that are shared (handles.py)."""
known: dict[tuple[int, int], tuple[Any, Inlet, int]] = {}
"""In a worker: the shared objects that it has loaded, and where it looks whether each is still shared."""
lenders: dict[int, tuple[Inlet, Inlet, int]] = {}
"""In a worker: arenas of other workers that it has mapped (passed.py), and where it looks whether each is in use."""
opener: list[Callable[[], None]] = []
"""In a worker: what fills `inlets`, when it is first needed."""
moved = [0]
"""Bytes that this process has ever copied to lie aside."""


def begin(opens: Callable[[], None]) -> None:
    """This process is a worker: nothing is known yet, and what a fork has brought along is its parent's."""
    inlets.clear()
    known.clear()
    lenders.clear()
    opener[:] = (opens,)
    arena = sys.modules.get("procession.transport.arena")
    if arena is not None:
        arena.live.clear()


class Body(bytes):
    """A pickle that owns what it needs elsewhere: blocks, shared objects."""

    keep: list[Any]
    spec: Spec | None = None
    note: Any = None
    """What was found when it was made, if somebody wants to know (`happenings.Note`)."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return bytes, (self[:],)

    def private(self) -> Body:
        """The same, for what may run more than once."""
        if self.spec is None:
            return self
        key, _, *rest = self.spec
        spec: Any = (key, True, *rest)
        made = body(told(spec), self.keep, spec)
        made.note = self.note
        return made


def private(sent: Any) -> Any:
    """The body of a task that may run more than once."""
    return sent.private() if type(sent) is Body else sent


def body(data: bytes, keep: list[Any], spec: Spec | None) -> Body:
    """`data`, which owns what is in `keep`."""
    made = Body(data)
    made.keep, made.spec = keep, spec
    return made


def large(items: Any) -> bool:
    """Is one of these values a text or bytes that is better put aside?"""
    for each in items:  # noqa: SIM110  # a generator costs each submit a third of a microsecond
        if (each.__class__ is bytes or each.__class__ is str) and len(each) >= LEAST:
            return True
    return False


class Aside:
    """What a pickler puts aside: its buffer callback. One for each pickler; one that was `used` is not used again."""

    __slots__ = ("bound", "buffers", "keep", "supply", "used")

    def __init__(self) -> None:
        self.bound = False  # the pickle can be loaded by who it is for, and nobody else (pickler.BOUND)
        self.buffers: list[Any] = []  # views of memory, and what lies in the arena already: block, where, bytes
        self.keep: list[Any] = []
        self.supply: Supply | None = None
        self.used = False

    def arena(self) -> Arena | None:
        """Where to put it."""
        return None if self.supply is None else self.supply.arena()

    def __call__(self, buffer: Any) -> bool:
        """False: it stays out of the pickle, and is ours."""
        try:
            raw = buffer.raw()
        except BufferError:
            return True  # with holes in it
        arena = self.arena()
        if arena is None:
            return True
        if arena.exports and (found := _lent(arena, raw)) is not None:
            self.buffers.append((*found, raw.nbytes))
        elif raw.nbytes >= LEAST:
            self.buffers.append(raw)
        else:
            return True
        self.used = True
        return False

    def take(self, kept: Any) -> None:
        """What is being pickled needs this."""
        self.keep.append(kept)
        self.used = True

    def packed(self, pieces: list[Any], force: bool = False) -> bytes | None:
        """The pickle that travels instead of these pieces; None: there is no room for the buffers.

        force: into the arena with it, however small.
        """
        pieces = list(map(_flat, pieces))
        size = sum(map(len, pieces))
        aside = size >= LEAST or force
        arena = self.arena() if aside or self.buffers else None
        made = None if arena is None else _pack(arena, pieces, size if aside else 0, self.buffers)
        if made is not None and arena is not None:
            spec, blocks = made
            return arena.ship(told(spec), spec, blocks, self.keep)
        if self.buffers:
            return None
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return body(data, self.keep, None) if self.keep else data


def _flat(piece: Any) -> Any:
    """What the pickler has handed on as it is, because it is large, as bytes or a view of bytes."""
    if type(piece) is bytes:
        return piece
    return piece.raw() if hasattr(piece, "raw") else memoryview(piece)


def _lent(arena: Arena, raw: memoryview) -> tuple[Block, int] | None:
    """Where in the arena a buffer lies already, as only arrays tell."""
    interface = getattr(raw.obj, "__array_interface__", None)
    if type(interface) is not dict:
        return None
    return arena.lent(interface["data"][0], raw.nbytes)


def _pack(arena: Arena, pieces: list[Any], stream: int, buffers: list[Any]) -> tuple[Spec, list[Block]] | None:
    """Write what lies aside into blocks. `stream`: the size of the pickle, if it does."""
    blocks: list[Block] = []
    parts: list[Part] = []
    small = [each for each in buffers if type(each) is memoryview and each.nbytes < OWN_BLOCK]
    filled = 0
    if small:
        room = arena.allocate(sum(_room(each.nbytes) for each in small))
        if room is None:
            return None
        blocks.append(room)
    for each in buffers:
        if type(each) is tuple:
            block, start, size = each
            parts.append((len(blocks), start, size))
            blocks.append(block)
            continue
        size = each.nbytes
        if size < OWN_BLOCK:
            number, start = 0, filled
            filled += _room(size)
        else:
            own = arena.allocate(size)
            if own is None:
                return None
            number, start = len(blocks), 0
            blocks.append(own)
        at = blocks[number].offset + start
        arena.memory.bytes[at : at + size] = each
        moved[0] += size
        parts.append((number, start, size))
    pickled: bytes | Part
    if stream:
        own = arena.allocate(stream)
        if own is None:
            return None
        pickled = (len(blocks), 0, stream)
        blocks.append(own)
        _write(arena, own.offset, pieces)
        moved[0] += stream
    else:
        pickled = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return (
        arena.key,
        False,
        pickled,
        tuple((each.offset, each.size, each.exported) for each in blocks),
        tuple(parts),
    ), blocks


def _room(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _write(arena: Arena, at: int, pieces: list[Any]) -> None:
    memory = arena.memory.bytes
    for piece in pieces:
        memory[at : at + len(piece)] = piece
        at += len(piece)


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable[..., Any], args: Any) -> None:
        self._call = function, args

    def __reduce__(self) -> Any:
        return self._call


def told(spec: Any) -> bytes:
    """The pickle that travels: a call of `arrived`."""
    return plain_dumps(Call(arrived, spec), 5)


# ------------------------------------------------------------------------------------------------- on the other side


def inlet_of(key: int) -> Inlet:
    """The arena of another with this key."""
    if key not in inlets and opener:
        opener.pop()()
    return inlets[key]


def arrived(key: int, private: int, stream: Any, places: tuple[Place, ...], parts: tuple[Part, ...]) -> Any:
    """What was packed; called by a pickle."""
    return load(inlet_of(key), private, stream, places, parts)


def load(inlet: Inlet, private: int, stream: Any, places: tuple[Any, ...], parts: tuple[Part, ...]) -> Any:
    """What lies there. A place may say, as its fourth, in which word views of it are counted.

    private: not 0: what was made for this is copied; COPIED: whatever it is, and nothing is told of having looked.
    """
    apart = None
    if type(stream) is tuple:
        apart, _, size = stream
        stream = inlet.bytes(places[apart][0], size)
    views: list[Any] = []
    for index, place in enumerate(places):
        if index == apart:
            views.append(None)
        elif private and (private is COPIED or not place[2]):
            views.append(memoryview(bytearray(inlet.bytes(*place[:2]))))
        else:
            views.append(inlet.view(*place[:2], *place[3:]))
    buffers = [views[number][start : start + size] for number, start, size in parts]
    views.clear()
    try:
        return loads(stream, buffers=buffers)
    finally:
        if apart is not None:
            stream.release()
            if private is not COPIED:
                inlet.has_read(places[apart][0])


__all__ = ["COPIED", "LEAST", "Aside", "Body", "Call", "arrived", "body", "inlets", "large", "load", "private", "told"]
