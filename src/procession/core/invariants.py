"""What holds after every step, as expressions. Tests call `PoolCore.check()` after every event; the pool never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from procession.core import lending
from procession.core.state import PoolState
from procession.core.task import Task, count_items
from procession.core.worker import MAX_OPEN_LEASES, State, Worker

if TYPE_CHECKING:
    from procession.core.pool import PoolCore


def check(core: PoolCore) -> None:
    """Raises AssertionError, naming what does not hold."""
    for worker in core.workers.values():
        check_worker(worker)
        _check_index(core, worker)
    _check_heirs(core)
    _check_counts(core)
    _check_places(core)
    _check_bound(core)
    _check_pins(core)
    _check_work_conserving(core)
    _check_end(core)


def check_worker(worker: Worker) -> None:
    """One worker's record agrees with itself."""
    items = worker.items
    assert worker.state is not State.GONE, "a worker that is gone is still listed"
    assert items == count_items(worker.inflight), f"{items} items owed, in hand {count_items(worker.inflight)}"
    assert all(task.size > 0 for task in worker.inflight), "a task without items is in hand"
    assert all(task.wid == worker.wid for task in worker.inflight), "a task in hand says that another worker has it"
    assert 0 <= worker.loose <= items, f"{worker.loose} of {items} items are loose"
    assert worker.state is not State.STARTING or worker.loose in (0, items), "a part of its lease was started, unready"
    assert items <= 0 or worker.open_leases, "items in hand, but no lease"
    assert len(worker.open_leases) <= MAX_OPEN_LEASES, "two open leases may bear the same number"
    assert worker.state is not State.BUSY or items > 0, "BUSY means something in hand"
    assert worker.state not in (State.IDLE, State.DRAINING) or items == 0, f"{worker.state.name} with something in hand"
    assert worker.quota is None or worker.quota >= 0 or worker.pinned, "leased more than it may run in its life"
    assert worker.pinned or not worker.pins, "something lives there, and it was never pinned"
    assert worker.usable or not worker.pins, "it goes, and has pins"
    assert not worker.pins or not worker.leaving, "it leaves, and something lives there"
    assert all(home.wid == worker.wid and home.lost is None for home in worker.pins), "a pin of another worker's"
    assert worker.mortal <= worker.unwanted.keys(), "to be ended, and nobody wants it back"
    sentence = worker.sentence
    if sentence is not None:
        assert worker.finished <= sentence.mark, "what was to end is through, and the worker is still under sentence"
        assert not sentence.executed or worker.state is State.DYING, "executed, and it lives"


def _check_index(core: PoolCore, worker: Worker) -> None:
    wid = worker.wid
    answered = not (core.far and wid in core.withdrawing)
    assert not worker.unwanted or worker.loose or not answered, "somebody waits for a withdrawal that can bring nothing"
    assert (wid in core.hungry) == worker.hungry, f"worker {wid}: hungry {worker.hungry}"
    assert (wid in core.waking) == worker.waking, f"worker {wid}: waking {worker.waking}"
    assert (wid in core.thirsty) == worker.thirsty, f"worker {wid}: thirsty {worker.thirsty}"
    assert (wid in core.holding) == worker.holding, f"worker {wid}: holding {worker.holding}"
    assert (wid in core.watched) == worker.watched, f"worker {wid}: watched {worker.watched}"
    assert (wid in core.stealable) == (worker.stealable > 0), f"worker {wid}: stealable {worker.stealable}"


def _check_heirs(core: PoolCore) -> None:
    due = 0
    for worker in core.workers.values():
        if worker.principal is not None:
            principal = core.workers[worker.principal]
            assert principal.heir == worker.wid, "an heir that its principal does not know"
            assert principal.usable, "its principal goes, and the heir does not count"
            assert not worker.items, "an heir was given something"
        assert worker.heir is None or core.workers[worker.heir].principal == worker.wid, "an heir of somebody else"
        due += worker.due
        assert not worker.due or worker.heir is not None, "it is to be replaced, and nobody will"
        assert not (worker.leaving and worker.state is State.IDLE) or worker.lent, "it leaves, is through, and stays"
    assert due <= 1, "several are replaced at once because of what they are"


def _check_counts(core: PoolCore) -> None:
    workers = core.workers
    orphans = sum(worker.state is State.ORPHANED for worker in workers.values())
    assert core.orphans == orphans, "orphans"
    assert core.width == sum(worker.usable for worker in workers.values()), "width"
    leavers = sum(worker.usable and worker.leaving and worker.heir is None for worker in workers.values())
    pinned = sum(bool(worker.pins) for worker in workers.values())
    assert core.width - leavers <= max(core.max_workers, pinned), "more workers than allowed"
    assert core.in_flight == sum(worker.items for worker in workers.values()), "in_flight"
    core.line.check()
    indices = (core.hungry, core.waking, core.thirsty, core.stealable, core.holding, core.watched, core.withdrawing)
    for index in indices:
        assert index.keys() <= workers.keys(), "a worker that is gone is still indexed"
    assert not core.out, "a command was decided and not given out"
    assert core.lent is None or core.workers[core.lent].lent, "the lent worker does not know it"
    assert sum(worker.lent for worker in workers.values()) == (core.lent is not None), "lent, and not on record"


def _check_places(core: PoolCore) -> None:
    everywhere = [id(task) for task in core.line]
    everywhere += [id(task) for queue in core.bereaved.values() for task in queue]
    everywhere += [id(task) for _, _, task in core.delayed]
    everywhere += [id(task) for worker in core.workers.values() for task in worker.inflight]
    assert len(everywhere) == len(set(everywhere)), "a task is in two places"
    assert all(task.wid is None and task.size > 0 for task in core.line), "what waits is leased or empty"


def _check_bound(core: PoolCore) -> None:
    bound = core.line.bound
    for wid, queue in bound.items():
        worker = core.workers.get(wid)
        assert worker is not None, "bound to a worker that is gone"
        assert worker.stays, "bound to a worker that does not stay"
        assert all(_is_home(worker, task) for task in queue), "bound to a worker that is not its home"
        assert all(task.size == 1 for task in queue), "a bound task of several items"
        assert not worker.lent or core.recalling, "bound to a lent worker, which is not recalled"
    assert not bound.keys() & core.hungry.keys(), "what is bound to it waits while a worker idles"
    for worker in core.workers.values():
        tied = worker.tied and worker.state is State.BUSY
        assert not tied or all(_is_home(worker, task) for task in worker.inflight), "tied to what others may run"


def _check_pins(core: PoolCore) -> None:
    assert core.pinned.keys() == {wid for wid, worker in core.workers.items() if worker.pins}, "pinned"
    for wid, queue in core.bereaved.items():
        assert wid in core.workers, "it waits for the end of a worker that is gone"
        assert not core.workers[wid].usable, "it waits for the end of a worker that goes on"
        assert all(task.home is not None and task.home.lost == wid for task in queue), "another worker's loss"
        assert all(task.size == 1 for task in queue), "bereaved, and of several items"


def _is_home(worker: Worker, task: Task) -> bool:
    return task.home is not None and task.home.wid == worker.wid


def _check_work_conserving(core: PoolCore) -> None:
    """Unless an answer is outstanding: nothing waits, and no tail lies, while a worker idles or may be started."""
    if core.recalling or core.discarding or not core.state.takes_back or (core.withdrawing and not core.far):
        return
    room = core.width < core.max_workers
    tails = [wid for wid in core.stealable if core.workers[wid].state is State.BUSY]
    assert not core.line.items or not (core.hungry or core.waking or room), "work waits while a worker idles"
    if core.withdrawing:
        return
    assert not core.hungry or not core.stealable, "a tail lies with one worker while another idles"
    assert not core.stealable or not lending.idles(core), "a tail lies with one worker while the lent one idles"
    assert not room or not tails, "a tail lies behind a running task while a worker could be started"


def _check_end(core: PoolCore) -> None:
    if not core.state.takes_back:
        assert not core.line.waiting, f"{core.state.name}, and something waits"
        assert not core.delayed, f"{core.state.name}, and something waits for its next run"
    if core.discarding:
        assert all(task.started for task in core.line), "cancelled by shutdown, and it still waits"
        assert not core.delayed, "cancelled by shutdown, and it still waits for its next run"
    if core.state is PoolState.CLOSED:
        assert len(core.workers) == core.orphans, "CLOSED with a worker"
    elif core.state is not PoolState.OPEN:
        assert len(core.workers) > core.orphans or core.line.waiting or core.delayed, (
            f"{core.state.name} with nothing left"
        )
        assert core.line.waiting or core.delayed or core.in_flight or core.bereaved or not core.width, (
            "nothing to run, and workers were not stopped"
        )
