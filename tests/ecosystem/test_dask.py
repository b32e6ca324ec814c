"""Dask graphs on our pools: by Dask's own loop (`scheduler=pool`), and by `procession.adapters.dask`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.callbacks import Callback
from dask.diagnostics import Profiler, ProgressBar

from procession import Pool, shared_pool
from procession.adapters import dask_course
from procession.adapters.dask import get, scheduler
from procession.errors import WorkerDied
from tests import warm

pytestmark = pytest.mark.e2e
kept_zygote = warm.keep("dask.array", "dask.dataframe")


@pytest.fixture(scope="module", autouse=True)
def _no_pool_of_dask() -> Iterator[None]:
    """What it computes while a graph is made (`set_index`) would start threads that stay."""
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(params=["processes", "threads", "inline"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(2, backend=request.param) as made:
        yield made


@pytest.fixture
def processes() -> Iterator[Pool]:
    with Pool(2) as made:
        yield made


def _frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {"k": rng.integers(0, 20, 4000), "v": rng.random(4000), "s": [f"name {number % 31}" for number in range(4000)]}
    )


def _tree() -> Any:
    level = [dask.delayed(lambda x: x + 1)(number) for number in range(300)]
    while len(level) > 1:
        level = [dask.delayed(sum)(level[at : at + 3]) for at in range(0, len(level), 3)]
    return level[0]


def _array() -> Any:
    return da.random.default_rng(1).random((300, 300), chunks=(100, 100))


def _dask_frame() -> Any:
    return dd.from_pandas(_frame(), npartitions=5)


def _bag() -> Any:
    return db.from_sequence(range(500), npartitions=12)


def _merged() -> Any:
    d = _dask_frame()
    return d.merge(d.groupby("s").v.sum().reset_index(), on="s").v_x.sum()


def _shared() -> Any:
    value = dask.delayed(lambda: [1, 2])()
    return dask.delayed(lambda a, b: (a, b, a == b))(value, value)


COLLECTIONS: dict[str, Callable[[], Any]] = {
    "array": lambda: (_array() @ _array().T).sum(axis=0),
    "array of several blocks": lambda: _array() + _array().T,
    "svd": lambda: da.linalg.svd(da.random.default_rng(2).random((200, 10), chunks=(50, 10)))[1],
    "frame": lambda: _dask_frame().groupby("k").v.mean(),
    "frame of strings": lambda: _dask_frame().s.str.upper().value_counts(),
    "shuffle": lambda: _dask_frame().set_index("k"),
    "merge": _merged,
    "bag": lambda: _bag().map(lambda x: x * 2).filter(lambda x: x % 3).sum(),
    "bag by key": lambda: _bag().foldby(lambda x: str(x % 7), lambda a, b: a + b, 0),
    "delayed": _tree,
    "one value for two": _shared,
    "nested": lambda: dask.delayed({"a": [_tree(), 1], "b": (2, 3)}),
}


@pytest.mark.parametrize(
    ("how", "name"),
    [
        *(("get", name) for name in COLLECTIONS),
        *((how, name) for how in ("pool", "share", "few") for name in ("array", "frame", "bag by key", "delayed")),
    ],
)
def test_values_are_those_of_the_synchronous_scheduler(how: str, name: str, processes: Pool) -> None:
    ways = {
        "pool": processes,
        "get": scheduler(processes),
        "share": scheduler(processes, share=1000),
        "few": lambda dsk, keys, **words: get(dsk, keys, pool=processes, **{**words, "num_workers": 1}),
    }
    wanted = dask.compute(COLLECTIONS[name](), scheduler="synchronous")[0]
    came = dask.compute(COLLECTIONS[name](), scheduler=ways[how])[0]
    _same(came, wanted)


def _same(came: Any, wanted: Any) -> None:
    """Equal; the rows of one key may have changed places, as they do from run to run on Dask's own schedulers."""
    assert type(came) is type(wanted)
    if isinstance(wanted, pd.DataFrame):
        pd.testing.assert_frame_equal(came.sort_values("v"), wanted.sort_values("v"))
        assert came.index.tolist() == wanted.index.tolist()
    elif isinstance(wanted, pd.Series):
        pd.testing.assert_series_equal(came.sort_index(), wanted.sort_index())
    else:
        np.testing.assert_equal(came, wanted)


@pytest.mark.parametrize("name", ["array", "shuffle", "bag", "delayed"])
def test_every_backend(name: str, pool: Pool) -> None:
    wanted = dask.compute(COLLECTIONS[name](), scheduler="synchronous")[0]
    came = dask.compute(COLLECTIONS[name](), scheduler=scheduler(pool))[0]
    _same(came, wanted)


def test_without_a_pool_it_is_the_shared_one_or_the_one_of_the_configuration() -> None:
    with dask.config.set(scheduler=get):
        assert dask.delayed(os.getpid)().compute() in shared_pool()._processes
        with Pool(1) as own, dask.config.set(pool=own):
            assert dask.delayed(os.getpid)().compute() in own._processes
    shared_pool().shutdown()


def test_several_collections_and_graphs_of_tuples(processes: Pool) -> None:
    a, b = dask.delayed(3), dask.delayed(lambda: 4)()
    assert dask.compute(a, [b, {"x": b}], 5, scheduler=scheduler(processes)) == (3, [4, {"x": 4}], 5)
    graph = {"x": 1, "y": (int.__add__, "x", 1), "z": (sum, ["x", "y", (int.__add__, "y", 1)])}
    assert get(graph, ["z", ["x", "y"]], pool=processes) == (6, (1, 2))
    assert get(graph, "z", pool=processes) == 6


# -- what goes to a worker together ------------------------------------------------------------------------------------


class Calls(Pool):
    """A pool that remembers what it was given."""

    def __init__(self) -> None:
        super().__init__(2)
        self.batches: list[tuple[int, int, int]] = []

    def submit(self, fn: Any, /, tasks: Any, values: Any, wanted: Any) -> Any:  # type: ignore[override]
        self.batches.append((len(tasks), len(values), len(wanted)))
        return super().submit(fn, tasks, values, wanted)


@pytest.fixture
def calls() -> Iterator[Calls]:
    with Calls() as made:
        yield made


def test_a_chain_is_one_call_and_only_its_end_comes_back(calls: Calls) -> None:
    graph: dict[Any, Any] = {"k0": (int, 7)}
    graph |= {f"k{number}": (int.__add__, f"k{number - 1}", 1) for number in range(1, 100)}
    assert get(graph, "k99", pool=calls) == 106
    assert calls.batches == [(100, 0, 1)]


def test_what_was_asked_for_in_a_chain_comes_back_too(calls: Calls) -> None:
    graph = {"a": (int, 1), "b": (int.__add__, "a", 1), "c": (int.__add__, "b", 1)}
    assert get(graph, ["a", "c"], pool=calls) == (1, 3)
    assert calls.batches == [(3, 0, 2)]


def test_tasks_that_were_short_go_together_and_long_ones_alone(calls: Calls) -> None:
    graph: dict[Any, Any] = {("short", number): (int, number) for number in range(1000)}
    graph["sum"] = (sum, list(graph))
    assert get(graph, "sum", pool=calls) == sum(range(1000))
    assert len(calls.batches) < 300, "the first ones are sent alone, the others together"
    calls.batches.clear()
    graph = {("long", number): (time.sleep, 0.006) for number in range(12)}
    get(graph, list(graph), pool=calls)
    assert [size for size, _, _ in calls.batches] == [1] * 12


def test_who_waits_for_a_value_does_not_wait_for_what_else_was_made_ready_by_it(calls: Calls) -> None:
    """`a` makes two ready; each may be long, so that neither is in the batch of `a`."""
    graph = {"a": (int, 1), "left": (int.__add__, "a", 1), "right": (int.__sub__, "a", 1), "z": (max, "left", "right")}
    assert get(graph, "z", pool=calls) == 2
    assert calls.batches[0] == (1, 0, 1)


def test_a_policy_is_for_each_task(tmp_path: Path, processes: Pool) -> None:
    seen = tmp_path / "seen"

    def second_time() -> int:
        if not seen.exists():
            seen.touch()
            os._exit(3)
        return 5

    value = dask.delayed(lambda x: x + 1)(dask.delayed(second_time)())
    assert value.compute(scheduler=scheduler(processes.options(retries=1))) == 6
    slow = dask.delayed(time.sleep)(0.3)
    chain = dask.delayed(lambda x, y: y)(slow, dask.delayed(time.sleep)(0.3))
    assert chain.compute(scheduler=scheduler(processes.options(timeout=20))) is None


def test_values_are_let_go_when_the_last_task_that_needs_them_has_run(pool: Pool) -> None:
    """Of 60 blocks in a row, each of which is summed up, some few are there at once."""
    most = 0

    class Watch(Callback):  # type: ignore[misc]
        def _pretask(self, key: Any, dsk: Any, state: Any) -> None:
            nonlocal most
            most = max(most, sum(str(key).startswith("('block'") for key in state["cache"]))

    graph: dict[Any, Any] = {("block", number): (np.full, 1000, number) for number in range(60)}
    graph |= {("sum", number): (np.sum, ("block", number)) for number in range(60)}
    graph |= {("twice", number): (np.max, ("block", number)) for number in range(60)}
    keys = [key for key in graph if key[0] != "block"]
    with Watch():
        values = get(graph, keys, pool=pool)
    assert values[:3] == (0, 1000, 2000)
    assert most <= 12


# -- Dask's diagnostics ------------------------------------------------------------------------------------------------


def test_diagnostics_see_every_task(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    value = COLLECTIONS["array"]()
    with Profiler() as profiler, ProgressBar(dt=0.01):
        value.compute(scheduler=scheduler(pool))
    assert len(profiler.results) > 30
    assert "100% Completed" in capsys.readouterr().out
    with ProgressBar(), pytest.raises(ZeroDivisionError):
        dask.delayed(lambda: 1 / 0)().compute(scheduler=scheduler(pool))


# -- failures ----------------------------------------------------------------------------------------------------------


def _fail(number: int) -> int:
    if number == 17:
        raise KeyError("seventeen")
    return number


def test_a_task_that_raises_is_named_and_nothing_runs_on(pool: Pool) -> None:
    value = dask.delayed(sum)([dask.delayed(_fail)(number, dask_key_name=f"fail-{number}") for number in range(40)])
    with pytest.raises(KeyError, match="seventeen") as caught:
        value.compute(scheduler=scheduler(pool))
    assert "in the Dask task 'fail-17'" in caught.value.__notes__
    assert pool.submit(_fail, 3).result(30) == 3
    assert pool.stats().pending == pool.stats().in_flight == 0
    with pytest.raises(KeyError, match="seventeen"):
        value.compute(scheduler=pool)


def test_it_can_be_run_again_here(processes: Pool) -> None:
    here: list[int] = []

    def fail(number: int) -> None:
        here.append(os.getpid())
        raise ValueError("no")

    value = dask.delayed(fail)(1)
    with pytest.raises(ValueError, match="no"):
        value.compute(scheduler=scheduler(processes), rerun_exceptions_locally=True)
    assert here == [os.getpid()]


@pytest.mark.parametrize("ours", [True, False])
def test_a_worker_that_dies_fails_the_computation_and_not_the_pool(ours: bool, processes: Pool) -> None:
    value = dask.delayed(sum)([dask.delayed(os.kill)(dask.delayed(os.getpid)(), signal.SIGKILL)])
    with pytest.raises(WorkerDied) as caught:
        value.compute(scheduler=scheduler(processes) if ours else processes)
    if ours:
        assert any("it ran these Dask tasks: 'getpid" in note for note in caught.value.__notes__)
    assert _tree().compute(scheduler=scheduler(processes) if ours else processes) == sum(range(1, 301))


def test_what_cannot_be_pickled_fails_with_the_reason(processes: Pool) -> None:
    with pytest.raises(TypeError, match="lock"):
        dask.delayed(lambda lock: 1)(dask.delayed(threading.Lock)()).compute(
            scheduler=scheduler(processes.options(timeout=30))
        )
    lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        dask.delayed(lambda: lock)().compute(scheduler=scheduler(processes))


def test_a_cycle_and_a_missing_key_are_errors(processes: Pool) -> None:
    with pytest.raises((ValueError, RuntimeError), match=r"[Cc]ycle"):
        get({"a": (int, "b"), "b": (int, "a")}, "a", pool=processes)
    with pytest.raises(ValueError, match="nothing under 'b'"):
        get({"a": (int, 1)}, "b", pool=processes)


def test_a_task_that_computes_does_so_by_itself(pool: Pool) -> None:
    def inner(number: int) -> int:
        values = [dask.delayed(lambda x: x + 1)(number) for _ in range(3)]
        return int(dask.delayed(sum)(values).compute(scheduler=get))

    values = dask.compute(*[dask.delayed(inner)(number) for number in range(6)], scheduler=scheduler(pool))
    assert values == tuple(3 * (number + 1) for number in range(6))


def test_a_pool_that_has_ended_says_so() -> None:
    pool = Pool(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        dask.delayed(int)().compute(scheduler=scheduler(pool))


def test_words_that_make_no_sense() -> None:
    with pytest.raises(TypeError, match=r"pool must be a procession\.Pool"):
        scheduler("threads")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="share must be"):
        get({}, [], share=0)
    with pytest.raises(ValueError, match="num_workers must be"):
        get({}, [], num_workers=0)


def test_ctrl_c_ends_what_runs(tmp_path: Path) -> None:
    """The program is interrupted while its tasks sleep; it ends soon, and none of its workers is left."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import os, sys, time, dask
            from procession import Pool
            from procession.adapters.dask import scheduler

            def long():
                print(os.getpid(), flush=True)
                time.sleep(600)

            with Pool(2) as pool:
                try:
                    dask.compute(*[dask.delayed(long)() for _ in range(5)], scheduler=scheduler(pool))
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
                    assert dask.delayed(lambda: 41)().compute(scheduler=scheduler(pool)) == 41
                    print("whole", flush=True)
            """
        )
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        workers = [int(child.stdout.readline()) for _ in range(2)]
        child.send_signal(signal.SIGINT)
        rest = child.communicate(timeout=60)[0]
    assert rest.splitlines() == ["interrupted", "whole"]
    assert child.returncode == 0
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_many_graphs_are_run_as_dask_runs_them(processes: Pool) -> None:
    """Random graphs, of which random keys are asked for."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        graph: dict[Any, Any] = {"k0": 1}
        for number in range(1, int(rng.integers(2, 60))):
            chosen = rng.choice(number, size=min(number, int(rng.integers(1, 4))), replace=False)
            graph[f"k{number}"] = (sum, [f"k{each}" for each in chosen])
        keys = [f"k{each}" for each in rng.choice(len(graph), size=min(len(graph), 4), replace=False)]
        assert get(graph, keys, pool=processes) == dask.get(graph, keys)


def test_one_thread_changes_the_graph() -> None:
    """Two threads compute on one pool at the same time."""
    with Pool(2) as pool:
        found: list[Any] = []
        threads = [
            threading.Thread(target=lambda: found.append(_tree().compute(scheduler=scheduler(pool)))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [sum(range(1, 301))] * 2


def test_a_batch_is_marked_while_it_runs_and_not_afterwards() -> None:
    class Task:
        key = "x"

        def __call__(self, values: Any) -> bool:
            return bool(dask_course._here.inside)

    assert dask_course.run_batch([Task()], {}, ["x"])[0] == [True]
    assert not dask_course._here.inside
