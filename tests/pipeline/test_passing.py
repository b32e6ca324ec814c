"""What goes from a stage of processes to the next without being opened: what comes out, who holds what, who dies."""

from __future__ import annotations

import gc
import os
import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procession import Failure, Pipeline, Stage, WorkerDied, pipeline
from procession.backends import arenas, forksafe
from procession.transport import aside
from procession.transport.lending import Lending
from procession.transport.sealed import Sealed
from tests.failures.kit import seeded, wait_until

from . import passing_work as work
from .test_properties import Reaper

pytest.importorskip("numpy")
pytest.importorskip("ctypes")
MB = 1 << 20


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> Any:
    """As it would be if nothing was passed on: a function that has it so from now on."""
    return lambda: monkeypatch.setattr(pipeline, "join", lambda works: None)


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    """After each test no arena is known, open or mapped."""
    gc.collect()
    gc.freeze()  # each of the others looks at what this test has made, and not at pytest
    before, mapped = len(forksafe.owned()), maps(os.getpid())
    yield
    gc.collect()
    wait_until(lambda: not aside.inlets, "no arena of a worker is known")
    wait_until(lambda: arenas._current is None or arenas._current() is None, "the arena of this process is gone")
    wait_until(lambda: len(forksafe.owned()) <= before, "their descriptors are closed")
    wait_until(lambda: gc.collect() < 0 or maps(os.getpid()) <= mapped, "nothing of them is mapped")


def arena() -> arenas.ProcessArena:
    """That of this process."""
    found = arenas.process_arena()
    assert found is not None
    return found


def memory_of(segment: Any) -> int:
    return os.fstat(segment.fd).st_blocks * 512


def results(pipe: Pipeline, stage: int) -> list[Any]:
    """The arenas of a stage's workers."""
    engine: Any = (pipe._kept or ())[stage].engine
    return [channel._arena._worker for channel in engine._driver.channels.values()]


def lent_is_given_back(lending: Lending) -> None:
    wait_until(lambda: lending.collect() or not lending.out, "what was lent is given back")


# ------------------------------------------------------------------------------------------------------ what comes out


@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize("retries", [0, 1])
def test_a_stage_sees_what_it_would_see(copied: Any, batch: int | None, retries: int) -> None:
    """Values of all kinds, by both ways."""
    assert "Point" in str(work.describe(work.Point(1, 2)))
    see = work.describe if batch is None else work.describe_all
    stages = Stage(work.nth), Stage(see, batch=batch, retries=retries)
    count = len(work.samples())
    passed = list(Pipeline(*stages).run(range(count)))
    copied()
    expected = list(Pipeline(*stages).run(range(count)))
    assert len(passed) == count
    for found, right in zip(passed, expected, strict=True):
        assert found == right


def test_through_four_stages() -> None:
    pipe = Pipeline(Stage(work.full, workers=2), Stage(work.add, workers=2), Stage(work.add), Stage(work.number))
    assert list(pipe.run(range(60))) == [n + 2 for n in range(60)]


@pytest.mark.parametrize(("name", "make"), [("pandas", "DataFrame"), ("pyarrow", "table"), ("polars", "DataFrame")])
def test_tables(name: str, make: str) -> None:
    library = pytest.importorskip(name)
    columns = {"a": list(range(50_000)), "b": ["text"] * 50_000}
    table = getattr(library, make)(columns)

    def copy(n: int) -> Any:
        return getattr(library, make)(columns)

    for got in Pipeline(Stage(copy), Stage(work.same)).run(range(3)):
        assert got.equals(table)


def test_classes_of_this_program_come_as_such() -> None:
    """By value, which mean something to their worker and to this process: they are opened here, and sent anew."""

    class Local:
        def __init__(self, x: Any) -> None:
            self.x = x

    def make(x: int) -> Any:
        return Local(work.full(x))

    def look(local: Any) -> Any:
        assert type(local) is Local
        return local

    def again(x: int) -> Any:
        return lambda y: x + y

    for stages in ((Stage(make), Stage(look), Stage(look)), (Stage(make, workers=2), Stage(look))):
        got = list(Pipeline(*stages).run(range(10)))
        assert [work.number(each.x) for each in got] == list(range(10))
        assert {type(each) for each in got} == {Local}
    assert list(Pipeline(Stage(again), Stage(lambda fn: fn(1))).run(range(3))) == [1, 2, 3]


def test_no_code_of_a_class_runs_in_this_process() -> None:
    work.Point.loaded.clear()
    pipe = Pipeline(Stage(lambda n: work.Point(n, work.full(n))), Stage(work.same), Stage(lambda point: point.x))
    assert list(pipe.run(range(20))) == list(range(20))
    assert not work.Point.loaded


def test_one_for_many() -> None:
    pipe = Pipeline(Stage(work.full), Stage(work.parts, many=True))
    assert list(pipe.run(range(20))) == [float(n) for n in range(20) for _ in (0, 1)]


def test_where_somebody_looks_nothing_is_sealed() -> None:
    """Keys, outputs that are counted here, threads."""
    first = (
        Stage(work.full),
        Stage(lambda n: [work.full(n)], many=True),
        Stage(lambda b: list(map(work.full, b)), batch=3),
    )
    for one in first:
        for keyed in (None, work.number):
            pipe = Pipeline(one, Stage(work.number, key=keyed), Stage(work.same, backend="threads"))
            assert list(pipe.run(range(12))) == list(range(12))
    with Pipeline(Stage(work.full), Stage(work.number, backend="threads"), Stage(work.same)) as pipe:
        assert [each.reaches for each in pipe._kept or ()] == [False] * 3
    with Pipeline(Stage(work.full), Stage(work.number), Stage(work.same, key=work.same)) as pipe:
        assert [each.reaches for each in pipe._kept or ()] == [False, True, False]


def test_what_does_not_load_fails_where_it_is_loaded() -> None:
    with Pipeline(Stage(work.stubborn_on_three), Stage(work.same, name="loads")) as pipe:
        got = list(pipe.run(range(5), on_error="return"))
        assert [each for each in got if type(each) is int] == [0, 1, 2, 4]
        assert "no 3" in str(got[3])
        assert [stage.failed for stage in pipe.stats().stages] == [0, 1]
        failures: list[Failure] = []
        list(pipe.run(range(5), on_error=failures.append))  # this one has to know what the stage was given
        assert [(each.index, "no 3" in str(each.error)) for each in failures] == [(3, True)]


def test_who_dies_of_what_it_was_passed_is_told_so() -> None:
    """By what the pickle says, as of any argument."""

    def make(n: int) -> Any:
        return {"n": n, "large": work.full(n), "name": Path("a")}

    stages = Stage(make), Stage(lambda _: os.kill(os.getpid(), signal.SIGKILL))
    (error,) = Pipeline(*stages).run([3], on_error="return")
    assert isinstance(error, WorkerDied)
    assert "{'n': 3, 'large': " in str(error)


def test_a_sealed_result_is_not_for_pickle() -> None:
    import pickle

    with pytest.raises(TypeError, match="sealed"):
        pickle.dumps(Sealed(b"", lambda data: data))


# ------------------------------------------------------------------------------------------------- what is not copied


def test_nothing_lies_in_this_process_and_what_there_is_is_bounded() -> None:
    with Pipeline(Stage(work.full, workers=2), Stage(work.add), Stage(work.number), window=8) as pipe:
        assert list(pipe.run(range(200))) == [n + 1 for n in range(200)]
        assert not arena().backed
        assert memory_of(arena()) <= 1 << 16, "the page in which makers say that they are there"
        for stage in (0, 1):
            assert all(memory_of(segment) <= 24 * MB for segment in results(pipe, stage)), "of 200 MB"
        lent_is_given_back(arena().lending)


def test_arrays_are_weighed_where_they_lie() -> None:
    with Pipeline(Stage(work.full), Stage(work.number), buffer_bytes=3 * MB) as pipe:
        outputs = pipe.run(range(50))
        assert list(outputs) == list(range(50))
        assert pipe._latest is not None
        assert MB <= pipe._latest.conductor.keeper.most <= 4 * MB


def test_an_array_in_shared_memory_is_handed_on_as_such() -> None:
    assert list(Pipeline(Stage(work.sealed_lend), Stage(work.add), Stage(work.number)).run(range(30))) == [
        n + 1 for n in range(30)
    ]


def test_workers_keep_no_descriptor() -> None:
    with Pipeline(Stage(work.full, workers=2), Stage(work.descriptors)) as pipe:
        for n, (found, names) in enumerate(pipe.run(range(10))):
            assert found == n
            assert len(names) == 1, "its own"


# ----------------------------------------------------------------------------------------------------- who holds what


def test_what_a_worker_keeps_is_not_written_over() -> None:
    with Pipeline(Stage(work.full), Stage(work.keep)) as pipe:
        for n, (found, kept) in enumerate(pipe.run(range(60))):
            assert found == n
            assert kept == list(range(max(0, n - 2), n + 1))
        wait_until(lambda: arena().lending.collect() or arena().lending.out <= 3, "but for what is kept")


def test_a_task_that_forks() -> None:
    pipe = Pipeline(Stage(work.full), Stage(work.fork_and_look))
    assert list(pipe.run(range(20))) == [(float(n), 0) for n in range(20)]


def test_a_further_run_gets_what_the_first_one_got(tmp_path: Path) -> None:
    """Though that has written to it, and failed, or died."""
    stage = Stage(partial(work.fail_once, str(tmp_path)), workers=2, retries=2)
    assert list(Pipeline(Stage(work.full), stage).run(range(12))) == list(range(12))


def test_on_error_is_told_what_the_stage_was_given() -> None:
    failures: list[Failure] = []
    list(Pipeline(Stage(work.full), Stage(work.spoil_and_fail, name="spoils")).run(range(3), on_error=failures.append))
    assert [(each.index, work.number(each.args[0]), each.stage) for each in failures] == [
        (n, n, "spoils") for n in range(3)
    ]


def test_a_run_that_is_closed_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with Pipeline(Stage(work.full, workers=2), Stage(work.add), Stage(work.number), window=30) as pipe:
        for taken in range(0, 30, 3):
            outputs = pipe.run(range(100))
            for n in range(taken):
                assert next(outputs) == n + 1
            outputs.close()
        assert list(pipe.run(range(10))) == [n + 1 for n in range(10)]
        lent_is_given_back(arena().lending)


# -------------------------------------------------------------------------------------------------------- who dies


def test_the_maker_dies_while_its_array_is_looked_at(tmp_path: Path) -> None:
    """The array stays as long as it is used, and no longer."""
    os.mkfifo(tmp_path / "go")
    with Pipeline(Stage(lambda n: work.pid_and(work.full(n))), Stage(partial(work.wait_for, str(tmp_path)))) as pipe:
        outputs = pipe.run([5])
        maker, reader = wait_until(lambda: told(tmp_path / "runs"), "the second stage runs")
        assert maps(reader) == 2, "its own, and the maker's"
        key = results(pipe, 0)[0].key
        os.kill(maker, signal.SIGKILL)
        wait_until(lambda: not results(pipe, 0), "its channel is closed")
        assert key in aside.inlets
        with open(tmp_path / "go", "wb"):
            pass
        assert list(outputs) == [5]
        wait_until(lambda: arena().lending.collect() or key not in aside.inlets, "nobody needs it any more")
        wait_until(lambda: maps(reader) == 1, "the reader has let go of it")
        (tmp_path / "runs").unlink()
        outputs = pipe.run([6])
        wait_until(lambda: told(tmp_path / "runs"), "the second stage runs again")
        with open(tmp_path / "go", "wb"):
            pass
        assert list(outputs) == [6]


def told(path: Path) -> list[int]:
    try:
        words = path.read_text().split()
    except OSError:
        return []
    return list(map(int, words)) if len(words) == 2 else []


def maps(pid: int) -> int:
    """How many arenas of workers this process has mapped."""
    with open(f"/proc/{pid}/maps") as file:
        return sum("procession-results" in line for line in file)


def test_a_reader_dies_with_what_it_holds(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    with Pipeline(Stage(lambda n: work.pid_and(work.full(n))), Stage(partial(work.wait_for, str(tmp_path)))) as pipe:
        outputs = pipe.run([5], on_error="return")
        _, reader = wait_until(lambda: told(tmp_path / "runs"), "the second stage runs")
        os.kill(reader, signal.SIGKILL)
        assert [type(each) for each in outputs] == [WorkerDied]
        lent_is_given_back(arena().lending)


def test_under_crashes() -> None:
    """Workers of all stages are killed at random: each item comes out once, in its place, and is what it was."""
    rng = seeded()
    kills = crash(rng, rounds=2, length=50)
    assert kills


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_under_many_crashes() -> None:
    crash(seeded(), rounds=100, length=200)


def crash(rng: random.Random, rounds: int, length: int) -> int:
    kills = 0
    policy: dict[str, Any] = {"retries": 50, "retry_on": WorkerDied}
    for _ in range(rounds):
        workers = [rng.randrange(1, 3) for _ in range(3)]
        batch = rng.choice([None, 3])
        stages = (
            Stage(work.full, workers=workers[0], **policy),
            Stage(work.add, workers=workers[1], **policy),
            Stage(work.number if batch is None else work.numbers, workers=workers[2], batch=batch, **policy),
        )
        with Pipeline(*stages, window=rng.choice([None, 5, 40])) as pipe:
            with Reaper(pipe, rng) as reaper:
                assert list(pipe.run(range(length))) == [n + 1 for n in range(length)]
            lent_is_given_back(arena().lending)
        kills += reaper.kills
    print(f"{rounds} rounds of {length} arrays, {kills} kills")
    return kills


def test_under_crashes_without_further_runs() -> None:
    """Who died is told; what comes out is what it was, though tasks write to what they get."""
    rng = seeded()
    lost = 0
    for _ in range(2):
        stages = Stage(work.full, workers=2), Stage(work.add, workers=2), Stage(work.number, workers=2)
        with Pipeline(*stages) as pipe:
            with Reaper(pipe, rng) as reaper:
                got = list(pipe.run(range(80), on_error="return"))
            lent_is_given_back(arena().lending)
        died = [n for n, each in enumerate(got) if isinstance(each, WorkerDied)]
        assert [each for n, each in enumerate(got) if n not in died] == [n + 1 for n in range(80) if n not in died]
        assert len(died) <= reaper.kills
        lost += len(died)
    print(f"{lost} of 160 items died with their workers")


# ------------------------------------------------------------------------------------------------------- out of reach


@pytest.mark.parametrize("words", [{}, {"retries": 1}, {"batch": 4}])
def test_where_a_worker_cannot_reach_it_is_copied(words: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost, nothing is run twice."""
    real = arenas._lender

    def astray(worker: Any) -> Any:
        lender = real(worker)
        lender.where = "/proc/self/fd/nowhere"
        return lender

    monkeypatch.setattr(arenas, "_lender", astray)
    second = Stage(work.number if "batch" not in words else work.numbers, **words)
    with Pipeline(Stage(work.full, workers=2), second) as pipe:
        for _ in range(2):
            assert list(pipe.run(range(30))) == list(range(30))
            assert [each.reaches for each in pipe._kept or ()] == [False, False]
        assert arena().backed


def test_another_file_under_the_number_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # to open it would be to wait
    real = arenas._lender

    def astray(worker: Any) -> Any:
        lender = real(worker)
        lender.where = str(fifo)
        return lender

    monkeypatch.setattr(arenas, "_lender", astray)
    assert list(Pipeline(Stage(work.full), Stage(work.number)).run(range(5))) == list(range(5))


@pytest.mark.parametrize("size", [0, 3 * MB])
def test_without_room_it_goes_through_the_pipe(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_ARENA_BYTES", str(size))
    pipe = Pipeline(Stage(work.full, workers=2), Stage(work.add), Stage(work.number), window=20)
    assert list(pipe.run(range(40))) == [n + 1 for n in range(40)]


def test_without_a_number_for_a_loan_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lending, "lend", lambda *_: None)
    with Pipeline(Stage(work.full), Stage(work.add), Stage(work.number)) as pipe:
        assert list(pipe.run(range(20))) == [n + 1 for n in range(20)]
        assert arena().backed
