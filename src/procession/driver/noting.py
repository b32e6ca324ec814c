"""What engines notice for a tap besides events: what arguments come to when they are encoded, and how workers are.

Laws
1. `encode` is shadowed only while somebody taps: nobody else pays.
2. What is noted goes with the body, and with the future that is made of it: a caller who is answered quickly drops the
   body before anybody has looked.
3. What is noted is of this body alone, whatever other threads encode meanwhile; and where nothing can be noted, the
   body goes its way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from zlib import crc32

from procession.backends.cpu_time import of_process, of_thread
from procession.backends.gate import Gate
from procession.backends.memory import resident
from procession.happenings import Note
from procession.transport import aside

if TYPE_CHECKING:
    from procession.transport.arena import Arena

PATIENCE = 5.0
"""Seconds that somebody who begins or ends to tap waits for a driver."""
LARGE = 1 << 16
"""Bytes of arguments from which on one looks whether they are the same ones again."""
SAMPLES, SAMPLE = 64, 64
"""So many pieces of so many bytes are looked at of each block; of one in which these were seen before, all."""
MOST = 10_000
"""So many different ones are remembered."""
EDGE = 1 << 10
"""So many bytes at the edges of a block are not: there a pickle says what is small, beside a large argument."""


def noting(encode: Callable[..., Any], arena: Callable[[], Arena | None]) -> Callable[..., Any]:
    """`encode`, whose bodies bear a note."""
    seen: set[int] = set()

    def print_of(body: aside.Body) -> int:
        """0 for what was not met before; else that of the whole: what differs where no sample lies is not the same."""
        sampled = _print(body, arena, SAMPLES)
        if sampled in seen:
            return _print(body, arena, 1)
        if len(seen) < MOST:
            seen.add(sampled)
        return 0

    def encode_and_note(function: Any, args: Any, kwargs: Any, around: Any = None) -> Any:
        began = perf_counter_ns()
        body = encode(function, args, kwargs, around)
        if body.__class__ is tuple:
            return body  # plain: nothing was encoded yet
        ns = perf_counter_ns() - began
        try:
            noted = body if body.__class__ is aside.Body else aside.body(body, [], None)
            size = len(body) + _aside(noted)
            noted.note = Note(ns, size, print_of(noted) if size >= LARGE else 0)
        except Exception:  # no memory is left for that, say
            return body
        return noted

    return encode_and_note


def _aside(body: aside.Body) -> int:
    """Bytes of it that lie in the arena."""
    if body.spec is None:
        return 0
    stream = body.spec[2]
    return sum(size for _, _, size in body.spec[4]) + (stream[2] if stream.__class__ is tuple else 0)


def _print(body: aside.Body, arena: Callable[[], Arena | None], samples: int) -> int:
    """A number of what is large in it, by so many samples of each block, or by all of it (1): the same for the same,
    whatever small arguments are beside it, since edges are left out."""
    if body.spec is None:
        return crc32(memoryview(body)[EDGE:-EDGE]) or 1
    here = arena()
    if here is None:
        return 0
    memory, found = here.memory.bytes, 0
    stream = body.spec[2]
    blocks = [place[0] for place in body.spec[3]]
    parts = [*body.spec[4], *((stream,) if stream.__class__ is tuple else ())]
    for number, start, size in parts:
        begin, end = blocks[number] + start + EDGE, blocks[number] + start + size - EDGE
        step = max(SAMPLE, size // samples)
        found = crc32((size // EDGE).to_bytes(8, "little"), found)
        for at in range(begin, end, step):
            found = crc32(memory[at : min(at + SAMPLE if samples > 1 else end, end)], found)
    return found or 1


def ask(request: Callable[[Any], bool], what: Callable[[], object], patience: float | None = PATIENCE) -> bool:
    """Have a driver do this, and wait until it has, at most so many seconds; whether it has, or there is none."""
    done = Gate()

    def perform() -> None:
        try:
            what()
        finally:
            done.open()

    if not request(perform):
        return True
    done.wait(-1 if patience is None else patience)
    return done.opened


def of_processes(pids: Mapping[int, int]) -> dict[str, Any]:
    """Memory, CPU and standing in line of these workers, which are processes; the latter two of each."""
    memory, cpu, stalled = 0, {}, {}
    for pid in list(pids.values()):
        memory += resident(pid) or 0
        if (taken := of_process(pid)) is not None:
            cpu[pid], stalled[pid] = taken.cpu_ns / 1e9, taken.queued_ns / 1e9
    return {"memory": memory, "cpu": cpu, "stalled": stalled}


def of_threads(tids: Mapping[int, int]) -> dict[str, Any]:
    """CPU and standing in line of these workers, which are threads."""
    cpu, stalled = {}, {}
    for tid in list(tids.values()):
        if tid and (taken := of_thread(tid)) is not None:
            cpu[tid], stalled[tid] = taken.cpu_ns / 1e9, taken.queued_ns / 1e9
    return {"cpu": cpu, "stalled": stalled}


__all__ = ["ask", "noting", "of_processes", "of_threads"]
