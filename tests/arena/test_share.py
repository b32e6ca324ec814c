"""What is shared travels once a worker, and is there as long as its handle, or a task that has it."""

import copy
import gc
import os
import pickle
from typing import Any

import numpy as np
import pytest

from procession import PicklingError, Pool, SpinOff, WorkerDied
from procession.transport import aside
from tests.arena import work
from tests.arena.conftest import MB, MakePool, taken
from tests.failures.kit import wait_until


class Model:
    """Says how often it was rebuilt in a process."""

    loads = 0

    def __init__(self, size: int) -> None:
        self.weights = np.full(size, 2.0)
        self.name = "model"

    def __setstate__(self, state: Any) -> None:
        Model.loads += 1
        self.__dict__.update(state)


def use(model: Model, x: float) -> tuple[int, int, float]:
    return os.getpid(), Model.loads, float(model.weights[0] * x)


def use_inside(value: dict[str, Any]) -> tuple[str, bool]:
    return value["model"].name, bool(value["model"].weights.flags.writeable)


def known() -> int:
    return len(aside.known)


@pytest.mark.parametrize("size", [1, MB])
def test_each_worker_loads_it_once(make_pool: MakePool, method: Any, size: int) -> None:
    pool = make_pool(2, mp_context=method)
    model = pool.share(Model(size))
    found = [pool.submit(use, model, x).result() for x in range(10)]
    found += pool.map(use, [model] * 20, range(20))
    assert {loads for _, loads, _ in found} == {1}
    assert [value for _, _, value in found] == [2.0 * x for x in range(10)] + [2.0 * x for x in range(20)]
    assert pool.options(retries=1).submit(use, model, 1).result()[1] == 1
    assert taken() <= 2


def test_it_may_be_a_part_of_an_argument_and_its_arrays_are_read_only(pool: Pool) -> None:
    model = pool.share(Model(MB))
    assert pool.submit(use_inside, {"model": model}).result() == ("model", False)
    inner = pool.share({"model": model})
    assert pool.submit(use_inside, inner).result() == ("model", False)


def test_through_a_spin_off_and_another_pool(make_pool: MakePool) -> None:
    model = make_pool(1).share(Model(MB))
    with SpinOff(use_inside) as spin:
        spin.put({"model": model})
    assert list(spin) == [("model", False)]
    assert make_pool(1).submit(use, model, 2).result()[2] == 4


def test_a_worker_that_is_new_gets_it_too(pool: Pool) -> None:
    model = pool.share(Model(MB))
    pool.submit(use, model, 1).result()
    with pytest.raises(WorkerDied):
        pool.submit(work.die, model).result()
    assert pool.submit(use, model, 1).result()[1] == 1


def test_a_dropped_handle_frees_everything(pool: Pool) -> None:
    model = pool.share(Model(MB))
    assert pool.submit(use, model, 1).result()[1] == 1
    assert pool.submit(known).result() == 1
    assert taken() == 2
    del model
    gc.collect()
    assert taken() <= 2
    wait_until(lambda: pool.submit(known).result() == 0, "the worker has dropped it")
    wait_until(lambda: taken() == 0, "its memory is free")


def test_the_handle_may_go_before_the_task_has_run(pool: Pool) -> None:
    model = pool.share(Model(MB))
    futures = [pool.submit(use, model, x) for x in range(5)]
    del model
    gc.collect()
    assert [future.result()[2] for future in futures] == [2.0 * x for x in range(5)]


def test_one_that_is_gone_is_a_clear_error(pool: Pool) -> None:
    model = pool.share(Model(1))
    codec: Any = pool._engine.codec  # type: ignore[attr-defined]
    body = bytes(codec.encode(codec.function(use), (model, 1), {}))
    del model
    gc.collect()
    pool.submit(abs, 1).result()
    taken()
    with pytest.raises(RuntimeError, match="gone"):
        pool.submit(load, body).result()


def load(body: bytes) -> Any:
    return pickle.loads(body)


def test_without_room_it_travels_with_each_task(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESSION_ARENA_BYTES", "0")
    pool = make_pool(1)
    model = pool.share(Model(MB))
    assert [pool.submit(use, model, x).result()[2] for x in range(3)] == [0.0, 2.0, 4.0]


@pytest.mark.parametrize("backend", ["threads", "inline"])
def test_in_this_process_it_is_the_object(backend: Any) -> None:
    model = Model(1)
    with Pool(1, backend=backend) as pool:
        assert pool.share(model) is model
        assert pool.submit(use, pool.share(model), 3).result()[2] == 6


def test_the_handle_says_what_it_is(pool: Pool) -> None:
    model = pool.share(Model(1))
    with pytest.raises(AttributeError, match="stands for an object"):
        _ = model.weights
    with pytest.raises(TypeError, match="argument of a task"):
        pickle.dumps(model)
    assert copy.deepcopy([model])[0] is model


def test_what_does_not_pickle_cannot_be_shared(pool: Pool) -> None:
    with pytest.raises(PicklingError, match="what is to be shared"):
        pool.share(open(os.devnull))  # noqa: SIM115


def test_after_the_end_of_the_pool(make_pool: MakePool) -> None:
    pool = make_pool(1)
    model = pool.share(Model(MB))
    assert pool.submit(use, model, 1).result()[1] == 1
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(use, model, 1)
    assert make_pool(1).submit(use, model, 1).result()[1] == 1
