"""An arena and its inlet, both in this process."""

import gc
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from procession.transport import arena as arenas
from procession.transport.arena import DATA_AT, Arena, Block, Inlet, Segment
from procession.transport.spans import GRAIN
from tests.transport.test_interrupts import interrupted_at

pytest.importorskip("ctypes")
GRAINS = 32


class Settling(Arena):
    """One whose other side says at once, by the names in `held`, what it looks at."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.held: set[int] = set()

    def settled(self, slot: int) -> bool:
        return slot not in self.held


def memfd(grains: int = GRAINS) -> int:
    fd = os.memfd_create("test")
    os.ftruncate(fd, DATA_AT + grains * GRAIN)
    return fd


@pytest.fixture
def fd() -> Iterator[int]:
    made = memfd()
    yield made
    os.close(made)


@pytest.fixture
def arena(fd: int, monkeypatch: pytest.MonkeyPatch) -> Settling:
    monkeypatch.setenv("PROCESSION_ARENA_BYTES", str(1 << 30))  # no control group has a say
    return Settling(fd)


def blocks_of(fd: int) -> int:
    """Bytes of memory that the file has."""
    return os.fstat(fd).st_blocks * 512


def number(block: Block | None) -> int:
    assert block is not None
    return (block.offset - DATA_AT) // GRAIN


# -------------------------------------------------------------------------------------------------------- what is taken


def test_nothing_is_taken_before_it_is_used(arena: Settling, fd: int) -> None:
    assert blocks_of(fd) == 0
    assert not arena.restless
    block = arena.allocate(3 * GRAIN)
    assert number(block) == 0
    assert 3 * GRAIN <= blocks_of(fd) < 4 * GRAIN
    assert arena.restless


def test_what_is_let_go_of_is_used_again_and_stays_warm(arena: Settling, fd: int) -> None:
    for _ in range(100):
        block = arena.allocate(2 * GRAIN)
        assert number(block) == 0
        del block
    assert blocks_of(fd) < 3 * GRAIN


def test_what_the_other_side_looks_at_is_not_used_again(arena: Settling) -> None:
    block = arena.allocate(GRAIN)
    arena.held.add(number(block))
    del block
    assert number(arena.allocate(GRAIN)) == 1
    arena.held.clear()
    assert number(arena.allocate(GRAIN)) == 0


def test_full_is_none_and_not_an_error(arena: Settling) -> None:
    kept = [arena.allocate(GRAIN) for _ in range(GRAINS)]
    assert all(kept)
    assert arena.allocate(1) is None
    del kept[7]
    assert number(arena.allocate(1)) == 7
    assert arena.allocate(GRAINS * GRAIN + 1) is None


def test_no_memory_is_none_and_not_a_signal(arena: Settling, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse)
        assert arena.allocate(GRAIN) is None
    assert number(arena.allocate(GRAIN)) == 0


def test_a_limit_of_control_groups_narrows_it(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from procession.transport import budget

    monkeypatch.delenv("PROCESSION_ARENA_BYTES", raising=False)
    monkeypatch.setattr(budget, "machine", lambda: 1 << 30)
    monkeypatch.setattr(budget, "allowance", lambda _root="/": 1 << 29)
    arena = Settling(fd)
    assert arena.allocate(GRAINS // 2 * GRAIN + 1) is None
    assert arena.allocate(GRAINS // 2 * GRAIN) is not None


def test_idle_memory_is_given_back(arena: Settling, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(arenas, "monotonic", lambda: now[0])
    kept, gone = arena.allocate(GRAIN), arena.allocate(20 * GRAIN)
    assert kept is not None
    arena.memory.bytes[kept.offset : kept.offset + 3] = b"abc"
    arena.mind()
    assert blocks_of(fd) > 20 * GRAIN
    del gone
    now[0] += arenas.IDLE + 0.1
    arena.mind()
    assert blocks_of(fd) < 2 * GRAIN
    assert arena.memory.bytes[kept.offset : kept.offset + 3] == b"abc"
    assert arena.restless, "the last block may be given back as well, some time"
    del kept
    arena.mind()
    assert not arena.restless
    assert blocks_of(fd) < GRAIN
    again = arena.allocate(20 * GRAIN)
    assert again is not None
    arena.memory.bytes[again.offset : again.offset + again.size] = bytes(again.size)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that hits a finalizer is swallowed
def test_interrupted_anywhere_it_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_ARENA_BYTES", str(1 << 30))
    step = 1
    while True:
        fd = memfd()
        arena = Settling(fd)
        gone = arena.allocate(2 * GRAIN)
        del gone

        def work(arena: Settling = arena) -> None:
            for size in (GRAIN, 5 * GRAIN):
                block = arena.allocate(size)
                del block
            arena.mind()

        went_on = interrupted_at(step, work, spared=("allocate", "mind"))
        gc.collect()
        whole = arena.allocate(GRAINS * GRAIN)
        assert whole is not None, f"something was lost at step {step}"
        del whole, arena
        os.close(fd)
        if not went_on:
            break
        step += 1 + step // 40
    assert step > 50


def test_a_handler_that_allocates_while_its_thread_does_takes_another_way(arena: Settling) -> None:
    found: list[Any] = []
    back = arena._back

    def while_allocating(offset: int, size: int) -> None:
        found.append(arena.allocate(GRAIN))
        back(offset, size)

    arena._back = while_allocating  # type: ignore[method-assign]
    assert number(arena.allocate(GRAIN)) == 0
    assert found == [None]


# --------------------------------------------------------------------------------------------------------------- views


@pytest.fixture
def inlet(arena: Settling) -> tuple[Inlet, deque[Any]]:
    notes: deque[Any] = deque()
    return Inlet(Segment(arena.fd), arena, 2, 1, -1, notes), notes


def test_a_view_counts_as_long_as_anything_looks_through_it(arena: Settling, inlet: tuple[Inlet, deque[Any]]) -> None:
    looking, notes = inlet
    block = arena.allocate(2 * GRAIN)
    assert block is not None
    words = arena.table(2)
    arena.memory.bytes[block.offset : block.offset + 4] = b"abcd"
    view = looking.view(block.offset, block.size)
    part = view[1:3].cast("B")
    again = looking.view(block.offset, block.size)
    assert words[0] == 2
    del view, again
    arenas.settle(notes)
    assert words[0] == 1
    assert bytes(part) == b"bc"
    del part
    arenas.settle(notes)
    assert words[0] == 0
    assert not arenas.live


def test_views_keep_the_memory_when_all_else_has_gone(arena: Settling, inlet: tuple[Inlet, deque[Any]]) -> None:
    looking, notes = inlet
    block = arena.allocate(GRAIN)
    assert block is not None
    arena.memory.bytes[block.offset : block.offset + 4] = b"abcd"
    view = looking.view(block.offset, block.size)
    del looking, inlet, block, arena
    gc.collect()
    assert bytes(view[:4]) == b"abcd"
    view[:4] = b"efgh"
    assert bytes(view[:4]) == b"efgh"
    del view
    arenas.settle(notes)


def test_a_fork_pins_what_is_looked_at(arena: Settling, inlet: tuple[Inlet, deque[Any]]) -> None:
    looking, notes = inlet
    block = arena.allocate(GRAIN)
    assert block is not None
    view = looking.view(block.offset, block.size)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            del view
            arenas.settle(notes)
            code = 0 if arena.table(2)[0] == 1 and arena.allocate(GRAIN) is None else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    del view
    arenas.settle(notes)
    assert arena.table(2)[0] == 1, "the child might look at it still"
    other = arena.allocate(GRAIN)
    assert other is not None
    later = looking.view(other.offset, other.size)
    del later
    arenas.settle(notes)
    assert arena.table(2)[number(other)] == 0


def test_lent_memory_is_found_by_its_address(arena: Settling) -> None:
    np = pytest.importorskip("numpy")
    lent = arena.lend(3 * GRAIN)
    assert lent is not None
    array = np.frombuffer(lent, np.uint8)
    address = array.__array_interface__["data"][0]
    found = arena.lent(address + 5, 100)
    assert found is not None
    assert (number(found[0]), found[1]) == (0, 5)
    assert arena.lent(address + 5, 3 * GRAIN) is None, "beyond its end"
    assert arena.lent(np.ones(10).__array_interface__["data"][0], 80) is None
    other = arena.allocate(GRAIN)
    assert other is not None
    assert arena.lent(address + 3 * GRAIN, 10) is None, "not lent"
    del lent, array, found
    assert number(arena.allocate(GRAIN)) == 0
