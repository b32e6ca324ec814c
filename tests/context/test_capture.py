"""`options(capture=True)`: what a task writes comes with its result, or its error, and is nobody else's."""

import asyncio
import contextlib
import ctypes
import io
import itertools
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from procession import (
    Captured,
    MemoryLimit,
    PicklingError,
    Pipeline,
    PoisonTask,
    Pool,
    RemoteError,
    SpinOff,
    Stage,
    TaskTimeout,
    WorkerDied,
    captured,
    rng,
)
from procession.backends import written as parents
from procession.transport import written
from tests import warm

kept_zygote = warm.keep()

PATIENCE = 30.0
BACKENDS: tuple[Any, ...] = ("inline", "threads", "processes")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def pool(backend: Any) -> Iterator[Pool]:
    with Pool(2, backend=backend) as made:
        yield made


@pytest.fixture
def workers() -> Iterator[Pool]:
    with Pool(2) as made:
        yield made


@pytest.fixture
def one() -> Iterator[Pool]:
    """One worker process: what comes after something came to the same one."""
    with Pool(1) as made:
        yield made


def speaks(n: int, *, times: int = 2) -> int:
    for k in range(times):
        print(f"{n}.{k}")
        print(f"error {n}.{k}", file=sys.stderr)
    return n * n


def spoken(n: int, times: int = 2) -> Captured[int]:
    out = "".join(f"{n}.{k}\n" for k in range(times))
    return Captured(n * n, out, "".join(f"error {line}\n" for line in out.splitlines()))


def speaks_and_fails(n: int) -> None:
    print("about to fail", n)
    print("why", n, file=sys.stderr, end="")
    raise ValueError(n)


def c_that_buffers() -> Any:
    """C's library, whose stdout holds back what it is given, as it does by itself unless Python runs unbuffered."""
    libc = ctypes.CDLL(None)
    buffer = vars(ctypes).setdefault("buffer of this test", ctypes.create_string_buffer(4096))
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), buffer, 0, 4096)
    return libc


def error_of(future: Any) -> BaseException:
    error = future.exception(PATIENCE)
    assert error is not None
    return error  # type: ignore[no-any-return]


# --------------------------------------------------------------------------------------------------------- every way in


def test_a_call(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    assert pool.options(capture=True).submit(speaks, 3, times=1).result() == spoken(3, 1)
    assert pool.options(capture=True).submit(len, "silent").result() == Captured(6, "", "")
    assert capsys.readouterr() == ("", "")


def test_every_way_in(pool: Pool) -> None:
    """Each item has its own, whatever the chunk, the order and what surrounds it."""
    view = pool.options(capture=True)
    expected = [spoken(n) for n in range(20)]

    async def take() -> None:
        assert await view.acall(speaks, 4) == spoken(4)
        assert [each async for each in view.aimap(speaks, range(20))] == expected

    assert list(view.map(speaks, range(20))) == expected
    assert list(view.map(speaks, range(20), chunksize=7, buffersize=8)) == expected
    assert list(view.imap(speaks, range(20), chunksize=3)) == expected
    assert list(view.imap(speaks, iter(range(20)), key=lambda n: n % 3)) == expected
    assert sorted(view.imap_unordered(speaks, range(20)), key=lambda each: each.value) == expected
    assert list(view.imap(lambda n, _: speaks(n), range(20), itertools.count())) == expected
    assert [each.result() for each in [view.submit(speaks, n) for n in range(20)]] == expected
    asyncio.run(take())


def test_with_other_words(pool: Pool) -> None:
    """A seed, a name, and what is said later; and no longer, when that is said."""

    def draws(n: int) -> float:
        print(drawn := rng().random())
        return drawn

    view = pool.options(capture=True).options(seed=5, name="drawing", timeout=30)
    found = list(view.imap(draws, range(5)))
    assert [each.value for each in found] == list(pool.imap(draws, range(5), seed=5))
    assert [each.stdout for each in found] == [f"{each.value}\n" for each in found]
    again = [view.submit(draws, n).result() for n in range(5)]
    assert again == found
    assert view.options(capture=False).submit(speaks, 2, times=0).result() == 4


def test_a_spinoff(backend: Any) -> None:
    """With a state, a seed, and failures in their places."""

    def task(state: str, n: int) -> float:
        print(state, n)
        if n == 2:
            raise ValueError(n)
        return rng().random()

    words: dict[str, Any] = {"backend": backend, "workers": 2, "setup": lambda: "the state", "seed": 5}
    with SpinOff(task, capture=True, on_error="return", **words) as spin:
        futures = spin.put_many(range(5))
    found: list[Any] = list(spin)
    assert Captured.of(found[2]) == Captured(None, "the state 2\n", "")
    assert [each.stdout for each in found if isinstance(each, Captured)] == [f"the state {n}\n" for n in (0, 1, 3, 4)]
    assert [future.exception() or future.result() for future in futures] == found
    with SpinOff(task, on_error="return", **words) as plain:
        plain.put_many(range(5))
    assert [each.value for n, each in enumerate(found) if n != 2] == [each for n, each in enumerate(plain) if n != 2]


def test_many_at_once(pool: Pool) -> None:
    """From several threads, by all workers, with plain tasks in between."""
    view = pool.options(capture=True)
    with ThreadPoolExecutor(4) as callers:
        captured = callers.map(lambda n: view.submit(speaks, n, times=n % 5).result(), range(200))
        plain = callers.map(lambda n: pool.submit(abs, -n).result(), range(200))
        assert list(captured) == [spoken(n, n % 5) for n in range(200)]
        assert list(plain) == list(range(200))


# ------------------------------------------------------------------------------------------------------------- failures


def test_an_error_bears_what_was_written(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(pool.options(capture=True).submit(speaks_and_fails, 7))
    assert type(error) is ValueError
    assert Captured.of(error) == Captured(None, "about to fail 7\n", "why 7")
    assert error.__notes__ == [
        "it had written to stdout:\n    about to fail 7\nit had written to stderr:\n    why 7",
    ]
    assert capsys.readouterr() == ("", "")
    assert Captured.of(error_of(pool.submit(int, "x"))) is None
    again = pickle.loads(pickle.dumps(error))
    assert Captured.of(again) == Captured.of(error)


def test_items_that_fail(pool: Pool) -> None:
    found = list(pool.options(capture=True).imap(speaks_and_fails, range(5), on_error="return", chunksize=2))
    assert [Captured.of(each) for each in found] == [  # type: ignore[arg-type]
        Captured(None, f"about to fail {n}\n", f"why {n}") for n in range(5)
    ]


def test_the_note_has_the_last_lines() -> None:
    lines = [f"line {n}" for n in range(captured.TOLD + 5)]
    note = captured.last_of(Captured(None, "", "\n".join([*lines, "x" * 500])))
    first, *rest = note.splitlines()
    assert first == f"it had written to stderr, the last {captured.TOLD} of 16 lines:"
    assert rest[:-1] == [f"    {line}" for line in lines[-captured.TOLD + 1 :]]
    assert rest[-1] == "    " + "x" * (captured.WIDTH - 3) + "..."
    assert captured.last_of(Captured(None, "", "")) == ""


class Stubborn(Exception):
    """Lets it not be set, and does not survive a pickle."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "__captured__":
            raise TypeError(name)
        super().__setattr__(name, value)

    def __reduce__(self) -> Any:
        raise TypeError("not this one")


def test_errors_that_are_hard_to_carry(pool: Pool, backend: Any) -> None:
    def fails() -> None:
        print("said")
        error = RuntimeError(threading.Lock())
        raise error

    def gives() -> object:
        print("said")
        return threading.Lock()

    def stubborn() -> None:
        print("said")
        raise Stubborn

    view = pool.options(capture=True)
    error = error_of(view.submit(fails))
    assert isinstance(error, RemoteError) == (backend == "processes")
    assert Captured.of(error) == Captured(None, "said\n", "")
    error = error_of(view.submit(stubborn))
    if backend == "processes":
        assert Captured.of(error) is None  # it has not even left the task
    else:
        assert (type(error), error.__notes__) == (Stubborn, ["it had written to stdout:\n    said"])
    if backend == "processes":
        error = error_of(view.submit(gives))
        assert type(error) is PicklingError
        assert Captured.of(error) == Captured(None, "said\n", "")


def test_a_notes_is_told_once_where_all_is_copied() -> None:
    with Pool(backend="inline", pickle=True) as pool:
        view = pool.options(capture=True)
        assert view.submit(speaks, 2).result() == spoken(2)
        error = error_of(view.submit(speaks_and_fails, 7))
    assert Captured.of(error) == Captured(None, "about to fail 7\n", "why 7")
    assert len(error.__notes__) == 1


def test_further_runs(pool: Pool, tmp_path: Path) -> None:
    """Each run has its own; those that failed are told by the notes of the last one."""
    folder = str(tmp_path)

    def runs(fails: int) -> int:
        run = len(os.listdir(folder)) + 1
        Path(folder, str(run)).touch()
        print("run", run)
        if run <= fails:
            raise ValueError(run)
        return run

    view = pool.options(capture=True, retries=2)
    assert view.submit(runs, 1).result() == Captured(2, "run 2\n", "")
    error = error_of(view.submit(runs, 99))
    assert Captured.of(error) == Captured(None, "run 5\n", "")
    assert error.__notes__ == [
        "it had written to stdout:\n    run 5",
        "run 1 of 3: ValueError: 3\nit had written to stdout:\n    run 3",
        "run 2 of 3: ValueError: 4\nit had written to stdout:\n    run 4",
    ]


def test_a_timeout_of_a_task_that_can_end(pool: Pool, backend: Any) -> None:
    """By itself, when it is asked (processes, threads); or it is found to have been too late (inline)."""
    from procession import checkpoint

    def waits() -> None:
        print("waiting")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            checkpoint()
            time.sleep(0.001)

    error = error_of(pool.options(capture=True, timeout=0.05, grace=PATIENCE).submit(waits))
    assert type(error) is TaskTimeout
    assert Captured.of(error) == Captured(None, "waiting\n", "")


def test_a_thread_that_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    over = threading.Event()

    def hangs() -> None:
        print("hanging")
        over.wait(PATIENCE)
        print("too late")
        ended.release()

    ended = threading.Semaphore(0)
    with Pool(1, backend="threads") as pool:
        error = error_of(pool.options(capture=True, timeout=1.5).submit(hangs))
        over.set()
        assert type(error) is TaskTimeout
        assert Captured.of(error) == Captured(None, "hanging\n", "")
        assert ended.acquire(timeout=PATIENCE)
    assert capsys.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------ the end of a worker process


def ends(how: str) -> None:
    print("the last words")
    os.write(2, b"and those of C\n")
    subprocess.run(["sh", "-c", "echo of a program >&2"], check=True)
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "hang":
        time.sleep(PATIENCE)
    if how == "memory":
        kept = bytearray(200 << 20)
        kept[:: 1 << 12] = b"x" * len(kept[:: 1 << 12])
        time.sleep(PATIENCE)


LAST_WORDS = Captured(None, "the last words\n", "and those of C\nof a program\n")


@pytest.mark.parametrize(
    ("how", "kind", "before"),
    [
        *[(how, WorkerDied, before) for how in ("exit", "kill", "segfault") for before in (0, 3)],
        ("hang", TaskTimeout, 0),
        ("memory", MemoryLimit, 1),
    ],
)
def test_last_words(how: str, kind: type[BaseException], before: int) -> None:
    """Of the first task of a worker, too: nothing runs before the parent can see what it writes."""
    words: dict[str, Any] = {"max_memory_per_child": (60 << 20, 120 << 20)} if how == "memory" else {}
    with Pool(1, **words) as pool:
        view = pool.options(capture=True, timeout=2.5 if how == "hang" else PATIENCE)
        for n in range(before):
            assert view.submit(speaks, n).result() == spoken(n)
        error = error_of(view.submit(ends, how))
        assert type(error) is kind
        assert Captured.of(error) == LAST_WORDS
        assert "and those of C\n    of a program" in error.__notes__[0]
        assert view.submit(speaks, 1).result() == spoken(1)


def test_nothing_runs_before_the_parent_can_see_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun: list[bool] = []
    mark = tmp_path / "mark"

    class Slow(parents.Written):
        def __init__(self, *where: int) -> None:
            time.sleep(0.2)  # long enough for a task that does not wait
            begun.append(mark.exists())
            super().__init__(*where)

    def task() -> None:
        mark.touch()
        os.write(1, b"said")
        os._exit(3)

    monkeypatch.setattr(parents, "Written", Slow)
    with Pool(1) as pool:
        assert Captured.of(error_of(pool.options(capture=True).submit(task))) == Captured(None, "said", "")
    assert begun == [False]


def test_in_the_middle_of_a_chunk(one: Pool) -> None:
    """What was finished is whole, and the rest is run by another."""

    def task(n: int) -> int:
        if n == 5:
            ends("kill")
        return speaks(n)

    found = list(one.options(capture=True).imap(task, range(10), on_error="return", chunksize=10))
    assert Captured.of(found.pop(5)) == LAST_WORDS  # type: ignore[arg-type]
    assert found == [spoken(n) for n in range(10) if n != 5]


def test_who_kills_every_time(one: Pool) -> None:
    error = error_of(one.options(capture=True, retries=1).submit(ends, "kill"))
    assert type(error) is PoisonTask
    assert Captured.of(error) == LAST_WORDS
    assert [note.count("and those of C") for note in error.__notes__] == [1, 1]


def test_an_uncaptured_death_has_no_words(one: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    assert one.options(capture=True).submit(speaks, 1).result() == spoken(1)
    error = error_of(one.submit(ends, "exit"))
    assert type(error) is WorkerDied
    assert Captured.of(error) is None
    assert capsys.readouterr() == ("the last words\n", "and those of C\nof a program\n")


def storm(seed: int, n: int) -> int:
    """Writes in some ways, leaves programs behind that write later, ends somehow: by chance, as `expected` knows."""
    chance = random.Random(f"{seed} {n}")
    for k in range(chance.randrange(4)):
        line, how = f"{n}.{k}", chance.randrange(6)
        if how == 0:
            print(line)
        elif how == 1:
            print(line, file=sys.stderr)
        elif how == 2:
            os.write(1, f"{line}\n".encode())
        elif how == 3:
            subprocess.run(["sh", "-c", f"echo {line} >&2"], check=True)
        elif how == 4 and not (pid := os.fork()):
            print(line, flush=True)
            os._exit(0)
        elif how == 4:
            os.waitpid(pid, 0)
        elif chance.random() < 0.3:
            subprocess.Popen(["sh", "-c", "sleep 0.01; echo LATE; echo LATE >&2"])
    end = chance.random()
    if end < 0.05:
        os.kill(os.getpid(), signal.SIGKILL)
    if end < 0.1:
        raise ValueError(n)
    return n


def expected(seed: int, n: int) -> tuple[object, str, str, bool]:
    """What item n comes to, has written, and whether it has left something behind."""
    chance, out, err, late = random.Random(f"{seed} {n}"), "", "", False
    for k in range(chance.randrange(4)):
        how = chance.randrange(6)
        if how in (0, 2, 4):
            out += f"{n}.{k}\n"
        elif how in (1, 3):
            err += f"{n}.{k}\n"
        elif chance.random() < 0.3:
            late = True
    end = chance.random()
    return WorkerDied if end < 0.05 else ValueError if end < 0.1 else n, out, err, late


def come_to(outcome: Any, late: bool) -> tuple[object, str, str, bool]:
    """The same, of what has come. A program that was left behind may have been in time."""
    found = outcome if isinstance(outcome, Captured) else Captured.of(outcome)
    assert found is not None, repr(outcome)
    value = found.value if outcome is found else type(outcome)
    out, err = [text.replace("LATE\n", "") if late else text for text in (found.stdout, found.stderr)]
    return value, out, err, late


def test_a_storm(workers: Pool) -> None:
    """Nothing is lost, and nothing comes to the wrong one, whoever dies and whatever goes on."""
    seed = random.randrange(10**9)
    print("seed", seed)
    view = workers.options(capture=True)
    found = list(view.imap(lambda n: storm(seed, n), range(150), on_error="return", chunksize=5))
    futures = [view.submit(storm, seed, n) for n in range(150, 250)]
    found += [future.exception(PATIENCE) or future.result() for future in futures]
    for n, each in enumerate(found):
        foreseen = expected(seed, n)
        assert come_to(each, foreseen[3]) == foreseen
    assert len(found) == 250


def test_a_parent_that_cannot_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on without: results have all, deaths have nothing."""

    def refuse(*_where: int) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(parents, "Written", refuse)
    with Pool(1) as pool:
        view = pool.options(capture=True)
        assert list(view.map(speaks, range(3))) == [spoken(n) for n in range(3)]
        error = error_of(view.submit(ends, "exit"))
    assert type(error) is WorkerDied
    assert Captured.of(error) is None


# ----------------------------------------------------------------------------------------------- all that arrives there


def test_from_everywhere_and_in_its_order(workers: Pool) -> None:
    """Python, its buffers, descriptors, C's own buffer, programs, forks; the last without an end of line."""

    def task() -> None:
        libc = c_that_buffers()
        print("print")
        sys.stdout.buffer.write(b"bytes\n")
        sys.stdout.flush()
        os.write(1, b"write\n")
        libc.puts(b"puts")
        libc.fflush(None)
        subprocess.run(["sh", "-c", "echo sh; echo sh >&2"], check=True)
        if not (pid := os.fork()):
            print("fork", flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        subprocess.run([sys.executable, "-c", "import os; os.system('echo nested >> /dev/stderr')"], check=True)
        libc.printf(b"held back by C")
        sys.stderr.write("no end of line")

    found = workers.options(capture=True).submit(task).result()
    assert found.stdout == "print\nbytes\nwrite\nputs\nsh\nfork\nheld back by C"
    assert found.stderr == "sh\nnested\nno end of line"


def test_what_was_held_back_before_goes_where_it_belongs(one: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    """Of a plain task before, in buffers of Python and of C; and a plain task after."""

    def plain(n: int) -> None:
        print("plain", n, end=" ")
        c_that_buffers().printf(b"c ")

    def both() -> list[Any]:
        return [one.submit(plain, 1), view.submit(speaks, 2), one.submit(plain, 3)]

    view = one.options(capture=True)
    for _ in range(20):
        assert both()[1].result() == spoken(2)
    assert view.submit(speaks, 4).result() == spoken(4)  # and not at the end, where C's buffer is lost
    one.shutdown()
    out, err = capfd.readouterr()
    assert err == ""
    assert [out.count(each) for each in ("plain 1", "plain 3", "c ")] == [20, 20, 40]
    assert out.replace("plain 1 ", "").replace("plain 3 ", "").replace("c ", "") == ""


def test_a_process_that_the_task_leaves_behind(one: Pool, tmp_path: Path) -> None:
    """What it writes afterwards is not among the output of the next task."""
    gate, done = str(tmp_path / "gate"), str(tmp_path / "done")
    os.mkfifo(gate)
    os.mkfifo(done)

    def leaves() -> None:
        subprocess.Popen(["sh", "-c", f"echo early; cat {gate}; echo late; echo late >&2; echo over > {done}"])
        with open(gate, "w") as file:  # when it has been opened, the first line is there
            file.write("through the gate\n")
            os.mkfifo(gate + "2")
        # and now another that is waited for by the next task
        subprocess.Popen(["sh", "-c", f"read line < {gate}2; echo late; echo over > {done}"])

    def waits() -> None:
        print("begin")
        with open(gate + "2", "w") as file:
            file.write("go\n")
        assert Path(done).read_text() == "over\n"
        print("end")

    view = one.options(capture=True)
    first = view.submit(leaves)
    assert Path(done).read_text() == "over\n"
    assert first.result().stdout.startswith("early\n")
    assert view.submit(waits).result() == Captured(None, "begin\nend\n", "")
    assert view.submit(speaks, 1).result() == spoken(1)


def test_what_was_written_between_two_tasks_is_of_neither(one: Pool, tmp_path: Path) -> None:
    """By a program that a task has left behind, and that is over when the next one begins."""
    gate, done = str(tmp_path / "gate"), str(tmp_path / "done")
    os.mkfifo(gate)
    os.mkfifo(done)

    def leaves() -> int:
        # The last one to write tells of it with a descriptor that is not the task's.
        program = f"cat {gate} > /dev/null; echo late; echo late >&2; exec > {done} 2>&1; echo over"
        return subprocess.Popen(["sh", "-c", program]).pid

    view = one.options(capture=True)
    for _ in range(3):
        assert view.submit(leaves).result().stdout == ""
        Path(gate).write_text("")
        assert Path(done).read_text() == "over\n"
        assert view.submit(speaks, 1).result() == spoken(1)


def test_what_is_left_behind_hears_of_the_workers_end(one: Pool, tmp_path: Path) -> None:
    gate, done = str(tmp_path / "gate"), str(tmp_path / "done")
    os.mkfifo(gate)
    os.mkfifo(done)

    def leaves() -> None:
        program = f"cat {gate}; if echo late 2> /dev/null; then echo written > {done}; else echo refused > {done}; fi"
        subprocess.Popen(["sh", "-c", program], stderr=subprocess.DEVNULL)

    one.options(capture=True).submit(leaves).result()
    one.shutdown()
    Path(gate).write_text("")
    assert Path(done).read_text() == "refused\n"


def test_a_descriptor_that_a_task_keeps(one: Pool) -> None:
    """It can be written to, for nobody, and the output of the tasks is theirs."""

    def keeps() -> int:
        print("kept")
        return os.dup(1)

    def writes(kept: int) -> int:
        print("mine")
        return os.write(kept, b"late")

    view = one.options(capture=True)
    for _ in range(20):
        kept = view.submit(keeps).result()
        assert kept.stdout == "kept\n"
        assert view.submit(writes, kept.value).result() == Captured(4, "mine\n", "")
    assert view.submit(speaks, 1).result() == spoken(1)


def test_without_proc() -> None:
    """Where files cannot be opened anew each task has its own, and all else holds."""

    def initializer() -> None:
        def refuse(_fd: int, _flags: int) -> int:
            raise FileNotFoundError

        written.open_anew = refuse

    with Pool(1, initializer=initializer) as pool:
        view = pool.options(capture=True)
        for n in range(20):
            assert view.submit(speaks, n).result() == spoken(n)
        assert Captured.of(error_of(view.submit(ends, "exit"))) == LAST_WORDS


def test_a_program_that_opens_the_stream_anew(one: Pool) -> None:
    """`>` empties it, as it does a file, and nothing else happens."""

    def task(how: str) -> None:
        print("before", flush=True)
        os.system(f"echo anew {how} /dev/stdout")
        print("after", flush=True)

    view = one.options(capture=True)
    for _ in range(3):
        assert view.submit(task, ">>").result() == Captured(None, "before\nanew\nafter\n", "")
        assert view.submit(task, ">").result() == Captured(None, "anew\nafter\n", "")
    assert view.submit(speaks, 1).result() == spoken(1)


def test_whatever_the_bytes_are(workers: Pool) -> None:
    def task() -> None:
        os.write(1, b"\xff\xfe half \xe2\x82")
        os.write(2, b"nul \0 end\0")
        print("\udce9")

    found = workers.options(capture=True).submit(task).result()
    assert found == Captured(None, "\\xff\\xfe half \\xe2\\x82\\xe9\n", "nul \0 end\0")


def test_a_task_that_plays_with_its_descriptors(one: Pool) -> None:
    def closes() -> int:
        print("to the file")
        sys.stdout.flush()
        os.close(1)
        os.close(2)
        return 5

    def redirects() -> None:
        print("before", flush=True)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        print("into the void", flush=True)

    view = one.options(capture=True)
    assert view.submit(closes).result() == Captured(5, "to the file\n", "")
    assert view.submit(redirects).result() == Captured(None, "before\n", "")
    assert view.submit(speaks, 1).result() == spoken(1)


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_with_a_context_of_multiprocessing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever sys.stdout is there: a fork has brought along what it was at home."""
    import multiprocessing

    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with Pool(1, mp_context=multiprocessing.get_context(method)) as pool:
        view = pool.options(capture=True)
        assert list(view.map(speaks, range(3))) == [spoken(n) for n in range(3)]
        error = error_of(view.submit(ends, "exit"))
    assert Captured.of(error) == LAST_WORDS


def test_where_the_descriptors_are_closed() -> None:
    """Or are something else, since their numbers were free."""

    def closes(number: int) -> None:
        os.closerange(1, 3)
        if number:
            os.dup2(os.open(os.devnull, os.O_RDONLY), number)

    def are() -> list[str]:
        return [os.readlink(path) for path in ("/proc/self/fd/1", "/proc/self/fd/2") if os.path.exists(path)]

    for number in range(3):
        with Pool(1, initializer=closes, initargs=(number,)) as pool:
            view = pool.options(capture=True)
            for n in range(3):
                assert view.submit(speaks, n).result() == spoken(n)
                inside, after = view.submit(are).result().value, pool.submit(are).result()
                assert [each.split()[0] for each in inside] == ["/memfd:procession-stdout", "/memfd:procession-stderr"]
                assert not {*inside} & {*after}


def test_initializers_setups_and_teardowns_print(capsys: pytest.CaptureFixture[str]) -> None:
    @contextlib.contextmanager
    def setup() -> Iterator[None]:
        print("setup")
        yield
        print("teardown")

    with Pool(1, initializer=print, initargs=("initializer",), setup=setup) as pool:
        assert pool.options(capture=True).submit(speaks, 1).result() == spoken(1)
        pool.submit(print, "a plain task").result()
    assert capsys.readouterr().out == "initializer\nsetup\na plain task\nteardown\n"


def test_log_records_go_home(one: Pool, caplog: pytest.LogCaptureFixture) -> None:
    import logging

    def logs() -> None:
        logging.getLogger("a.task").warning("logged")

    assert one.options(capture=True).submit(logs).result() == Captured(None, "", "")
    assert [record.message for record in caplog.records] == ["logged"]


def test_a_pool_inside(workers: Pool) -> None:
    """What plain tasks of a pool inside print is the outer task's, what captured ones do is theirs."""

    def outer() -> list[Any]:
        with Pool(1) as inner, Pool(1, backend="threads") as threads, Pool(backend="inline") as inline:
            print("outer")
            inner.submit(print, "plain").result()
            pools = (inner, threads, inline)
            found: list[Any] = [each.options(capture=True).submit(speaks, 1, times=1).result() for each in pools]
            return found

    found = workers.options(capture=True).submit(outer).result()
    assert found.value == [spoken(1, 1)] * 3
    assert found.stdout == "outer\nplain\n"


# --------------------------------------------------------------------------------------------------- threads and inline


@pytest.fixture(params=["threads", "inline"])
def local(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(4, backend=request.param) as pool:
        yield pool


def test_threads_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """While all of them run, each has its own, and the program's own prints go where they went."""
    with Pool(4, backend="threads") as pool:
        barrier = threading.Barrier(5)

        def task(n: int) -> int:
            for k in range(3):
                barrier.wait(PATIENCE)
                print(f"{n}.{k}")
                print(f"error {n}.{k}", file=sys.stderr)
            barrier.wait(PATIENCE)
            return n * n

        futures = [pool.options(capture=True).submit(task, n) for n in range(4)]
        for k in range(3):
            barrier.wait(PATIENCE)
            print("home", k)
        barrier.wait(PATIENCE)
        assert [each.result() for each in futures] == [spoken(n, 3) for n in range(4)]
    assert capsys.readouterr() == ("home 0\nhome 1\nhome 2\n", "")


def test_the_streams_are_what_they_were(local: Pool) -> None:
    before = sys.stdout, sys.stderr
    view = local.options(capture=True)
    assert list(view.map(speaks, range(10))) == [spoken(n) for n in range(10)]
    error_of(view.submit(speaks_and_fails, 1))
    local.shutdown()
    assert (sys.stdout, sys.stderr) == before
    assert sys.stdout is before[0]


def test_what_a_stream_can_do(local: Pool) -> None:
    def task() -> tuple[bool, int, str]:
        sys.stdout.writelines(["one\n", "two\n"])
        sys.stdout.buffer.write("drei \u20ac\n".encode())
        sys.stdout.buffer.flush()
        print("four", flush=True)
        with pytest.raises(TypeError, match="must be str, not bytes"):
            sys.stdout.write(b"no")  # type: ignore[arg-type]
        print("\ud800")
        return sys.stdout.isatty(), sys.stdout.write("five"), sys.stdout.encoding

    encoding = sys.stdout.encoding
    found = local.options(capture=True).submit(task).result()
    assert found == Captured((False, 4, encoding), "one\ntwo\ndrei \u20ac\nfour\n\\ud800\nfive", "")


def test_what_is_not_the_tasks_own(local: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    """Threads that it starts, descriptors, and a stream that it has put in the place."""

    def task() -> str:
        print("mine")
        other = threading.Thread(target=print, args=("a thread's",))
        other.start()
        other.join()
        os.write(1, b"the descriptor's\n")
        with contextlib.redirect_stdout(io.StringIO()) as kept:
            print("redirected")
        print("mine again")
        return kept.getvalue()

    found = local.options(capture=True).submit(task).result()
    assert found == Captured("redirected\n", "mine\nmine again\n", "")
    assert sorted(capfd.readouterr().out.splitlines()) == ["a thread's", "the descriptor's"]


def test_a_coroutine_in_the_task_and_one_that_outlives_it(local: Pool) -> None:
    """It is the thread's: not that of contexts, which are copied."""

    async def says(text: str) -> None:
        await asyncio.sleep(0)
        print(text)

    async def main() -> None:
        await asyncio.gather(says("one"), says("two"))

    found = local.options(capture=True).submit(lambda: asyncio.run(main())).result()
    assert sorted(found.stdout.splitlines()) == ["one", "two"]


def test_a_task_inside_of_a_task(local: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its own; a plain one inside belongs to the thread that it runs on."""
    view = local.options(capture=True)

    def outer() -> Captured[int]:
        print("outer")
        found = view.submit(speaks, 2).result()
        print("again")
        return found

    assert view.submit(outer).result() == Captured(spoken(2), "outer\nagain\n", "")
    assert capsys.readouterr() == ("", "")


def test_a_fork_in_a_thread_prints_at_home() -> None:
    program = """
import os
from procession import Pool
def task():
    print("mine", flush=True)
    if not (pid := os.fork()):
        print("the child's", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
with Pool(1, backend="threads") as pool:
    found = pool.options(capture=True).submit(task).result()
print(found)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the child's\nCaptured(value=None, stdout='mine\\n', stderr='', omitted=0)\n"


def test_a_program_without_streams() -> None:
    program = """
import sys
from procession import Pool
def task():
    print("mine")
    return 5
real, sys.stdout = sys.stdout, None
with Pool(1, backend="threads") as pool:
    found = pool.options(capture=True).submit(task).result()
assert sys.stdout is None
print(found, file=real)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Captured(value=5, stdout='mine\\n', stderr='', omitted=0)\n"


# --------------------------------------------------------------------------------------------------------------- bounds


MOST = written.HEAD + written.TAIL


def test_a_flood_of_prints(pool: Pool) -> None:
    """The first and the last, and how much was between them."""

    def floods() -> None:
        print("first")
        for n in range(4):
            print(str(n) * (1 << 20))
        print("last")

    found = pool.options(capture=True).submit(floods).result()
    total = len("first\nlast\n") + 4 * ((1 << 20) + 1)
    assert found.stdout.startswith("first\n00")
    assert found.stdout.endswith("33\nlast\n")
    line = f"\n[... {found.omitted:,} bytes are left out ...]\n"
    assert found.stdout.count(line) == 1
    assert found.omitted == total - MOST
    assert len(found.stdout) == MOST + len(line)


def test_what_is_just_not_too_much(pool: Pool) -> None:
    def writes(count: int) -> None:
        sys.stdout.write("x" * count)

    view = pool.options(capture=True)
    assert view.submit(writes, MOST).result() == Captured(None, "x" * MOST, "")
    assert view.submit(writes, MOST + 1).result().omitted == 1


def blocks(view: Pool) -> int:
    """The memory of the files of the one worker."""
    driver: Any = view._engine._driver
    files = [fd for each in driver.channels.values() for fd in (each.written._files if each.written else ())]
    return sum(os.fstat(fd).st_blocks * 512 for fd in files)


@pytest.mark.parametrize("who", ["print", "program"])
def test_a_flood_takes_no_memory_while_it_goes_on(
    one: Pool, who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's writes are bounded in the worker, those of programs by the parent's looks."""
    if who == "print":
        monkeypatch.setattr(parents.Written, "bound", lambda _self: None)
    path = str(tmp_path / "gate")
    os.mkfifo(path)

    def floods() -> None:
        if who == "print":
            for _ in range(64):
                print("x" * (1 << 20))
        else:
            subprocess.run(["head", "-c", str(64 << 20), "/dev/zero"], check=True)
        with open(path) as gate:
            gate.read()

    future = one.options(capture=True).submit(floods)
    with open(path, "w"):  # all has been written
        until = time.monotonic() + PATIENCE
        while blocks(one) > MOST + (4 << 20):
            assert time.monotonic() < until, blocks(one)
            time.sleep(0.01)
    assert future.result().omitted == (64 << 20) + (64 if who == "print" else 0) - MOST
    assert blocks(one) == 0


def test_a_lease_that_somebody_breaks_kills_nobody() -> None:
    """The parent may open a file for writing in the very moment in which the worker asks whether it is free."""
    program = """
import fcntl, os, subprocess, sys
from procession.transport import written
fd = written.create("test")
read = written.open_anew(fd, os.O_RDONLY)
assert written.is_free(read)
written.lease(read)  # and here it is
opens = "import os; os.open('/proc/%d/fd/%d', os.O_RDWR | os.O_NONBLOCK)" % (os.getpid(), read)
other = subprocess.run([sys.executable, "-c", opens], capture_output=True, text=True)
print(other.stderr.splitlines()[-1].partition(":")[0])
fcntl.fcntl(read, fcntl.F_SETLEASE, fcntl.F_UNLCK)
writer = written.open_anew(fd, os.O_WRONLY | os.O_APPEND)
print(written.is_free(read))
os.close(writer)
print(written.is_free(read))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "BlockingIOError\nFalse\nTrue\n"


def test_kept_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a text that is kept whole: cut into pieces anywhere, it keeps its beginning and its end."""
    monkeypatch.setattr(written, "HEAD", 5)
    monkeypatch.setattr(written, "TAIL", 4)
    draw = random.Random(20261128)
    for size in range(40):
        data = bytes(draw.choices(b"abcdefghijklmnop", k=size))
        for _ in range(20):
            kept, rest = written.Kept(), data
            while rest:
                cut = draw.randint(1, len(rest))
                kept.add(rest[:cut])
                rest = rest[cut:]
            text, omitted = kept.part()
            if size <= 9:
                assert (text, omitted) == (data.decode(), 0)
            else:
                assert omitted == size - 9
                told = f"\n[... {size - 9:,} bytes are left out ...]\n"
                assert text == data[:5].decode() + told + data[-4:].decode()


def test_no_character_is_torn() -> None:
    """At each cut of a text of characters of one to four bytes; and bytes that are none are still told."""
    data = "a\u00e9\u20ac\U0001f600z\u00e9".encode()
    for first, last in itertools.product(range(len(data) + 1), repeat=2):
        head, tail = data[:first], data[len(data) - last :]
        text, omitted = written.part(head, tail, 1000)
        assert "\\x" not in text
        assert omitted + len(text.replace(f"\n[... {omitted:,} bytes are left out ...]\n", "").encode()) == 1000
    text, _ = written.part(b"\xff\x80", b"\x80\x80\x80\x80\x80", 1000)
    assert text.startswith("\\xff\\x80\n")


# ----------------------------------------------------------------------------------------------------- refusals and all


def test_what_is_refused(pool: Pool) -> None:
    with pytest.raises(TypeError, match="capture must be True, False or None"):
        pool.options(capture="yes")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unexpected keyword argument 'capture_output'; use capture"):
        pool.options(capture_output=True)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"capture=True has no stream\(\)"):
        pool.options(capture=True).stream(range, 3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'capture'; use options"):
        Pipeline(Stage(abs, capture=True))  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="capture=True has no meaning with batch="):
        SpinOff(abs, capture=True, batch=2)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="capture must be True or False, not str"):
        SpinOff(abs, capture="yes")  # type: ignore[call-overload]


def test_the_record() -> None:
    one: Captured[int] = Captured(1, "out", "err")
    assert one == Captured[int](1, "out", "err", 0)
    assert pickle.loads(pickle.dumps(one)) == one
    assert repr(one) == "Captured(value=1, stdout='out', stderr='err', omitted=0)"
    match one:
        case Captured(value, out, err, omitted):
            assert (value, out, err, omitted) == (1, "out", "err", 0)
    with pytest.raises(AttributeError, match="never changes"):
        one.value = 2  # type: ignore[misc]


def test_a_bound_by_bytes_counts_what_was_written(workers: Pool) -> None:
    """The texts weigh as results do."""

    def writes(n: int) -> int:
        print("x" * 100_000)
        return n

    with workers.options(capture=True).imap(writes, range(50), buffer_bytes=400_000) as stream:
        assert [each.value for each in stream] == list(range(50))
