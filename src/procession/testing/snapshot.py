"""Copying a pool core, and a name for its state under which equal states meet.

What makes two states equal, and why that is sound (whatever can follow one can follow the other, up to names):

* Workers have no names: the core never compares numbers of workers, it only looks them up. What decides among them is
  their place in the core's ordered sets, which is part of the key; so workers may be sorted by what they are.
* Items have no names: they are numbered in the order in which the key meets them. One that nobody holds any more
  cannot be heard of again; its fate was checked when it was sealed.
* Lease numbers count from the next one to be given, as the bytes that bear them wrap around in any case.
* `calm` is only asked whether it is 0, and the models here are too small for it to be counted down.
* `barren` is only compared with a limit that these models never come near.
* Of times, only the order matters, and only while something waits for one; those who wait for their first run have come
  together in these models.
* Keys, and items that no one was told of yet, have names: these models have few.
* Stories, and who was buried when, decide nothing.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import cast

from procession.core.line import Lane, Line
from procession.core.pool import PoolCore
from procession.core.queue import TaskQueue
from procession.core.task import Task
from procession.core.worker import Worker
from procession.testing.model import DONE, FAILED, ModelTask, Process

Names = dict[int, int]
_NOWHERE: Names = {}
Key = tuple[object, ...]


def copy_core(core: PoolCore, memo: dict[int, ModelTask]) -> PoolCore:
    """A core of its own with tasks of its own; `memo` maps the id of each old task to its copy."""
    new = PoolCore.__new__(type(core))
    vars(new).update(vars(core))
    new.line = _copy_line(core.line, memo)
    new.delayed = [(due, number, copy_tasks([task], memo)[0]) for due, number, task in core.delayed]
    new.sweeps = core.sweeps.copy()
    new.watched = core.watched.copy()
    new.workers = {wid: _copy_worker(worker, memo) for wid, worker in core.workers.items()}
    new.hungry, new.waking = core.hungry.copy(), core.waking.copy()
    new.thirsty, new.stealable = core.thirsty.copy(), core.stealable.copy()
    new.holding = core.holding.copy()
    new.withdrawing = core.withdrawing.copy()
    new.pinned = core.pinned.copy()
    new.bereaved = {wid: deque[Task](copy_tasks(queue, memo)) for wid, queue in core.bereaved.items()}
    new.out = []
    new.graves = core.graves.copy()
    return new


def _copy_line(line: Line, memo: dict[int, ModelTask]) -> Line:
    new = Line()
    new.items, new.stamped = line.items, line.stamped
    new.lanes = {}
    for priority, lane in line.lanes.items():
        copied = new.lanes[priority] = Lane(priority)
        copied.tasks.extend(copy_tasks(lane.tasks, memo))
        copied.stamps.extend(lane.stamps)
        if lane.tasks is line.front:
            new.front = copied.tasks
    new.bound = {wid: deque[Task](copy_tasks(queue, memo)) for wid, queue in line.bound.items()}
    return new


def copy_tasks(tasks: Iterable[object], memo: dict[int, ModelTask]) -> list[ModelTask]:
    """Copies; of a task that was copied before, the same one."""
    copies = []
    for task in tasks:
        new = memo.get(id(task))
        if new is None:
            new = memo[id(task)] = cast(ModelTask, task).copy()
        copies.append(new)
    return copies


def _copier(slots: Iterable[str]) -> Callable[[object, object], None]:
    """A function that copies these attributes of its second argument to its first: a walk copies a million workers."""
    made: dict[str, Callable[[object, object], None]] = {}
    exec("def copied(new, old):\n" + "".join(f"    new.{name} = old.{name}\n" for name in slots), made)
    return made["copied"]


_copy_slots = _copier(Worker.__slots__)


def _copy_worker(worker: Worker, memo: dict[int, ModelTask]) -> Worker:
    new = Worker.__new__(type(worker))
    _copy_slots(new, worker)
    new.inflight = TaskQueue(copy_tasks(worker.inflight, memo))
    new.open_leases, new.story = worker.open_leases.copy(), worker.story.copy()
    new.unwanted, new.mortal = {}, set()
    for each in worker.unwanted.values():
        known = copy_tasks([each], memo)[0] if isinstance(each, ModelTask) else each
        new.unwanted[id(known)] = known
        if id(each) in worker.mortal:
            new.mortal.add(id(known))
    if worker.sentence is not None:
        new.sentence = copy.copy(worker.sentence)
    return new


def core_key(core: PoolCore) -> Key:
    """What the core knows beside its workers and tasks."""
    return (
        core.state.value,
        core.max_workers,
        core.wanted_workers,
        core.discarding,
        core.calm > 0,
        core.failed_starts,
        core.look_ns > 0,
        core.reason is not None,
        core.lent is not None,
        core.recalling,
        len(core.out),
    )


def order(
    core: PoolCore, processes: Mapping[int, Process], beside: Callable[[int], Key] = lambda wid: ()
) -> list[tuple[Key, int]]:
    """The workers, sorted by what can be said of them without naming anything; with that.

    `beside`: what else there is to be said of a worker.
    """
    places = [
        {wid: place for place, wid in enumerate(index)} if index else _NOWHERE
        for index in (
            *(core.hungry, core.waking, core.thirsty, core.stealable, core.watched, core.withdrawing),
            *(core.line.bound, core.bereaved),
        )
    ]
    found: list[tuple[Key, int]] = []
    for wid in core.workers.keys() | processes.keys():
        worker, process = core.workers.get(wid), processes.get(wid)
        known: Key = ()
        if worker is not None:
            known = (
                worker.state.value,
                worker.items,
                worker.loose,
                -1 if worker.quota is None else worker.quota,
                worker.lease_items,
                len(worker.open_leases),
                worker.lent,
                worker.tied,
                worker.look_ns,
                _place_key(worker),
                *_sentence_key(worker),
                *[place.get(wid, -1) for place in places],
            )
        there: Key = ()
        if process is not None:
            there = (
                int(process.phase),
                process.condemned,
                process.blamed is not None,
                len(process.results),
                len(process.frames),
                len(process.tokens),
            )
        found.append(((known, there, beside(wid)), wid))
    found.sort()
    return found


def _sentence_key(worker: Worker) -> tuple[int, ...]:
    """What it is looked at for is only measured within one action of the model: see `Happening.overdue`."""
    sentence = worker.sentence
    if sentence is None:
        return (-1, 0, 0, 0)
    at = sentence.mark - worker.finished
    return (at, sentence.cause.value, sentence.until is not None, sentence.executed)


def _place_key(worker: Worker) -> tuple[bool, ...]:
    """What becomes of it; who is whose heir is said by `World.key`, where workers have ranks."""
    heir, principal = worker.heir is not None, worker.principal is not None
    return (heir, principal, worker.due, worker.leaving, worker.renewed)


def heirs(core: PoolCore, ranks: dict[int, int]) -> list[tuple[int, int]]:
    """Whose place is taken by whom."""
    found = [(worker.principal, worker.wid) for worker in core.workers.values()]
    return [(ranks.get(principal, -1), ranks[wid]) for principal, wid in found if principal is not None]


def line_key(core: PoolCore, names: Names) -> Key:
    """What waits, and what waits for its time. Of times, only which is earlier matters."""
    line = core.line
    times = {stamp for lane in line.lanes.values() for stamp in lane.stamps}
    place = {stamp: number for number, stamp in enumerate(sorted(times))}
    lanes = [
        (priority, tasks_key(lane.tasks, names), tuple([place[stamp] for stamp in lane.stamps]))
        for priority, lane in sorted(line.lanes.items())
    ]
    delayed = sorted(core.delayed, key=lambda each: each[:2])
    return (tuple(lanes), tasks_key([task for _, _, task in delayed], names), len(core.sweeps))


def tasks_key(tasks: Collection[object], names: Names) -> Key:
    """Tasks with what a cancel may ask of them."""
    if not tasks:
        return ()
    return tuple(
        [
            (
                task.chunk,
                -1 if task.started is None else task.started,
                task.cancelled,
                task.grain,
                task.wid is not None,
                task.tries,
                task.due is not None,
                task.final,
                -1 if task.home is None else task.home.first,
                *[names.setdefault(item, len(names)) for item in task.items],
            )
            for task in cast("Collection[ModelTask]", tasks)
        ]
    )


def worker_key(worker: Worker | None, names: Names) -> Key:
    """What a worker has in hand."""
    if worker is None:
        return ()
    if not worker.unwanted:
        return (tasks_key(worker.inflight, names), (), ())
    unwanted = [
        [id(task) == each or (task.group is not None and id(task.group) == each) for task in worker.inflight]
        for each in worker.unwanted
    ]
    mortal = tuple([each in worker.mortal for each in worker.unwanted])
    return (tasks_key(worker.inflight, names), tuple(map(tuple, unwanted)), mortal)


def process_key(process: Process | None, newest: int, modulus: int, names: Names) -> Key:
    """A process and its pipes."""
    if process is None:
        return ()

    def name(item: int) -> int:
        return item if item < 0 else names.setdefault(item, len(names))

    def age(mark: int) -> int:
        return (newest - mark) % modulus

    current = process.current
    return (
        tuple(
            [
                () if frame is None else (age(frame[0]), tuple([tuple(map(name, spec)) for spec in frame[1]]))
                for frame in process.frames
            ]
        )
        if process.frames
        else (),
        tuple(map(age, process.tokens)) if process.tokens else (),
        tuple([(kind, name(a), name(b)) if kind in (DONE, FAILED) else (kind, a) for kind, a, b in process.results])
        if process.results
        else (),
        () if current is None else (age(current[0]), tuple([(name(a), name(b)) for a, b in current[1]])),
        process.done,
        -1 if process.held is None else age(process.held),
        () if process.running is None else tuple(map(name, process.running)),
    )
