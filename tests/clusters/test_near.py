"""What pools do on a cluster, beside what the contract suite asks, with agents in this process (testing/near.py).

What is here needs neither Ray nor Dask; what losses come to is in tests/failures/test_clusters.py.
"""

import os
import threading
from concurrent.futures import Future, wait
from typing import Any

import pytest

from procession import Pool, SpinOff, WorkerDied, engines
from procession.testing.near import NearCluster
from tests import warm
from tests.clusters import work
from tests.clusters.nearby import gate, near, pass_gate
from tests.contract.conftest import Gate
from tests.failures.kit import wait_until

PATIENCE = 60.0
kept_zygote = warm.keep()
__all__ = ["gate", "near"]


def test_a_pool_ends_while_a_place_is_waited_for(near: NearCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    class Nobody:
        where = "nowhere"
        released = 0

        def call(self, name: str, *args: Any) -> Future[Any]:
            asked.set()
            return Future()

        def release(self) -> None:
            self.released += 1

    nobody = Nobody()
    monkeypatch.setattr(near, "seat", lambda wanted: nobody)
    pool = Pool(1, backend="ray")
    future = pool.submit(work.square, 3)
    assert asked.wait(PATIENCE)
    pool.shutdown(wait=False, cancel_futures=True)
    assert not future.cancelled() or future.done()
    pool.kill_workers()
    wait([future], PATIENCE)
    assert future.done()
    assert nobody.released


# ------------------------------------------------------------------------------------------------------- what it does


def test_a_dead_workers_place_is_used_again(near: NearCluster) -> None:
    with Pool(1, backend="ray") as pool:
        pids = set()
        for _ in range(4):
            pids.add(pool.submit(os.getpid).result(PATIENCE))
            assert isinstance(pool.submit(os._exit, 3).exception(PATIENCE), WorkerDied)
        assert len(pids) == 4
    assert len(near.seats) == 1


def test_a_smaller_pool_gives_places_back(near: NearCluster, gate: Gate) -> None:
    with Pool(2, backend="ray") as pool:
        held = [pool.submit(pass_gate, *gate.paths) for _ in range(2)]
        gate.arrived(2)
        pool._engine.resize(1)
        assert not any(seat.released for seat in near.seats)  # what runs is not disturbed
        gate.open(2)
        wait(held, PATIENCE)
        wait_until(lambda: [seat.released for seat in near.seats].count(True) == 1, "one is given back")
        assert pool.submit(work.square, 3).result(PATIENCE) == 9
        pool._engine.resize(2)
        held = [pool.submit(pass_gate, *gate.paths) for _ in range(2)]
        gate.arrived(2)
        gate.open(2)
        wait(held, PATIENCE)
    assert len(near.seats) == 3


def test_a_smaller_pool_keeps_no_place_without_a_worker(near: NearCluster, gate: Gate) -> None:
    with Pool(2, backend="ray") as pool:
        held = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        assert isinstance(pool.submit(os._exit, 3).exception(PATIENCE), WorkerDied)
        assert not any(seat.released for seat in near.seats)  # it may be wanted again
        pool._engine.resize(1)
        wait_until(lambda: any(seat.released for seat in near.seats), "it is given back")
        gate.open()
        wait([held], PATIENCE)
        assert pool.submit(work.square, 3).result(PATIENCE) == 9
    assert len(near.seats) == 2


def test_late_calls_hit_no_later_worker(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    """A kill, or a withdrawal, that arrives when the place has its next worker."""
    held: list[threading.Event] = []
    arrived = threading.Event()

    def delay(name: str) -> None:
        if name == "kill" and not held:
            held.append(threading.Event())
            arrived.set()
            held[0].wait(PATIENCE)

    near = NearCluster(delay=delay)
    monkeypatch.setattr(engines, "connect", lambda backend, address: near)
    with Pool(1, backend="ray") as pool:
        first = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        pid = pool.submit  # the next task waits until the place is free
        assert pid is not None
        killer = threading.Thread(target=first.cancel)
        killer.start()
        assert arrived.wait(PATIENCE)
        gate.open()  # it ends by itself, before the kill arrives
        second = pool.submit(pass_gate, *gate.paths)
        wait([first], PATIENCE)
        gate.arrived()
        held[0].set()
        killer.join(PATIENCE)
        gate.open()
        assert second.exception(PATIENCE) is None or isinstance(second.exception(), WorkerDied)
        assert pool.submit(work.square, 5).result(PATIENCE) == 25
    near.join()


def test_what_is_shared_goes_once(near: NearCluster) -> None:
    with Pool(2, backend="ray") as pool:
        table = pool.share(list(range(100_000)))
        assert set(pool.imap(len, [table] * 300)) == {100_000}
        driver: Any = pool._engine._driver
        assert near.parcels == 1
        assert len(driver.parcels) == 1
        del table
        until_empty(pool, driver.parcels)


def until_empty(pool: Pool, parcels: dict[int, Any]) -> None:
    for _ in range(1000):
        pool.submit(work.square, 1).result(PATIENCE)
        if not parcels:
            return
    raise AssertionError("what nobody has any more is kept")


def test_what_tasks_print_and_log_arrives(near: NearCluster, capfd: pytest.CaptureFixture[str]) -> None:
    with Pool(1, backend="ray") as pool:
        pool.submit(print, "said").result(PATIENCE)
        assert "said" in capfd.readouterr().out


def test_a_task_knows_its_cluster(near: NearCluster) -> None:
    with Pool(1, backend="ray") as pool:
        assert pool.submit(work.environment, "A_CLUSTER_NEARBY").result(PATIENCE) == "1"


def test_resources_have_workers_of_their_own(near: NearCluster) -> None:
    with Pool(1, backend="ray") as pool:
        lit = pool.options(resources={"lamp": 1})
        assert lit.submit(work.square, 3).result(PATIENCE) == 9
        assert pool.submit(work.square, 4).result(PATIENCE) == 16
        assert lit.options(resources={"lamp": 1, "CPU": 1}).submit(work.square, 5).result(PATIENCE) == 25
        found = [dict(seat.wanted.resources) for seat in near.seats]
        assert found == [{"CPU": 1.0, "lamp": 1}, {"CPU": 1.0}]
        assert pool.stats().done == 3


# -------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
def test_resources_are_a_clusters(backend: Any) -> None:
    with Pool(1, backend=backend) as pool, pytest.raises(TypeError, match='resources is an option of backend="ray"'):
        pool.options(resources={"GPU": 1})
    with pytest.raises(TypeError, match='resources is an option of backend="ray"'):
        SpinOff(work.square, backend=backend, resources={"GPU": 1})


def test_bad_resources(near: NearCluster) -> None:
    with Pool(1, backend="ray") as pool:
        with pytest.raises(TypeError, match="resources must be a dict"):
            pool.options(resources=3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="must be an amount"):
            pool.options(resources={"GPU": -1})
        with pytest.raises(TypeError, match=r'use resources=\{"CPU"'):
            pool.options(num_gpus=1)  # type: ignore[call-overload]


@pytest.mark.parametrize("word", ["max_memory_per_child", "max_age_per_child", "mp_context"])
def test_words_of_one_machine_are_refused(near: NearCluster, word: str) -> None:
    import multiprocessing

    value = multiprocessing.get_context("spawn") if word == "mp_context" else 1 << 29
    with pytest.raises(TypeError, match=f"{word} is an option of"):
        Pool(1, backend="dask", **{word: value})  # type: ignore[arg-type]


def test_a_width_is_not_found_there(near: NearCluster) -> None:
    with pytest.raises(ValueError, match='max_workers="auto" measures this machine'):
        Pool("auto", backend="ray")


def test_an_address_is_a_clusters() -> None:
    with pytest.raises(TypeError, match="address is an option of"):
        Pool(1, address="auto")


@pytest.mark.parametrize(("word", "module"), [("ray", "ray"), ("dask", "distributed")])
def test_the_extra_is_named(word: Any, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'procession\[{word}\]'"):
        Pool(1, backend=word)
