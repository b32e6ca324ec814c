"""A SpinOff with a journal: what was accepted is done once, by whichever program, and handed over once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procession import Failure, Full, Journal, JournalError, SpinOff, WorkerDied, rng
from procession.errors import PicklingError
from procession.journal.identity import identity_of
from procession.journal.queued import QueueJournal
from procession.journal.store import Store
from procession.journal.values import PENDING
from tests import warm
from tests.journal.work import PATIENCE, Unpicklable

kept_zygote = warm.keep()

BACKENDS = ("inline", "threads", "processes")


def noted(folder: Path, x: int) -> int:
    """x squared; one letter more in a file of this item."""
    with (folder / str(x)).open("a") as file:
        file.write("x")
    if x % 10 == 7:
        raise ValueError(x)
    return x * x


def gated(gate: Path, x: int) -> int:
    """Waits while `gate` is there."""
    while gate.exists():
        time.sleep(0.005)
    return x


def runs(folder: Path) -> dict[int, int]:
    return {int(each.name): len(each.read_text()) for each in folder.iterdir()}


def drawn(x: int) -> float:
    return rng().random()


def die(signum: int, x: int) -> None:
    os.kill(os.getpid(), signum)
    time.sleep(PATIENCE)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    (tmp_path / "ran").mkdir()
    return tmp_path / "ran"


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A gate that is shut until the test removes it."""
    gate = tmp_path / "gate"
    gate.touch()
    yield gate
    gate.unlink(missing_ok=True)


def shown(values: Any) -> list[Any]:
    return [repr(each) if isinstance(each, BaseException) else each for each in values]


class Left(Exception):
    """Leaves a with block."""


def left_by_exception(spin: SpinOff[Any, Any], deed: Callable[[SpinOff[Any, Any]], object] = bool) -> None:
    """What an error in the program, after `deed`, does to it."""
    with pytest.raises(Left), spin:
        deed(spin)
        raise Left


# -- what the next program finds ---------------------------------------------------------------------------------------


def test_what_was_not_handed_over_comes_first_and_has_not_run_again(file: Path, ran: Path, backend: Any) -> None:
    work = partial(noted, ran)

    def first(spin: SpinOff[int, int]) -> None:
        spin.put_many(range(20))
        spin.flush()
        assert [next(spin) for _ in range(5)] == [0, 1, 4, 9, 16]

    left_by_exception(SpinOff(work, journal=file, backend=backend), first)
    with SpinOff(work, journal=file, backend=backend, on_error="return") as spin:
        stats = spin.stats()
        assert (stats.accepted, stats.handed_over, stats.put) == (20, 4, 16)
        future = spin.put(20)
        assert future.result() == 400
    assert shown(spin) == [repr(ValueError(x)) if x % 10 == 7 else x * x for x in range(4, 21)]
    assert (spin.stats().accepted, spin.stats().handed_over) == (21, 21)
    assert runs(ran) == dict.fromkeys(range(21), 1)
    with SpinOff(work, journal=file, backend=backend) as spin:
        assert spin.stats().put == 0
        assert list(iter_closed(spin)) == []


def iter_closed(spin: SpinOff[Any, Any]) -> Iterator[Any]:
    spin.close()
    return iter(spin)


def test_what_has_not_run_runs_in_the_next_program(file: Path, closed: Path) -> None:
    work = partial(gated, closed)
    spin = SpinOff(work, journal=file, backend="processes", maxsize=10)
    left_by_exception(spin, lambda spin: spin.put_many(range(10)))
    closed.unlink()
    with SpinOff(work, journal=file, backend="processes", maxsize=2) as spin:  # accepted: the bound is not asked
        assert spin.stats().put == 10
        assert [next(spin) for _ in range(10)] == list(range(10))
        assert spin.stats().handed_over == 9
    assert spin.stats().handed_over == 10


def test_ready_hands_over_a_list_as_a_whole(file: Path) -> None:
    with pytest.raises(Left), SpinOff(noted_not, journal=file, backend="threads") as spin:
        spin.put_many(range(6))
        spin.flush()
        assert len(spin.ready()) == 6
        assert spin.stats().handed_over == 0
        spin.put_many(range(6, 9))
        assert spin.flush(PATIENCE)
        assert spin.ready() == [6, 7, 8]
        assert spin.stats().handed_over == 6
        raise Left
    with SpinOff(noted_not, journal=file, backend="threads") as spin:
        assert spin.stats().put == 3


def noted_not(x: int) -> int:
    return x


def test_on_result_has_been_handed_it_when_it_returned(file: Path) -> None:
    got: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def took(value: int) -> None:
        got.append(value)
        if value == 3:
            begun.set()
            assert go_on.wait(PATIENCE)

    with SpinOff(noted_not, journal=file, backend="threads", on_result=took) as spin:
        spin.put_many(range(5))
        assert begun.wait(PATIENCE)
        assert spin.stats().handed_over == 3
        go_on.set()
    assert got == list(range(5))
    assert spin.stats().handed_over == 5


def test_futures_alone_have_been_handed_over_when_they_are_done(file: Path) -> None:
    with SpinOff(noted_not, journal=file, backend="threads", iterate=False) as spin:
        assert [each.result() for each in spin.put_many(range(5))] == list(range(5))
    assert (spin.stats().accepted, spin.stats().handed_over) == (5, 5)


def test_what_a_thread_has_in_its_hands_is_its_own(file: Path) -> None:
    with pytest.raises(Left), SpinOff(noted_not, journal=file, backend="threads") as spin:
        spin.put_many(range(4))
        assert next(spin) == 0
        taken, go_on = threading.Event(), threading.Event()

        def other() -> None:
            assert next(spin) == 1
            taken.set()
            go_on.wait(PATIENCE)

        thread = threading.Thread(target=other)
        thread.start()
        assert taken.wait(PATIENCE)
        assert next(spin) == 2
        assert spin.stats().handed_over == 1
        go_on.set()
        thread.join()
        raise Left
    with SpinOff(noted_not, journal=file, backend="threads") as spin:
        assert [next(spin) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("wrapped", [False, True])
def test_coroutines(file: Path, backend: Any, wrapped: bool) -> None:
    async def main() -> list[int]:
        got: list[int] = []
        async with SpinOff(noted_not, journal=file, backend=backend) as spin:
            await asyncio.gather(*[spin.aput(x) for x in range(30)])
            assert spin.stats().accepted == 30
            spin.close()
            if wrapped:  # a task for each, in 3.11
                got += [await asyncio.wait_for(anext(spin), PATIENCE) for _ in range(3)]
                assert spin.stats().handed_over == 2
            async for value in spin:
                got.append(value)
        assert spin.stats().handed_over == 30
        return got

    assert sorted(asyncio.run(main())) == list(range(30))


def test_aput_does_not_block_the_loop(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit waits for the coroutine beside it."""
    ticked = threading.Event()
    commit = Store.commit

    def slow(self: Store) -> None:
        if threading.current_thread().name == "procession-journal":
            assert ticked.wait(PATIENCE)
        commit(self)

    async def main() -> None:
        async with SpinOff(noted_not, journal=file, backend="threads") as spin:
            monkeypatch.setattr(Store, "commit", slow)
            put = asyncio.create_task(spin.aput(1))
            done, _ = await asyncio.wait((put,), timeout=0.05)
            assert not done
            ticked.set()
            await put

    asyncio.run(main())


# -- ids ---------------------------------------------------------------------------------------------------------------


def test_an_id_that_is_known_is_not_taken_in_again(file: Path, ran: Path, backend: Any) -> None:
    work = partial(noted, ran)
    words: dict[str, Any] = {"journal": file, "item_id": str, "backend": backend, "on_error": "return"}
    with SpinOff(work, **words) as spin:
        first = spin.put_many(range(10))
        again = spin.put_many(range(10))
        spin.flush()
        assert spin.stats().put == 10
        assert [each.exception() is None for each in again] == [x != 7 for x in range(10)]
        assert all(each.done() for each in first)
    assert len(list(spin)) == 10
    with SpinOff(work, **words) as spin:
        third = spin.put_many(range(12))
        spin.close()
        assert list(spin) == [100, 121]
        assert third[3].result() == 9
        assert type(third[7].exception()) is ValueError
    assert runs(ran) == dict.fromkeys(range(12), 1)
    assert spin.stats().accepted == spin.stats().handed_over == 12


def test_an_id_that_is_unfinished_has_its_future(file: Path, closed: Path) -> None:
    work = partial(gated, closed)
    words: dict[str, Any] = {"journal": file, "item_id": lambda item: b"%d" % item, "backend": "processes"}
    spin = SpinOff(work, **words)
    left_by_exception(spin, lambda spin: spin.put_many(range(3)))
    with SpinOff(work, **words) as spin:
        futures = spin.put_many(range(3))
        assert spin.put(2) is futures[2]
        assert spin.stats().put == 3
        closed.unlink()
        assert [each.result() for each in futures] == [0, 1, 2]


def test_many_threads_put_the_same_ids(file: Path, ran: Path) -> None:
    with SpinOff(partial(noted, ran), journal=file, item_id=str, backend="threads", on_error="return") as spin:
        threads = [threading.Thread(target=spin.put_many, args=(range(60),)) for _ in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        spin.close()
        assert len(list(spin)) == 60
    assert runs(ran) == dict.fromkeys(range(60), 1)


# -- what is withdrawn -------------------------------------------------------------------------------------------------


def test_an_item_that_was_cancelled_never_runs_again(file: Path, closed: Path) -> None:
    work = partial(gated, closed)
    spin = SpinOff(work, journal=file, backend="processes")

    def cancel_two(spin: SpinOff[int, int]) -> None:
        futures = spin.put_many(range(4))
        assert futures[2].cancel()
        while not futures[0].running():
            time.sleep(0.001)
        assert futures[0].cancel(), "what runs, too"

    left_by_exception(spin, cancel_two)
    closed.unlink()
    with SpinOff(work, journal=file, backend="processes") as spin:
        spin.close()
        assert list(spin) == [1, 3]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "raise"])
def test_what_there_was_no_room_for_never_runs(file: Path, closed: Path, overflow: Any) -> None:
    work = partial(gated, closed)

    def overflowing(spin: SpinOff[int, int]) -> None:
        for x in range(6):
            try:
                spin.put(x)
            except Full:
                assert overflow == "raise"

    spin = SpinOff(work, journal=file, backend="processes", maxsize=3, overflow=overflow)
    left_by_exception(spin, overflowing)
    closed.unlink()
    with SpinOff(work, journal=file, backend="processes") as spin:
        spin.close()
        got = list(spin)
    if overflow == "drop_oldest":
        assert len(got) == 3
        assert got[1:] == [4, 5], "the first is what was running"
    else:
        assert got == [0, 1, 2]


def test_a_cancel_of_everything_forgets_nothing(file: Path, closed: Path) -> None:
    work = partial(gated, closed)
    with SpinOff(work, journal=file, backend="processes") as spin:
        spin.put_many(range(5))
        spin.cancel()
    del spin
    gc.collect()
    closed.unlink()
    with SpinOff(work, journal=file, backend="processes") as spin:
        spin.close()
        assert list(spin) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_somebody_has_ended_says_nothing_about_the_item(file: Path, signum: int) -> None:
    for _ in range(2):
        with SpinOff(partial(die, signum), journal=file, backend="processes", on_error="return") as spin:
            if spin.stats().accepted == 0:
                spin.put(1)
            spin.close()
            errors = list(spin)
        assert [type(each) for each in errors] == [WorkerDied] * len(errors)
        assert spin.stats().handed_over == (1 if signum == signal.SIGKILL else 0)
        del spin
        gc.collect()
    assert len(errors) == (0 if signum == signal.SIGKILL else 1)


def test_seeds_are_by_the_number_of_the_put_over_all_programs(file: Path, tmp_path: Path) -> None:
    def program(path: Path, first: int, last: int) -> list[float]:
        with SpinOff(drawn, journal=path, seed=7, backend="threads") as spin:
            spin.put_many(range(first, last))
        return list(spin)

    assert program(file, 0, 3) + program(file, 3, 6) == program(tmp_path / "whole.db", 0, 6)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_what_cannot_be_kept_is_refused_by_put(file: Path) -> None:
    with SpinOff(noted_not, journal=file, backend="threads") as spin:
        with pytest.raises(PicklingError, match=r"run\.db"):
            spin.put(Unpicklable())  # type: ignore[arg-type]
        assert spin.stats().put == spin.stats().accepted == 0


def test_a_result_that_cannot_be_kept_is_a_failure(file: Path) -> None:
    with SpinOff(lambda x: Unpicklable(), journal=file, backend="threads") as spin:
        assert isinstance(spin.put(1).exception(), PicklingError)


def small_disk(monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    begin = Store.begin

    def small(self: Store, full: bool) -> None:
        self.connection.execute(f"PRAGMA max_page_count = {pages}")
        begin(self, full=full)

    monkeypatch.setattr(Store, "begin", small)


@pytest.mark.parametrize("words", [{}, {"batch": 3}, {"rate": 1e6}, {"key": lambda item: item[0] % 2}])
def test_a_full_disk_ends_it_and_loses_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, backend: Any, words: dict[str, Any]
) -> None:
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, "procession"):
        small_disk(patch, 60)
        futures = []
        with SpinOff(first_of, journal=file, backend=backend, on_error="skip", **words) as spin:
            with pytest.raises(JournalError, match=r"run\.db.*full"):
                for x in range(1000):
                    futures.append(spin.put((x, "x" * 1000)))
            with pytest.raises(JournalError, match="full"):
                spin.put((0, ""))
        with pytest.raises(JournalError, match="full"):
            list(spin)
        assert list(spin) == []
        assert all(each.done() for each in futures)
        failed = [each for each in futures if isinstance(each.exception(), JournalError)]
        assert [each.result() for each in futures if each not in failed] == list(range(len(futures) - len(failed)))
        done = spin.stats().handed_over
        assert len([each for each in caplog.records if "full" in each.getMessage()]) == 1, "said once"
    del spin
    gc.collect()
    with SpinOff(first_of, journal=file, backend=backend, maxsize=0) as spin:
        assert spin.stats().accepted == len(futures)
        spin.close()
        assert list(spin) == list(range(done or 0, len(futures)))


def first_of(item: Any) -> Any:
    return [first for first, _ in item] if isinstance(item, list) else item[0]


def test_what_waits_to_be_taken_is_not_handed_over_when_the_journal_has_failed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        with SpinOff(noted_not, journal=file, backend="threads") as spin:
            spin.put_many(range(5))
            spin.flush()
            assert next(spin) == 0

            def fails(self: Store, full: bool) -> None:
                raise OSError("no more")

            patch.setattr(Store, "begin", fails)
            with pytest.raises(JournalError, match="no more"):
                next(spin)
            spin.close()
            assert list(spin) == []
    del spin
    gc.collect()
    with SpinOff(noted_not, journal=file, backend="threads") as spin:
        spin.close()
        assert list(spin) == [0, 1, 2, 3, 4], "0 was being handed over"


def test_futures_alone_when_the_journal_fails(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, closed: Path
) -> None:
    with caplog.at_level(logging.ERROR, "procession"), monkeypatch.context() as patch:
        with SpinOff(partial(gated, closed), journal=file, backend="threads", iterate=False) as spin:
            futures = spin.put_many(range(5))

            def breaks(self: Store, full: bool) -> None:
                raise OSError("no more")

            patch.setattr(Store, "begin", breaks)
            closed.unlink()
            assert all(isinstance(each.exception(PATIENCE), JournalError) for each in futures)
    assert len(caplog.records) == 1
    with SpinOff(partial(gated, closed), journal=file, backend="threads", iterate=False) as spin:
        assert spin.stats().put == 5
    assert spin.stats().handed_over == 5


PROGRAM = """
import os, signal, sys
from procession import Journal, SpinOff
from tests.journal.test_spinoff import {fn} as fn
{body}
"""


def program(tmp_path: Path, fn: str, body: str) -> subprocess.Popen[str]:
    """One in a session of its own."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(fn=fn, body=body))
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
        cwd=tmp_path,
    )


STOPPED = """
import time
with SpinOff(time.sleep, journal="run.db", workers=2, on_error="return") as spin:
    futures = spin.put_many([60] * 4)
    while not all(future.running() for future in futures[:2]):
        time.sleep(0.01)
    print("running", flush=True)
    list(spin)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_the_whole_group_records_nothing(tmp_path: Path, signum: int) -> None:
    with program(tmp_path, "noted_not", STOPPED) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "running\n"
        os.killpg(running.pid, signum)
        assert running.wait(PATIENCE) != 0
    journal = QueueJournal.open(Journal(tmp_path / "run.db"), identity_of(time.sleep), None)
    assert [row.outcome for row in journal.pending()] == [PENDING] * 4
    journal.close()


def test_at_the_end_of_the_interpreter_what_was_put_has_run(tmp_path: Path) -> None:
    body = 'spin = SpinOff(fn, journal="run.db")\nspin.put_many(range(50))'
    with program(tmp_path, "noted_not", body) as running:
        assert running.communicate(timeout=PATIENCE) == ("", "")
    assert not (tmp_path / "run.db-wal").exists(), "it was closed"
    with SpinOff(noted_not, journal=tmp_path / "run.db", backend="threads") as spin:
        spin.close()
        assert list(spin) == list(range(50))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_forked_child_it_refuses(file: Path) -> None:
    with SpinOff(noted_not, journal=file, backend="threads") as spin:
        spin.put(1)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                spin.put(2)
            except (RuntimeError, JournalError):
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert spin.put(3).result() == 3
    assert list(spin) == [1, 3]


def test_two_at_once(file: Path) -> None:
    with SpinOff(noted_not, journal=file, backend="threads") as spin:
        spin.put(1)
        with pytest.raises(JournalError, match=f"pid {os.getpid()}"):
            SpinOff(noted_not, journal=file)
        assert spin.put(2).result() == 2
    assert list(spin) == [1, 2]
    with SpinOff(noted_not, journal=file, backend="threads"):
        pass


def test_one_that_was_dropped_lets_go(file: Path) -> None:
    spin = SpinOff(noted_not, journal=file, backend="threads")
    spin.put_many(range(5))
    spin.close()
    assert spin.join(PATIENCE)
    del spin
    gc.collect()
    with SpinOff(noted_not, journal=file, backend="threads") as spin:
        spin.close()
        assert list(spin) == [0, 1, 2, 3, 4]


def test_one_that_was_dropped_while_a_result_was_in_hand_lets_go(file: Path) -> None:
    spin = SpinOff(noted_not, journal=file, backend="threads")
    spin.put_many([1, 2, 3])
    spin.close()
    assert (next(spin), next(spin)) == (1, 2)
    spin.join()
    del spin
    gc.collect()
    with SpinOff(noted_not, journal=file, backend="threads") as again:
        again.close()
        assert list(again) == [2, 3]


def test_a_lost_class_refuses_and_holds_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_by_exception(SpinOff(noted_not, journal=file, backend="inline", rate=0.001), lambda spin: put_two(spin))
    monkeypatch.delattr("tests.journal.test_spinoff.Passing")
    for _ in range(2):
        with pytest.raises(JournalError, match="item 0 cannot be rebuilt"):
            SpinOff(noted_not, journal=file, backend="threads")


class Passing:
    """Something that is only there for a while."""


def put_two(spin: SpinOff[Any, Any]) -> None:
    spin.put(Passing())
    spin.put(Passing())


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        ({"item_id": str}, ValueError, "item_id .* needs journal="),
        ({"journal": "run.db", "item_id": "id"}, TypeError, "item_id must be callable"),
        ({"journal": 5}, TypeError, "journal must be a path or a procession.Journal, not int"),
        ({"checkpoint": "run.db"}, TypeError, "journal"),
    ],
)
def test_words_that_make_no_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, Any], kind: type[Exception], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=text):
        SpinOff(noted_not, **words)
    assert not list(tmp_path.iterdir())


def test_an_id_that_is_none(file: Path) -> None:
    with SpinOff(noted_not, journal=file, item_id=float, backend="threads") as spin:
        with pytest.raises(TypeError, match="item_id must give"):
            spin.put(1)
        assert spin.stats().put == 0


def test_without_one_the_numbers_are_none() -> None:
    with SpinOff(noted_not, backend="threads") as spin:
        assert (spin.stats().accepted, spin.stats().handed_over) == (None, None)


def test_another_function_is_refused(file: Path) -> None:
    with SpinOff(noted_not, journal=file, backend="threads") as spin:
        spin.put(1)
    assert list(spin) == [1]
    with pytest.raises(JournalError, match="first_of"):
        SpinOff(first_of, journal=file)
    with SpinOff(first_of, journal=Journal(file, force=True), backend="threads"):
        pass


def test_captured_results_are_others(file: Path) -> None:
    with SpinOff(noted_not, journal=file, backend="threads", capture=True) as spin:
        spin.put(1)
    assert [each.value for each in spin] == [1]
    with pytest.raises(JournalError, match="capture"):
        SpinOff(noted_not, journal=file, backend="threads")


def test_failures_of_an_earlier_program_are_told(file: Path) -> None:
    told: list[Failure] = []
    left_by_exception(
        SpinOff(fails, journal=file, backend="threads", on_error="return"),
        lambda spin: (spin.put(5), spin.flush()),
    )
    with SpinOff(fails, journal=file, backend="threads", on_error=told.append) as spin:
        spin.close()
        assert list(spin) == []
    assert [(each.args, type(each.error)) for each in told] == [((5,), ValueError)]


def fails(x: int) -> int:
    raise ValueError(x)
