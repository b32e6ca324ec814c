"""An imap with a journal: what is there does not run again, and all of it is handed over, in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from procession import Captured, Journal, JournalError, Pool, WorkerDied
from procession.errors import PicklingError
from tests import warm
from tests.contract.conftest import backend, capabilities, gate, last, make_pool, pool, side_by_side

kept_zygote = warm.keep()

FIXTURES = [backend, capabilities, gate, last, make_pool, pool, side_by_side]
N = 90
TAKEN = 30


def noted(folder: Path, x: Any) -> Any:
    """x squared; a file in `folder` for each run of each item."""
    with (folder / str(x)).open("a") as file:
        file.write("x")
    if isinstance(x, int) and x % 10 == 7:
        raise ValueError(x)
    return (x * x, [str(x)]) if isinstance(x, int) else x


def runs(folder: Path) -> dict[str, int]:
    """How often each item has run; forgotten then. What was killed before it had written has not."""
    found = {each.name: size for each in folder.iterdir() if (size := len(each.read_text()))}
    for each in folder.iterdir():
        each.unlink()
    return found


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    folder = tmp_path / "ran"
    folder.mkdir()
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def shape(results: Any) -> list[Any]:
    """Results, failures by their texts."""
    return [repr(each) if isinstance(each, BaseException) else each for each in results]


def expected(numbers: Any = range(N)) -> list[Any]:
    return [repr(ValueError(x)) if x % 10 == 7 else (x * x, [str(x)]) for x in numbers]


WORDS: list[dict[str, Any]] = [
    {},
    {"window": 3},
    {"chunksize": 7},
    {"live": True},
    {"key": lambda x: x % 3},
    {"key": lambda x: x % 3, "sticky": True},
    {"buffer_bytes": 2000},
    {"buffer_bytes": 2000, "spill": True},
    {"rate": 20_000.0},
    {"seed": 5},
    {"progress": lambda done, total: None},
    {"ordered": False},
    {"item_id": str},
]


def named(words: dict[str, Any]) -> str:
    return ",".join(words) or "plain"


@pytest.mark.parametrize("words", WORDS, ids=named)
def test_one_that_was_left_goes_on(pool: Pool, file: Path, tmp_path: Path, words: dict[str, Any]) -> None:
    folders = [tmp_path / name for name in ("first", "second", "third")]
    results: list[list[Any]] = []
    for folder, most in zip(folders, (TAKEN, None, None), strict=True):
        folder.mkdir()
        journal = Journal(file, version=1)  # it is told where to note its runs, each time another folder
        with pool.imap(partial(noted, folder), range(N), journal=journal, on_error="return", **words) as stream:
            results.append(shape(islice(stream, most)))
    taken, second, third = results
    ran, again, never = map(runs, folders)
    assert set(ran.values()) | set(again.values()) == {1}
    assert set(ran) | set(again) == {str(x) for x in range(N)}
    assert not never
    assert sorted(second, key=str) == sorted(third, key=str) == sorted(expected(), key=str)
    if words.get("ordered", True):
        assert taken == expected(range(TAKEN))
        assert second == third == expected()
        assert not {str(x) for x in range(TAKEN)} & set(again)  # what was handed over was kept before


def test_what_is_handed_over_is_in_the_file(pool: Pool, file: Path) -> None:
    """Asked by another connection, at each hand-over."""
    results = pool.imap(str, range(200), journal=file)
    looker = sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)
    try:
        for number, result in enumerate(results):
            assert result == str(number)
            assert looker.execute("SELECT count(*) FROM items WHERE seq = ? AND state = 1", (number,)).fetchone() == (
                1,
            )
    finally:
        looker.close()


@pytest.mark.parametrize("on_error", ["raise", "return", "skip", "callable"])
def test_failures_are_outcomes_unless_they_are_raised(pool: Pool, file: Path, ran: Path, on_error: str) -> None:
    def taken() -> tuple[list[Any], list[Any]]:
        told: list[Any] = []
        how: Any = told.append if on_error == "callable" else on_error
        results = []
        try:
            for each in pool.imap(partial(noted, ran), range(20), journal=file, on_error=how):
                results.append(each)
        except ValueError as error:
            told.append(error)
        return shape(results), [
            (repr(each.error), each.args) if on_error == "callable" else repr(each) for each in told
        ]

    first = taken()
    assert runs(ran)["7"] == 1
    assert taken() == first
    again = runs(ran)
    assert again.get("7", 0) == (1 if on_error == "raise" else 0)
    assert "3" not in again
    if on_error == "callable":
        assert first[1] == [(repr(ValueError(x)), (x,)) for x in (7, 17)]


def test_a_failure_that_was_kept_has_its_traceback_and_its_attempts(pool: Pool, file: Path, ran: Path) -> None:
    careful = pool.options(retries=2)
    failures: list[Any] = []
    for _ in range(2):
        list(careful.imap(partial(noted, ran), [7], journal=file, on_error=failures.append))
    fresh, kept = failures
    assert runs(ran) == {"7": 3}
    assert (kept.index, kept.args, kept.attempts) == (fresh.index, fresh.args, fresh.attempts) == (0, (7,), 3)
    assert "in noted" in "".join(getattr(kept.error, "__notes__", [])) + str(kept.error.__cause__)


def test_it_can_be_run_again_in_the_program(pool: Pool, file: Path, ran: Path) -> None:
    list(pool.imap(partial(noted, ran), [7], journal=file, on_error="skip"))
    failures: list[Any] = []
    list(pool.imap(partial(noted, ran), [7], journal=file, on_error=failures.append))
    assert runs(ran) == {"7": 1}
    with pytest.raises(ValueError, match="7"):
        pool.replay(failures[0])
    assert runs(ran) == {"7": 1}


@pytest.mark.parametrize("ordered", [True, False])
def test_an_item_known_by_its_id_may_stand_elsewhere(pool: Pool, file: Path, ran: Path, ordered: bool) -> None:
    work = partial(noted, ran)
    words: dict[str, Any] = {"journal": file, "item_id": str, "on_error": "return", "ordered": ordered}
    list(pool.imap(work, range(0, 40, 2), **words))
    runs(ran)
    results = shape(pool.imap(work, reversed(range(50)), **words))
    assert sorted(results, key=str) == sorted(expected(range(50)), key=str)
    if ordered:
        assert results == expected(reversed(range(50)))
    assert runs(ran) == {str(x): 1 for x in range(50) if x % 2 or x >= 40}


def test_two_items_of_one_id(pool: Pool, file: Path, ran: Path) -> None:
    work, items = partial(noted, ran), ["a", "b", "a", "c"]
    for _ in range(2):
        results = list(pool.imap(work, items, journal=file, item_id=str, on_error="return"))
        assert [results[at] for at in (0, 1, 3)] == ["a", "b", "c"]
        assert isinstance(results[2], JournalError)
        assert "'a'" in str(results[2])
    assert runs(ran) == {"a": 1, "b": 1, "c": 1}


def test_an_id_that_cannot_be_had_fails_its_item(pool: Pool, file: Path) -> None:
    def id_of(item: Any) -> Any:
        if item == 2:
            raise LookupError("no id")
        return None if item == 4 else item

    results = list(pool.imap(str, range(6), journal=file, item_id=id_of, on_error="return"))
    assert [results[at] for at in (0, 1, 3, 5)] == ["0", "1", "3", "5"]
    assert isinstance(results[2], LookupError)
    assert isinstance(results[4], TypeError)
    assert "item_id" in str(results[4])


def test_several_iterables(pool: Pool, file: Path) -> None:
    for words in ({}, {"item_id": lambda base, exponent: f"{base}^{exponent}"}):
        path = file.with_suffix(f".{len(words)}.db")
        for _ in range(2):
            assert list(pool.imap(pow, range(5), range(5), journal=path, **words)) == [1, 1, 4, 27, 256]


# -- refused -------------------------------------------------------------------------------------------------------


def test_another_input_is_refused(pool: Pool, file: Path, ran: Path) -> None:
    work = partial(noted, ran)
    list(pool.imap(work, range(5), journal=file))
    runs(ran)
    with pytest.raises(JournalError, match=r"run\.db.*item 3 .*99"):
        list(pool.imap(work, [0, 1, 2, 99, 4], journal=file))
    assert not runs(ran)
    assert list(pool.imap(work, range(6), journal=file))[5] == (25, ["5"])  # it may grow
    assert runs(ran) == {"5": 1}
    assert len(list(pool.imap(work, range(2), journal=file))) == 2  # and be cut short


def test_another_input_is_refused_where_it_differs(pool: Pool, file: Path) -> None:
    """Far behind what is pulled at the call: what comes before it is handed over, whatever on_error says."""
    list(pool.imap(str, range(3000), journal=file))
    results = pool.imap(str, (x if x < 2500 else -x for x in count()), window=5, journal=file, on_error="skip")
    got = []
    with pytest.raises(JournalError, match="item 2500"):
        for each in results:
            got.append(each)
    assert got == [str(x) for x in range(len(got))]
    assert 2490 <= len(got) <= 2500
    assert list(results) == []


def double(x: int) -> int:
    return 2 * x


@pytest.mark.parametrize(
    ("fn", "words", "text"),
    [(double, {}, "double"), (str, {"seed": 3}, "seed"), (str, {"item_id": str}, "item_id")],
)
def test_another_function_or_words_are_refused(
    pool: Pool, file: Path, fn: Any, words: dict[str, Any], text: str
) -> None:
    list(pool.imap(str, range(5), journal=file))
    with pytest.raises(JournalError, match=text):
        pool.imap(fn, range(5), journal=file, **words)
    assert list(pool.imap(str, range(5), journal=file)) == list("01234")


def test_force(pool: Pool, file: Path) -> None:
    list(pool.imap(str, range(3), journal=file))
    forced = Journal(file, force=True)
    assert list(pool.imap(double, range(5), journal=forced)) == ["0", "1", "2", 6, 8]
    assert list(pool.imap(double, range(5), journal=file)) == ["0", "1", "2", 6, 8]


def test_code_that_has_changed_is_refused_unless_a_version_stands_for_it(pool: Pool, file: Path) -> None:
    def made(factor: int) -> Callable[[int], int]:
        return lambda x: x * factor

    list(pool.imap(made(2), range(3), journal=file))
    with pytest.raises(JournalError, match="code"):
        pool.imap(made(3), range(3), journal=file)
    other = file.with_suffix(".versions")
    for factor, version in ((2, "1"), (3, "1")):
        assert list(pool.imap(made(factor), range(3), journal=Journal(other, version=version))) == [0, 2, 4]
    with pytest.raises(JournalError, match="version"):
        pool.imap(made(3), range(3), journal=Journal(other, version="2"))


def test_captured_results_are_others(make_pool: Any, backend: str, file: Path) -> None:
    pool = make_pool()
    view = pool.options(capture=True)
    assert all(isinstance(each, Captured) for each in view.imap(str, range(3), journal=file))
    assert all(isinstance(each, Captured) for each in view.imap(str, range(3), journal=file))
    with pytest.raises(JournalError, match="capture"):
        pool.imap(str, range(3), journal=file)


def test_two_at_once_are_refused(pool: Pool, file: Path) -> None:
    with pool.imap(str, count(), journal=file) as results:
        assert next(results) == "0"
        with pytest.raises(JournalError, match=str(os.getpid())):
            pool.imap(str, count(), journal=file)
        assert next(results) == "1"
    with pool.imap(str, count(), journal=file) as results:
        assert list(islice(results, 3)) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        ({"item_id": str}, ValueError, "journal="),
        ({"journal": 5}, TypeError, "journal must be"),
        ({"journal": "x.db", "item_id": "name"}, TypeError, "item_id must be"),
        ({"journal": ""}, ValueError, "path"),
    ],
)
def test_words_that_make_no_sense(
    words: dict[str, Any], kind: type[Exception], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Pool(1, backend="inline") as pool:
        for call in (pool.imap, pool.imap_unordered, pool.aimap):
            with pytest.raises(kind, match=text):
                call(str, range(3), **words)
    assert not list(tmp_path.iterdir())


def test_a_call_that_is_refused_for_another_reason_leaves_the_journal_free(file: Path) -> None:
    pool = Pool(1, backend="threads")
    pool.shutdown()
    for words in ({}, {"rate": 5.0}):
        with pytest.raises(RuntimeError, match="shut"):
            pool.imap(str, range(3), journal=file, **words)
    with Pool(1, backend="threads") as pool:
        assert list(pool.imap(str, range(3), journal=file)) == ["0", "1", "2"]


# -- what cannot be kept ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_error", ["raise", "return", "skip", "callable"])
def test_a_full_disk_ends_the_stream(pool: Pool, file: Path, monkeypatch: pytest.MonkeyPatch, on_error: str) -> None:
    from procession.journal.store import Store

    begin, told = Store.begin, []

    def small(self: Store, full: bool) -> None:
        self.connection.execute("PRAGMA max_page_count = 30")
        begin(self, full=full)

    monkeypatch.setattr(Store, "begin", small)
    how: Any = told.append if on_error == "callable" else on_error
    results = pool.imap(large, count(), journal=file, on_error=how, window=20)
    got = []
    with pytest.raises(JournalError, match=r"run\.db.*full"):
        for each in results:
            got.append(each)
    assert got == [large(x) for x in range(len(got))]
    assert not told
    monkeypatch.undo()
    again = pool.imap(large, count(), journal=file, on_error=how)
    assert list(islice(again, len(got) + 5)) == [large(x) for x in range(len(got) + 5)]
    again.close()


def large(x: int) -> str:
    return f"{x:01500}"


def huge(x: int) -> bytes:
    return bytes([x]) * 200_000


@pytest.mark.parametrize("words", [{}, {"buffer_bytes": 500_000}, {"ordered": False}], ids=named)
def test_large_outcomes_are_read_when_they_are_taken(pool: Pool, file: Path, words: dict[str, Any]) -> None:
    for _ in range(2):
        assert sorted(pool.imap(huge, range(12), journal=file, **words)) == [huge(x) for x in range(12)]


def test_one_that_cannot_be_read_any_more_ends_the_stream(pool: Pool, file: Path) -> None:
    list(pool.imap(huge, range(3), journal=file))
    connection = sqlite3.connect(file)
    connection.execute("UPDATE items SET outcome = zeroblob(200000 + 5) WHERE seq = 1")
    connection.commit()
    connection.close()
    results = pool.imap(huge, range(3), journal=file, on_error="skip")
    assert next(results) == huge(0)
    with pytest.raises(JournalError, match="item 1"):
        next(results)
    assert list(results) == []


def test_a_result_that_cannot_be_pickled_fails_its_item(file: Path) -> None:
    with Pool(2, backend="threads") as pool:
        for _ in range(2):
            results = list(pool.imap(lock_or_number, range(4), journal=file, on_error="return"))
            assert [results[at] for at in (0, 1, 3)] == [0, 1, 3]
            assert isinstance(results[2], PicklingError)
            assert "run.db" in str(results[2])


def lock_or_number(x: int) -> Any:
    return threading.Lock() if x == 2 else x


def die(how: int, x: int) -> int:
    if x == 2:
        os.kill(os.getpid(), how)
    return x


@pytest.mark.parametrize(("how", "kept"), [(signal.SIGTERM, False), (signal.SIGKILL, True)], ids=["TERM", "KILL"])
def test_a_worker_that_is_told_to_end_says_nothing_about_its_item(file: Path, how: int, kept: bool) -> None:
    with Pool(1) as pool:
        results = list(pool.imap(partial(die, how), range(4), journal=file, on_error="return"))
    assert isinstance(results[2], WorkerDied)
    with sqlite3.connect(file) as connection:
        states = dict(connection.execute("SELECT seq, state FROM items"))
    connection.close()
    assert states == {0: 1, 1: 1, 3: 1, **({2: 2} if kept else {})}


def test_what_was_shut_down_is_not_kept(file: Path) -> None:
    begun = threading.Event()
    go = threading.Event()

    def work(x: int) -> int:
        begun.set()
        assert go.wait(60)
        return x

    pool = Pool(1, backend="threads")
    results = pool.imap(work, range(5), journal=Journal(file, version=1), on_error="return")
    assert begun.wait(60)
    pool.shutdown(wait=False, cancel_futures=True)
    go.set()
    assert shape(results) == [0, *["CancelledError()"] * 4]
    with Pool(1, backend="threads") as pool:
        assert list(pool.imap(work, range(5), journal=Journal(file, version=1))) == list(range(5))


# -- others ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_aimap(pool: Pool, file: Path, ran: Path, kind: str, live: bool) -> None:
    async def numbers() -> Any:
        for x in range(50):
            yield x

    async def run(most: int) -> list[Any]:
        source: Any = numbers() if kind == "async" else range(50)
        got: list[Any] = []
        stream = pool.aimap(partial(noted, ran), source, journal=file, on_error="return", live=live)
        async for each in stream:
            got.append(each)
            if len(got) == most:
                break
        await stream.aclose()
        return shape(got)

    assert asyncio.run(run(20)) == expected(range(20))
    assert not set(runs(ran)) - {str(x) for x in range(50)}
    assert asyncio.run(run(100)) == expected(range(50))
    assert not set(runs(ran)) & {str(x) for x in range(20)}


def test_progress_counts_what_was_there(pool: Pool, file: Path) -> None:
    with pool.imap(str, range(100), journal=file) as results:
        list(islice(results, 60))
    told: list[tuple[int, int | None]] = []
    results = pool.imap(str, range(100), journal=file, progress=lambda done, total: told.append((done, total)))
    assert list(results) == [str(x) for x in range(100)]
    assert told[-1] == (100, 100)


def test_stats_tell_what_was_there(pool: Pool, file: Path) -> None:
    with pool.imap(str, range(100), journal=file) as results:
        assert results.stats().recalled == 0
        list(islice(results, 60))
    with pool.imap(str, range(100), journal=file, window=100) as results:
        list(islice(results, 99))
        assert 60 <= results.stats().recalled <= 100


def test_a_stream_that_nobody_holds_lets_its_journal_go(pool: Pool, file: Path) -> None:
    results: Iterator[str] | None = pool.imap(str, count(), journal=file)
    assert next(results) == "0"  # type: ignore[arg-type]
    del results
    for attempt in pool.imap(str, count()):  # work that takes a while, until the lock is let go
        try:
            with pool.imap(str, count(), journal=file) as again:
                assert next(again) == "0"
            break
        except JournalError:
            assert int(attempt) < 5000
