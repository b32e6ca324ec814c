"""The contract between the public face and what runs the work; one suite runs on every implementation.

An engine is one pool's machinery. The face (Pool, SpinOff, the streams) makes tasks and posts them; the engine answers
each exactly once: a `CallFuture` by its own resolution, a chunk through its `Run`.

Who calls what, on which thread:
    post, cancel_group, shutdown, kill, stats   any thread, the main thread's signal handlers included; they append and
                                                ring, they never step the core
    Run.items_done, Run.items_dropped           the engine's thread (inline: the caller's); short, and never raising:
                                                user code is never run there
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from procession.record import frozen, record

TYPE_CHECKING = False  # see `lean`
if not TYPE_CHECKING:
    from procession.lean import NamedTuple, Protocol
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Protocol

    from procession.backends.scripts import Scene, Script
    from procession.core.policy import Profile
    from procession.core.rules import Rules
    from procession.core.task import Task


class Capabilities(NamedTuple):
    """What a backend can do; the contract suite asks of each only what it claims."""

    name: str
    can_kill: bool
    """A running task can be ended from outside."""
    owns_workers: bool
    """Its workers are started, counted and stopped by us."""
    pickles: bool
    """Arguments and results are copied by pickling."""
    in_caller: bool
    """Tasks run in the thread that hands them over."""


@record
class WorkerConfig:
    """What a worker does before its first task and after its last."""

    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    setup: Callable[[], object] | None = None
    beside: int = 0
    """So many workers of other engines share the CPUs with those of this one."""
    resources: Mapping[str, float] | None = None
    """What each worker is to have of a cluster."""


@frozen
class AutoStats:
    """Why a pool with `max_workers="auto"` has as many workers as it has."""

    cpus: int
    """It begins with so many, and never has fewer."""
    cap: int
    """It never has more."""
    on_cpu: float
    """The part of the time that a worker that runs something is on a CPU, of late; programs that it has started too."""
    in_line: float
    """The part of that time that it could go on, and has no CPU. The rest it waits for something else."""
    why: str
    """What was found when the number was last changed, or why it stays."""


@frozen
class EngineStats:
    """Numbers of one engine at one moment."""

    workers: int
    idle: int
    busy: int
    starting: int
    pending: int
    in_flight: int
    done: int
    failed: int
    died: int
    timeouts: int = 0
    retries: int = 0
    abandoned: int = 0
    quarantined: tuple[BaseException, ...] = ()
    auto: AutoStats | None = None


class Function(Protocol):
    """A callable made ready for a backend; what it is beyond this is the backend's business."""

    name: str
    profile: Profile
    hides: bool
    """Its last argument is none that a user has given (`seeding.py`)."""


class Run(Protocol):
    """A stream of items under one function: the destination of its chunks' outcomes."""

    function: Function
    whole: bool
    """True: a body is the one argument itself, of a type that `Engine.plain` admits; else what `Engine.encode` made."""
    cancelled: bool
    """No item of it is to start any more."""
    rules: Rules | None
    """What was asked for its items, if anything."""

    def items_done(self, start: int, outcomes: list[Any]) -> None:
        """Items `start`, `start + 1`, ... have these outcomes: a value, or a `Raised`. May come in any order.

        The list belongs to the run from here on, which empties it as it hands values over.
        """
        ...

    def items_dropped(self, start: int, count: int) -> None:
        """These items will never run: the run was cancelled, or the pool shut down with cancel."""
        ...


class Engine(Protocol):
    """What a pool needs from its backend."""

    capabilities: Capabilities
    max_workers: int

    number: int
    """By which a tap knows it (tapping.py)."""
    role: tuple[str, str]
    """See `tapping.Tapped`."""

    foreign: bool
    """This is a forked child of the process that made it: there is nobody who would do its work."""

    widened: dict[Callable[[], object], None]
    """What is called when `at_once` has changed, by whatever thread; short, and never raising."""

    teardown_errors: Sequence[BaseException]
    """What the teardowns of setups raised; complete when `shutdown(wait=True)` has returned."""

    def function(
        self, fn: Callable[..., Any], name: str | None = None, with_state: bool = False, many: bool = False
    ) -> Function:
        """Make `fn` ready; cheap when asked again for the same function.

        `with_state`: the worker calls `fn(state(), *args, **kwargs)`, with what its setup gave. `many`: it is for many
        calls, as of a map; whatever kind of callable it is, it is copied once, not with each call.
        """
        ...

    def encode(
        self, function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any], around: Any = None
    ) -> object:
        """Freeze one call's arguments (pickled where the backend pickles). Raises PicklingError.

        `around`: the context variables that it is to see, as `surroundings.here` gives them for this engine.
        """
        ...

    def share(self, obj: Any) -> Any:
        """What stands for `obj` in the arguments of tasks, which get the object. Raises PicklingError."""
        ...

    def plain(self, items: Sequence[Any]) -> bool:
        """True when the items themselves may serve as bodies of a run: immutable, or never copied."""
        ...

    def post(self, tasks: Sequence[Task]) -> None:
        """Hand tasks over. Raises RuntimeError after shutdown or in a forked child, BrokenExecutor when broken."""
        ...

    def script(self, scene: Scene) -> Script:
        """How this generator is driven. Raises as `function`, `encode` and `post` do."""
        ...

    def obey(self) -> None:
        """From now on, tasks may come that have rules, or a home."""
        ...

    def cancel_group(self, group: object, kill: bool = False) -> None:
        """Nothing of this group (a Run whose `cancelled` is set already) is to start any more; `kill`: nor to go on."""
        ...

    @property
    def takes_work(self) -> bool:
        """`post` would not raise."""
        ...

    @property
    def at_once(self) -> int:
        """So many calls are worth handing over at once: one for each worker; and where it finds its width by itself and
        could have more, as many again, which shows that there is work for these."""
        ...

    def resize(self, max_workers: int) -> None:
        """At most so many workers from now on."""
        ...

    def begin(self) -> None:
        """Start what the first task would start here: at the end of a program, which may come at once, it cannot be.

        Raises what `post` raises.
        """
        ...

    def warm(self) -> None:
        """Start workers ahead of work, where that takes long."""
        ...

    def shutdown(self, wait: bool, cancel: bool) -> None:
        """No more tasks; `cancel` those that have not started; `wait` until the last worker and callback are gone."""
        ...

    def kill(self, signum: int) -> None:
        """Kill every worker now and shut down; returns when they are gone."""
        ...

    def stats(self) -> EngineStats:
        """Numbers, now."""
        ...

    def dump(self) -> str:
        """Every worker's state, what it is at and for how long, and its Python stack, as text for people."""
        ...


class Widening:
    """The part of an engine whose pool may find its width by itself (core/auto.py)."""

    max_workers: int
    cap: int | None
    """So many workers at most, if that is found to be worth it; None: as many as is said."""
    widened: dict[Callable[[], object], None]

    def may_widen(self, max_workers: int, cap: int | None) -> None:
        """It begins with so many."""
        self.max_workers = max_workers
        self.cap = cap
        self.widened = {}

    @property
    def at_once(self) -> int:
        """See `Engine.at_once`."""
        return self.max_workers if self.cap is None else min(2 * self.max_workers, self.cap)

    def resized(self, max_workers: int) -> None:
        """The core has found that so many are better."""
        self.max_workers = max_workers
        for tell in list(self.widened):
            tell()
