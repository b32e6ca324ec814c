"""How pools take it when places of a cluster are lost, or the cluster; with agents in this process (testing/near.py).

What is here needs neither Ray nor Dask. Each law of driver/far_loop.py and far_channel.py has its story.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import pytest

from procession import ClusterLost, Pool, SpinOff, WorkerDied, WorkerStartError, engines
from procession.backends.cluster import SeatLost
from procession.testing.near import NearCluster
from tests import warm
from tests.clusters import work
from tests.contract.conftest import Gate

PATIENCE = 60.0
kept_zygote = warm.keep()


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> Iterator[NearCluster]:
    """The cluster that pools of this test find."""
    made = NearCluster()
    monkeypatch.setattr(engines, "connect", lambda backend, address: made)
    yield made
    made.join()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path)
    yield made
    made.open(1000)
    made.close()


def pass_gate(arrivals: str, tickets: str) -> None:
    with open(arrivals, "wb", buffering=0) as file:
        file.write(b".")
    with open(tickets, "rb", buffering=0) as file:
        file.read(1)


# ------------------------------------------------------------------------------------------------------------- losses


def test_a_lost_place_costs_what_was_in_its_hands(near: NearCluster, gate: Gate) -> None:
    with Pool(1, backend="ray") as pool:
        running = pool.submit(pass_gate, *gate.paths)
        gate.arrived()
        waiting = [pool.submit(work.square, n) for n in range(50)]
        near.lose_seat(0, "Ray says: somebody has killed it")
        error = running.exception(PATIENCE)
        assert isinstance(error, WorkerDied)
        assert (error.exitcode, error.__notes__) == (None, ["Ray says: somebody has killed it"])
        assert [future.result(PATIENCE) for future in waiting] == [n * n for n in range(50)]
        assert len(near.seats) == 2, "a lost place is replaced, and no other is taken"


def test_with_retries_it_runs_again_elsewhere(near: NearCluster, gate: Gate) -> None:
    with Pool(1, backend="ray") as pool:
        running = pool.options(retries=1).submit(pass_gate, *gate.paths)
        gate.arrived()
        near.lose_seat(0)
        gate.arrived()
        gate.open()
        assert running.result(PATIENCE) is None


def test_what_was_done_and_not_told_may_be_lost_but_starts_once(near: NearCluster, tmp_path: Path) -> None:
    """Short tasks travel together; who is lost with some of them has perhaps done some."""
    path = str(tmp_path / "log")
    with Pool(1, backend="ray") as pool:
        list(pool.map(work.square, range(2000)))  # what a task costs is known now
        futures = [pool.submit(work.note, path, n) for n in range(3000)]
        futures[100].result(PATIENCE)
        near.lose_seat(0)
        errors = [future.exception(PATIENCE) for future in futures]
    lost = {n for n, error in enumerate(errors) if error is not None}
    assert {type(errors[n]) for n in lost} <= {WorkerDied}
    started = [int(line) for line in open(path)]  # noqa: SIM115
    assert len(started) == len(set(started))
    assert set(range(3000)) - lost <= set(started)


def test_a_lost_cluster_fails_everything_with_why(near: NearCluster, gate: Gate) -> None:
    pool = Pool(1, backend="ray")
    running = pool.submit(pass_gate, *gate.paths)
    gate.arrived()
    waiting = [pool.submit(work.square, n) for n in range(10)]
    stream = pool.imap(work.square, range(100))
    near.lose()
    for future in (running, *waiting):
        with pytest.raises(ClusterLost, match="does not answer any more"):
            future.result(PATIENCE)
    with pytest.raises(ClusterLost):
        list(stream)
    with pytest.raises(ClusterLost):
        pool.submit(work.square, 1)
    pool.shutdown()


def test_a_lost_cluster_ends_a_spinoff(near: NearCluster, gate: Gate) -> None:
    with pytest.raises(ClusterLost), SpinOff(pass_gate_of(gate), backend="ray", workers=1) as spin:
        spin.put_many(range(5))
        gate.arrived()
        near.lose()
        list(spin)


def pass_gate_of(gate: Gate) -> Callable[[int], None]:
    arrivals, tickets = gate.paths

    def passed(_n: int) -> None:
        pass_gate(arrivals, tickets)

    return passed


def test_places_that_cannot_be_had_break_the_pool(near: NearCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three starts that fail in a row: as on one machine."""

    def refuse(_wanted: Any) -> Any:
        raise SeatLost("procession is not installed there", again=False)

    monkeypatch.setattr(near, "seat", refuse)
    with Pool(1, backend="ray") as pool:
        future = pool.submit(work.square, 3)
        with pytest.raises(WorkerStartError, match="not installed there"):
            future.result(PATIENCE)


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
        assert "lamp" not in pool.dump()


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
