"""What `procession.explain` prints, and of what."""

import io
import os
from pathlib import Path
from typing import Any

import pytest

from procession import Pipeline, Pool, SpinOff, Stage, explain, trace
from procession.seeing import recording
from procession.seeing.part import part
from procession.seeing.recording import OK
from tests.contract.conftest import Gate, MakePool
from tests.contract.work import fail_on_three, pass_gate, square
from tests.seeing.made import made


def said(of: Any) -> str:
    out = io.StringIO()
    explain(of, file=out)
    return out.getvalue()


def test_a_pool_is_explained_while_it_is_recorded(backend: str, make_pool: MakePool, capsys: Any) -> None:
    with trace(None) as traced:
        one, other = make_pool(1), make_pool(1)
        assert list(one.map(square, range(40))) == [x * x for x in range(40)]
        assert other.submit(square, 2).result() == 4
        explain(one)
        text = capsys.readouterr().out
        assert "40 tasks" in text
        assert "1 task" in said(other.options(timeout=9) if backend != "inline" else other)
        assert "41 tasks" in said(traced)
    assert "41 tasks" in said(traced)
    assert "40 tasks" in said(one)


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_what_runs_now_does_not_hinder_it(make_pool: MakePool, gate: Gate) -> None:
    with trace(None) as traced:
        pool = make_pool(2)
        assert [pool.submit(square, x).result() for x in range(3)] == [0, 1, 4]
        runs = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        assert "3 tasks" in said(pool)
        gate.open()
        runs.result()
    assert "4 tasks" in said(traced)


def test_spin_offs_and_pipelines_are_explained() -> None:
    with trace(None):
        with SpinOff(square, backend="threads") as spin:
            spin.put_many(range(7))
        pipe = Pipeline(Stage(square, backend="threads"), Stage(str, backend="threads"))
        with pytest.raises(RuntimeError, match="nothing was recorded"):
            explain(pipe)
        assert list(pipe.run(range(4))) == ["0", "1", "4", "9"]
        assert "7 tasks" in said(spin)
        assert "8 tasks" in said(pipe)


def test_a_file_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with trace(path), Pool(1, backend="threads") as pool:
        list(pool.map(square, range(9)))
    assert "9 tasks" in said(path)
    assert "9 tasks" in said(os.fspath(path))


def test_what_cannot_be_explained_says_why(tmp_path: Path) -> None:
    with Pool(1, backend="threads") as pool:
        assert pool.submit(square, 2).result() == 4
        with pytest.raises(RuntimeError, match=r"inside of `with procession.trace"):
            explain(pool)
        with trace(None):
            with pytest.raises(RuntimeError, match="nothing was recorded"):
                explain(Pool(1, backend="threads"))  # which has not begun
    with pytest.raises(TypeError, match="explain takes a Pool"):
        explain(3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        explain(tmp_path / "none.json")


# ------------------------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize("seed", range(3))
def test_the_parts_are_the_whole(seed: int) -> None:
    whole = made(600, 6, 3, seed=seed)
    parts = [part(whole, {pool.number}) for pool in whole.pools]
    homeless = sum(worker < 0 for worker in whole.worker)
    assert sum(len(each) for each in parts) + homeless == len(whole)
    for each, pool in zip(parts, whole.pools, strict=True):
        assert each.pools == [pool]
        wanted = [row for row in range(len(whole)) if whole.worker[row] >= 0]
        wanted = [row for row in wanted if whole.workers[whole.worker[row]].pool == whole.pools.index(pool)]
        for name in whole.columns:
            if name != "worker":
                assert list(each.columns[name]) == [whole.columns[name][row] for row in wanted]
        assert [each.workers[w]._replace(pool=0) for w in each.worker] == [
            whole.workers[whole.worker[row]]._replace(pool=0) for row in wanted
        ]
        assert list(each.failures.values()) == [whole.failures[row] for row in wanted if row in whole.failures]
        for row in each.failures:
            assert each.outcome[row] != OK
        names = {name for pool, name in each.counters if pool == 0}
        assert names == {name for at, name in whole.counters if at == whole.pools.index(pool)}


def test_all_of_it_is_a_copy() -> None:
    whole = made(200, 3, 2)
    copy = part(whole)
    assert vars(copy) == vars(whole)
    whole.add(function=0)
    assert len(copy) + 1 == len(whole)


def test_a_recording_that_grows_has_columns_of_one_length() -> None:
    whole = made(50, 2, 1)
    rows = len(whole)
    whole.columns["worker"].append(0)  # in the middle of a row
    assert {len(column) for column in part(whole).columns.values()} == {rows}


def test_what_begins_while_it_is_copied_is_not_in_it_or_whole() -> None:
    """A pool, its worker and its samples come at the worst moment: whenever one of the lists has just been copied."""
    whole = made(50, 2, 1)

    class Growing(list[Any]):
        def __iter__(self) -> Any:
            found = iter(list(super().__iter__()))
            grow()
            return found

    def grow() -> None:
        number = len(whole.pools)
        list.append(whole.pools, recording.Pool(number, "threads", 1))
        list.append(whole.workers, recording.Worker(number, 0, 1, 1, 0))
        whole.sample(number, "queued", 1, 1.0)

    whole.pools, whole.workers = Growing(whole.pools), Growing(whole.workers)
    for pools in (None, {0}):
        copy = part(whole, pools)
        assert all(each.pool < len(copy.pools) for each in copy.workers)
        assert all(pool < len(copy.pools) for pool, _ in copy.counters)


def test_failures_find_their_rows() -> None:
    with trace(None) as traced:
        with Pool(1, backend="threads") as one, Pool(1, backend="threads") as other:
            assert isinstance(one.submit(fail_on_three, 3).exception(), ValueError)
            assert other.submit(square, 2).result() == 4
            assert isinstance(other.submit(fail_on_three, 3).exception(), ValueError)
    for pool in traced.recording.pools:
        mine = part(traced.recording, {pool.number})
        (row,) = mine.failures
        assert mine.functions[mine.function[row]] == "fail_on_three"
