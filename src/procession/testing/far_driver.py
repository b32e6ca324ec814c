"""The driver's half of a model with far workers: the real `FarChannel`, and of `FarDriver` what decides."""

from __future__ import annotations

import pickle
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from procession.core import commands, events
from procession.driver.agent_wire import FAILED as NOT_STARTED_ENTRY
from procession.driver.agent_wire import GONE as GONE_ENTRY
from procession.driver.agent_wire import SAID, Entry, Report
from procession.driver.far_channel import FarChannel
from procession.driver.far_loop import FarDriver
from procession.testing.far_model import BACK, BEGUN, GONE, LANDED, LOOKED, NOT_STARTED, THEN, Call, FarProcess, Way
from procession.testing.model import DONE, ENDED, FAILED, FATAL, READY, ModelTask, Result
from procession.testing.snapshot import Key, Names, copy_tasks, tasks_key
from procession.transport import frames

if TYPE_CHECKING:
    from procession.core.pool import PoolCore
    from procession.core.task import Task

ANSWERS = {BEGUN: "start", BACK: "withdraw", LANDED: "lease", LOOKED: "look"}
FRAMES = {READY: frames.READY, FATAL: frames.START_FAILED, DONE: frames.OUTCOMES, ENDED: frames.LEASE_END}
NO_PROCESS = pickle.dumps(OSError("no process"))


class ModelChannel(FarChannel):
    """The real one, with leases that a model's worker understands."""

    def copy(self, memo: dict[int, ModelTask]) -> ModelChannel:
        """Another one, the same."""
        new = ModelChannel.__new__(ModelChannel)
        vars(new).update(vars(self))
        new.outbox = type(self.outbox)((number, copy_tasks(tasks, memo), size) for number, tasks, size in self.outbox)
        new.words = self.words.copy()
        new.answers = [answer.copy(memo) for answer in self.answers]  # type: ignore[attr-defined]
        new.station = self.station.copy()  # type: ignore[attr-defined]
        return new

    def join(self, driver: Any, waited_for: bool) -> None:
        """See `ModelDriver.join`."""
        self._hears = self._far = driver
        self.station.channel = self if driver is not None and waited_for else None
        for answer in self.answers:
            answer.driver = driver  # type: ignore[attr-defined]

    def lease_frames(self, mark: int, tasks: Any) -> list[Any]:
        """What the worker reads."""
        return [(mark, tuple([task.spec() for task in tasks]))]

    def tell(self, kind: int, payload: Any) -> None:
        """What a worker has published."""
        self._hears.hear(self.wid, payload)  # type: ignore[attr-defined]

    def hear(self, results: Sequence[Result], come: int) -> None:
        """A report with these has come, as `Station` hands it over, made when lease `come` was the latest there."""
        kind, number, _ = results[0]
        entries: list[Entry] = []
        if kind in FRAMES or kind == FAILED:
            entries.append((SAID, FRAMES.get(kind, frames.OUTCOMES), results))
        elif kind == GONE:
            entries.append((GONE_ENTRY, (1, None, None, number, "", None, None)))
        elif kind == NOT_STARTED:
            entries.append((NOT_STARTED_ENTRY, NO_PROCESS, bool(number), (0, None, None, 0, "", None, None)))
        report = Report(1, entries, number if kind == BACK else -1, come)
        self.take(report)
        if kind in ANSWERS:
            getattr(self, THEN[ANSWERS[kind]])(report)

    def key(self, newest: int, names: Names) -> Key:
        """For `World.key`."""
        return (
            *(self.is_ready, self.heard_of, self._out, self._withdrawing, self._looking, self._moved),
            *(self._calls - self._come, self._flying, self._left),
            tuple([(newest - number, size) for number, _, size in self.outbox]),
            tuple([tasks_key([answer.task], names) for answer in self.answers]),  # type: ignore[attr-defined]
        )


class Answer:
    """Called when a cancel has been decided."""

    def __init__(self, driver: ModelDriver | None, task: ModelTask) -> None:
        self.driver = driver
        self.task = task

    def copy(self, memo: dict[int, ModelTask]) -> Answer:
        """Another one, the same."""
        return Answer(None, copy_tasks([self.task], memo)[0])

    def __call__(self) -> None:
        assert self.driver is not None
        self.driver.world.answer_cancel(self.task)


class FarHand(Protocol):
    """The world that a `ModelDriver` is in."""

    core: PoolCore
    now: int
    processes: dict[int, FarProcess]

    def step(self, event: events.Event) -> None: ...
    def tell_core(self, event: events.Event) -> None: ...
    def perform(self) -> None: ...
    def hear_results(self, wid: int, results: Sequence[Result]) -> None: ...
    def is_gone(self, channel: FarChannel, event: events.Lost) -> None: ...
    def answer_cancel(self, asked: ModelTask) -> None: ...
    def looked_late(self, wid: int, moved: bool) -> None: ...


class _Told:
    """A core that is stepped by the world, which keeps what is to be done."""

    def __init__(self, world: FarHand) -> None:
        self._world = world

    def step(self, event: events.Event) -> tuple[()]:
        self._world.tell_core(event)
        return ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.core, name)


class _Nothing:
    """What the driver notes, and decides nothing by."""

    def add(self, _each: object) -> None: ...
    def discard(self, _each: object) -> None: ...
    def setdefault(self, _each: object, _value: object) -> None: ...
    def pop(self, _each: object, _other: object = None) -> None: ...
    def __len__(self) -> int:
        return 0


class ModelDriver:
    """What of the real driver decides about workers on a cluster: its own functions, with a model around them."""

    starting: Any = _Nothing()
    killed: Any = _Nothing()
    ran_ns: Any = _Nothing()
    moved_at: Any = _Nothing()
    asked: Any = _Nothing()
    _stations: Any = _Nothing()
    parcels: Any = types.MappingProxyType({})
    config: Any = None
    kill_signal = 9

    world: FarHand
    core: Any

    def __init__(self) -> None:
        self.todo: list[commands.Command] = []  # nothing: see `_Told`
        self.channels: dict[int, ModelChannel] = {}
        self.start_errors: dict[int, BaseException] = {}
        self._free: list[Way] = []
        self.forsaken: tuple[int, ...] = ()  # workers that were not waited for

    def copy(self, memo: dict[int, ModelTask]) -> ModelDriver:
        """Another one, the same."""
        new = type(self)()
        new.channels = {wid: channel.copy(memo) for wid, channel in self.channels.items()}
        new.start_errors = self.start_errors.copy()
        new._free = [way.copy() for way in self._free]
        new.forsaken = self.forsaken
        return new

    def join(self, world: FarHand | None) -> None:
        """Who refers to whom, while something happens: None at rest, where states are kept and no cycle may be."""
        if world is None:
            del self.world, self.core
        else:
            self.world, self.core = world, _Told(world)
        for channel in self.channels.values():
            channel.join(None if world is None else self, channel.wid not in self.forsaken)

    @property
    def keeper(self) -> ModelDriver:
        """See `Performer`."""
        return self

    inbox = keeper

    # the real ones
    gone: Any = FarDriver.gone
    not_started: Any = FarDriver.not_started
    unowned: Any = FarDriver.unowned
    withdrawn: Any = FarDriver.withdrawn
    kill: Any = FarDriver.kill
    stop: Any = FarDriver._stop
    _do_without: Any = FarDriver._do_without
    withdraw: Any = FarDriver._answer_withdrawal
    look: Any = FarDriver.look
    looked_at: Any = FarDriver.looked_at
    seat_lost: Any = FarDriver._seat_lost
    take_request: Any = FarDriver._take_request
    _answer: Any = FarDriver._answer
    _free_again: Any = FarDriver._free_again
    _move: Any = FarDriver._move
    _let_go: Any = FarDriver._let_go
    _give_back: Any = FarDriver._give_back

    def patience_with(self, wid: int) -> None:
        """Agents of a model answer, or are lost."""

    def spawn(self, wid: int) -> None:
        """See `FarDriver._spawn`."""
        station: Any = self._free.pop() if self._free else Way()
        self.channels[wid] = channel = ModelChannel(wid, None, self, station)  # type: ignore[arg-type]
        station.ask("start", wid, self.config, then=channel.begun)

    def step(self, event: events.Event) -> None:
        """See `Performer`."""
        self.world.step(event)

    def perform(self) -> None:
        """See `Performer`."""
        self.world.perform()

    def lost(self, channel: FarChannel, unowned: int, exitcode: int | None) -> None:
        """See `Supervisor.lost`."""
        self.world.is_gone(channel, events.Lost(channel.wid, unowned, exitcode))
        self.close_channel(channel)

    def close_channel(self, channel: FarChannel) -> None:
        """See `FarDriver`."""
        FarDriver.close_channel(self, channel)  # type: ignore[arg-type]
        self.world.processes.pop(channel.wid, None)

    def forget_killed(self, wid: int) -> None:
        """See `Killing`."""

    def tell_time(self) -> None:
        """See `Keeper`."""
        self.world.step(events.Clock(self.world.now))

    def looked(self, wid: int, moved: bool) -> None:
        """See `Keeper`."""
        if wid in self.world.core.workers:
            self.world.looked_late(wid, moved)

    def put(self, entry: Any) -> None:
        """See `Inbox`: this worker is not waited for."""
        self.forsaken += (entry.args[0].wid,)

    # what a channel tells (far_channel.FarHears)

    def hear(self, wid: int, results: Sequence[Result]) -> None:
        """What it has published."""
        self.world.hear_results(wid, results)

    def lease_ended(self, wid: int, items: int, busy_ns: int) -> None:
        """See `channel.Hears`."""
        self.world.step(events.LeaseEnded(wid, items, busy_ns))

    def boards_of(self, _station: object) -> bytes:
        """See `FarHears`."""
        return b""

    def free_key(self) -> Key:
        """The places without a worker."""
        return tuple([(way.gone, tuple([call[0] for call in way.calls])) for way in self._free])


def lying(channel: FarChannel, process: FarProcess) -> int:
    """Items that were handed to this worker, and that it has not taken, wherever they are."""
    calls: tuple[Call, ...] = channel.station.calls  # type: ignore[attr-defined]
    coming = sum(len(call[3]) for call in calls if call[0] == "lease" and call[2] > process.revoked)
    return len(process.tokens) + coming + sum(size for _, _, size in channel.outbox)


def items_of(tasks: Sequence[Task]) -> set[int]:
    """The items of these."""
    return {item for task in tasks for item in task.items}  # type: ignore[attr-defined]
