"""Results that the parent does not open: they go on to a worker of another engine as they came.

An engine whose codec `keeps` leaves a result that was pickled as it is (`seal`); the channel gives a `Sealed` for it.
Whoever has that may pass it on, in a `Passed`, as an argument or inside of one, to another engine of processes whose
workers have arenas; or open it (`value`). What it is then is what the worker's task has returned, either way.

Laws
1. **A sealed result may be loaded in any process, at any time.** One that cannot says so (`pickler.BOUND`): functions
   and classes by value have names that mean something between its worker and the parent. It is not sealed.
2. **It owns its blocks by loans** (lending.py), as long as it or a body into which it was packed lives. Opened, its
   views own them; one that was passed on already is copied instead, since a worker may look at it.
3. **Who is passed it is alone with it.** The task may write into what it gets: its block was made for the result, and
   nobody looks there but who has asked for a Sealed. Except, as ever (aside.py, law 2): a task that may run again gets
   copies (`private`), and an array that its maker had in its arena already (`procession.empty`) is shared with that.
4. **Who cannot reach the block says so** (`remote.OutOfReach`) before anything of the task is run: it can be sent anew.
5. Loading is the receiver's. What does not load there fails the task there.
"""

from __future__ import annotations

import io
import struct
from _pickle import PickleBuffer, Unpickler, loads
from _pickle import dumps as plain_dumps

from procession.transport import aside, parts, passed
from procession.transport.arena import slot_of
from procession.transport.pickler import BOUND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from procession.transport.lending import Lender, Lending, Loan

_ARRIVED = plain_dumps(aside.arrived, 5)[11:-1]
_HEAD = slice(11, 11 + len(_ARRIVED))
"""Behind the protocol and the length of a frame."""
LETTERS = "?bBhHiIlLefdgFD"
"""dtypes by number, as in _native/array.c, and the forms there."""
_FAR, _SCALAR = 1, 2


class Sealed:
    """A result as it came: its pickle, and the loans of what lies aside. `decode` opens it."""

    __slots__ = ("_decode", "_lending", "_passed", "data", "lender", "loans", "spec")

    def __init__(self, data: bytes, decode: Callable[[bytes], Any]) -> None:
        self.data = data
        self.spec: Any = None
        self.loans: list[Loan] = []
        self.lender: Lender | None = None
        self._lending: Lending | None = None
        self._decode = decode
        self._passed = False

    def lent(self, spec: Any, lender: Lender, lending: Lending) -> bool:
        """Its blocks are owned from now on; False: there was no room for that."""
        loans = lending.lend(lender, [slot_of(place[0]) for place in spec[3]])
        if loans is None:
            return False
        self.spec, self.loans, self.lender, self._lending = spec, loans, lender, lending
        return True

    @property
    def weight(self) -> int:
        """Bytes that it takes, here and aside."""
        return len(self.data) + (sum(place[1] for place in self.spec[3]) if self.spec else 0)

    def value(self) -> Any:
        """What it is. Raises what `Codec.decode_result` does. Not to be called twice, or passed on afterwards."""
        if self._lending is None:
            return self._decode(self.data)
        if self._passed:
            return self._decode(aside.told((self.spec[0], aside.COPIED, *self.spec[2:])))
        try:
            return self._decode(self.data)
        finally:
            self._lending.taken(self.loans)

    def __reduce__(self) -> Any:
        raise TypeError("procession: a sealed result was pickled")


class Passed:
    """In the arguments of a call: what a Sealed stands for. `private`: the call may run more than once."""

    __slots__ = ("private", "sealed")

    def __init__(self, sealed: Sealed, private: bool) -> None:
        self.sealed = sealed
        self.private = private
        sealed._passed = True


def reduce(pickler: Any, argument: Passed) -> Any:
    """How it travels."""
    sealed = argument.sealed
    if sealed.spec is None:
        return loads, (sealed.data,)
    lender = sealed.lender
    assert lender is not None
    pickler.aside.take(sealed)
    arena = pickler.aside.arena()
    _, _, stream, places, pieces = sealed.spec
    slotted = tuple((*place, loan.slot) for place, loan in zip(places, sealed.loans, strict=True))
    about = (0 if arena is None else arena.key, lender.key, lender.where, lender.home)
    return passed.passed, (about, argument.private, stream, slotted, pieces)


parts.RARE[Passed] = reduce


class _Teller(Unpickler):
    """Reads the call of `aside.arrived` that a result is, and does not call it."""

    def find_class(self, _module: str, _name: str, /) -> Any:
        return lambda *spec: spec


def seal(data: bytes, decode: Callable[[bytes], Any], lender: Lender | None, lending: Lending | None) -> Sealed | None:
    """A result of a worker, by its pickle; None: it has to be opened here and now."""
    if data.endswith(BOUND):
        return None
    sealed = Sealed(data, decode)
    if data[_HEAD] != _ARRIVED:
        return sealed
    spec = _Teller(io.BytesIO(data)).load()
    return sealed if lender is not None and lending is not None and sealed.lent(spec, lender, lending) else None


def array_told(data: bytes, key: int) -> bytes:
    """What came as an array (_native/array.c), as a pickle that makes the same. `key`: of the arena where it lies."""
    head, *words = struct.unpack_from(f"={len(data) // 8}Q", data)
    letter, count, form = LETTERS[head & 0xFF], head >> 8 & 0xFF, head >> 16 & 0xFF
    shape = tuple(words[:count])
    if form != _FAR:
        return plain_dumps(aside.Call(passed.array, (letter, shape, data[8 * (1 + count) :], form == _SCALAR)), 5)
    where, size = words[count : count + 2]
    call = aside.Call(passed.array_in, (letter, shape, PickleBuffer(bytearray(1))))
    stream = plain_dumps(call, 5, buffer_callback=lambda _: False)
    return aside.told((key, False, stream, ((where, size, False),), ((0, 0, size),)))


__all__ = ["LETTERS", "Passed", "Sealed", "array_told", "seal"]
