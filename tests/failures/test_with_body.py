"""How a `with` block is left decides what becomes of the work."""

import logging
import re
from pathlib import Path

import pytest

from procession import Pool, SpinOff
from tests.failures import tasks
from tests.failures.kit import Gate, Notes, run_program

BACKENDS = ["processes", "threads"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_exception_cancels_what_waits(backend: str, notes: Notes, gate: Gate, caplog) -> None:
    """Row: An exception in the `with` body. What has not started is cancelled and counted in a log line, what runs
    finishes, the exception comes out."""
    caplog.set_level(logging.DEBUG, "procession")
    with pytest.raises(ZeroDivisionError):
        with Pool(2, backend=backend) as pool:
            running = [pool.submit(tasks.held, notes.path, gate.path, i) for i in range(2)]
            waiting = [pool.submit(tasks.noted, notes.path, "started") for _ in range(50)]
            notes.wait(2)
            running[0].add_done_callback(lambda _: None)
            open_soon(gate, waiting)
            raise ZeroDivisionError
    assert [future.result(0) for future in running] == [0, 1]
    assert all(future.cancelled() for future in waiting)
    assert "started" not in notes.lines()
    numbers = [int(n) for record in caplog.records for n in re.findall(r"\b\d+\b", record.getMessage())]
    assert 50 in numbers, caplog.text


def open_soon(gate: Gate, waiting: list) -> None:
    """The gate opens when all of `waiting` are cancelled, in whatever order; that is, while the block is being left."""
    left = set(waiting)

    def one_less(future) -> None:
        left.discard(future)
        if not left:
            gate.open()

    for each in waiting:
        each.add_done_callback(one_less)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit])
def test_system_exit_drains(backend: str, kind: type[BaseException], notes: Notes) -> None:
    """Row: An exception in the `with` body. SystemExit and GeneratorExit drain, as the stdlib does."""
    with pytest.raises(kind):
        with Pool(2, backend=backend) as pool:
            futures = [pool.submit(tasks.noted, notes.path, i) for i in range(50)]
            raise kind
    assert [future.result(0) for future in futures] == list(range(50))
    assert sorted(map(int, notes.lines())) == list(range(50))


def test_sys_exit_after_queuing_saves_saves(tmp_path: Path) -> None:
    """Row: An exception in the `with` body. `sys.exit(0)` after queuing saves must save: a program of its own."""
    out = run_program(
        tmp_path / "program",
        """
        import sys, time
        from procession import Pool

        def save(n):
            time.sleep(0.01)
            with open(f"{sys.argv[1]}/saved-{n}", "w") as file:
                file.write("saved")

        with Pool(2) as pool:
            for n in range(20):
                pool.submit(save, n)
            sys.exit(7)
        """,
        tmp_path,
        code=7,
    )
    assert out == ""
    assert len(list(tmp_path.glob("saved-*"))) == 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_spinoff_cancels(backend: str, notes: Notes, gate: Gate) -> None:
    """Row: An exception in the `with` body. A spin-off cancels what waits and joins; the exception comes out."""
    with pytest.raises(ZeroDivisionError):
        with SpinOff(hold_first, backend=backend) as spin:
            first = spin.put((notes.path, gate.path, 0))
            waiting = [spin.put((notes.path, gate.path, n)) for n in range(1, 20)]
            notes.wait(1)
            open_soon(gate, waiting)
            raise ZeroDivisionError
    assert first.done()
    assert all(future.cancelled() for future in waiting)
    assert notes.lines() == ["0"]


def hold_first(item: tuple[str, str, int]) -> int:
    return tasks.held(*item)
