"""The parent is killed: nobody stays."""

from pathlib import Path

import pytest

from tests import leaks
from tests.failures.kit import SLACK, Notes, Program, kill, segments_since
from tests.failures.test_interrupt import PROGRAM


@pytest.mark.parametrize("where", ["with", "spinoff"])
@pytest.mark.parametrize("stuck", ["sleep", "python", "c"])
def test_no_worker_is_left(tmp_path: Path, notes: Notes, stuck: str, where: str) -> None:
    """Row: The parent is SIGKILLed. Workers asleep, in Python, and in C holding the GIL are gone within a second."""
    with Program(tmp_path / "program", PROGRAM, stuck, where, notes.path, "processes") as program:
        notes.wait(2)
        kill(program.pid)
        seconds = program.alone()
        print(f"nothing left {seconds:.3f} s after SIGKILL (promised: 1 s, asserted: {SLACK} s)")
        assert seconds < SLACK


IDLE = """
    import os, sys, time
    from procession import Pool

    pool = Pool(3, initializer=time.sleep, initargs=(float(sys.argv[2]),))
    for n in range(3):
        pool.submit(time.sleep, 0)
    if sys.argv[2] == "0":
        pool.submit(abs, 1).result()
    with open(sys.argv[1], "a") as file:
        file.write("1\\n")
    time.sleep(3600)
"""


@pytest.mark.parametrize("initializer", ["0", "3600"], ids=["idle", "in-its-initializer"])
def test_nor_an_idle_one_or_one_that_starts(tmp_path: Path, notes: Notes, initializer: str) -> None:
    """Row: The parent is SIGKILLed. Idle workers, those in their initializer, and the zygote go, too."""
    with Program(tmp_path / "program", IDLE, notes.path, initializer) as program:
        notes.wait(1)
        kill(program.pid)
        seconds = program.alone()
        print(f"nothing left {seconds:.3f} s after SIGKILL")
        assert seconds < SLACK


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_with_a_start_method_of_the_program(tmp_path: Path, notes: Notes, method: str) -> None:
    """Row: The parent is SIGKILLed. With an explicit multiprocessing context the workers die as well."""
    source = PROGRAM.replace("Pool(2, backend=backend)", f"Pool(2, mp_context=mp.get_context({method!r}))")
    source = source.replace("import itertools,", "import multiprocessing as mp\n    import itertools,")
    lines = source.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("    stuck, where"))
    main = ["    if __name__ == '__main__':", *("    " + line for line in lines[start:])]
    with Program(tmp_path / "program", "\n".join([*lines[:start], *main]), "c", "with", notes.path, "-") as program:
        notes.wait(2)
        kill(program.pid)
        seconds = program.alone()
        print(f"{method}: nothing left {seconds:.3f} s after SIGKILL")
        assert seconds < SLACK


def test_no_segment_stays(tmp_path: Path, notes: Notes) -> None:
    """Row: The parent is SIGKILLed. There is no named shared memory, so none can stay."""
    before = leaks.segments()
    with Program(tmp_path / "program", PROGRAM, "sleep", "map", notes.path, "processes") as program:
        notes.wait(2)
        kill(program.pid)
        program.alone()
    assert segments_since(before) == []
