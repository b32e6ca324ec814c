"""The gate of a SpinOff with `batch` or `rate`: made of its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from procession import options, spinoff_words
from procession.backends.base import Engine, Function, WorkerConfig
from procession.batching import Batcher, BatchItem
from procession.capturing import capturing
from procession.core.gate import Gate
from procession.core.rules import SECOND
from procession.gatekeeper import Gatekeeper
from procession.pacing import check_rate, make_pace, paced
from procession.replaying import Rerun
from procession.seeding import seeded
from procession.spinoff_core import SpinCore, Words
from procession.spinoff_outlet import SpinOutlet
from procession.streams import check_positive
from procession.surroundings import here, surrounded
from procession.worker.chance import check_seed
from procession.worker.stages import Batch, PickledBatch

if TYPE_CHECKING:
    from procession.journal.queued import QueueJournal
    from procession.seeing.sources import Progress


def check(fn: Any, name: Any, workers: Any, words: Words, progress: Any) -> None:
    """Raise TypeError or ValueError for what makes no sense, naming the word and what would be right."""
    options.check_name(name)
    spinoff_words.check(fn, workers, words, progress)
    check_rate(words.rate)
    check_positive("batch", words.batch, "one item at a time")
    options.check_seconds("max_wait", words.max_wait)
    if words.max_wait is not None and words.batch is None:
        raise ValueError("max_wait is how long a batch waits to be full: it needs batch=")
    check_seed(words.seed)
    if words.seed is not None and words.batch is not None:
        raise ValueError(
            "seed= has no meaning with batch=: which items run together is a matter of time, and so would be what they "
            "draw; put random numbers with the items, or the seeds of some"
        )
    if words.sticky and words.batch is not None:
        raise ValueError(
            "sticky=True sends each key to a worker of its own; a batch= has items of many keys, and runs on one worker"
        )
    if not isinstance(words.capture, bool):
        raise TypeError(f"capture must be True or False, not {options.kind(words.capture)}")
    if words.journal is not None or words.item_id is not None:
        from procession.journal import check_words

        check_words(words.journal, words.item_id)
    if words.capture and words.batch is not None:
        raise ValueError(
            "capture=True has no meaning with batch=: what several items write that run together is of none of them"
        )


def function(engine: Engine, fn: Callable[..., Any], name: str | None, with_state: bool, words: Words) -> Function:
    """What the workers call: `fn`, or what gives it lists of items, in the surroundings in which this is called."""
    if words.capture:
        fn = capturing(engine, fn)
    if words.seed is not None:
        return cast("Function", seeded(engine, fn, words.seed, name, with_state))
    called = fn
    if words.batch is not None:
        called = PickledBatch(fn, "SpinOff") if engine.capabilities.pickles else Batch(fn, "SpinOff")
        name = name or getattr(fn, "__qualname__", None) or type(fn).__qualname__
        if (around := here(engine)) is not None:
            return cast("Function", surrounded(engine, called, around, name, with_state))
    return engine.function(called, name, with_state=with_state, many=True)


def core(
    engine: Engine,
    fn: Callable[..., Any],
    name: str | None,
    words: Words,
    progress: Progress,
    config: WorkerConfig,
    file: QueueJournal | None,
) -> SpinCore:
    """What is behind a SpinOff; watched, if its progress is wanted; with what keeps it, if it has a journal."""
    called = function(engine, fn, name, config.setup is not None, words)
    engine.role = "SpinOff", called.name
    made: Any = core_type(words, progress)(engine, called, words, *(() if file is None else (file,)))
    if progress is not False:
        made.watch(progress)
    keep(made, fn, config)
    return cast("SpinCore", made)


def core_type(words: Words, progress: Progress) -> Any:
    """Its class: one whose progress is shown or told, one with a journal, or one with both."""
    kind: Any = SpinCore
    if words.journal is not None:
        from procession.spinoff_journal import JournalSpin as kind
    if progress is False:
        return kind
    from procession.watching import WatchedSpin

    return WatchedSpin if words.journal is None else type("WatchedJournalSpin", (kind, WatchedSpin), {})


def outlet(core: SpinCore) -> SpinOutlet | None:
    """What takers get results from, where there are takers."""
    if not core.words.iterate:
        return None
    if core.kept is None:
        return SpinOutlet(core)
    from procession.spinoff_hands import JournalOutlet

    return JournalOutlet(core.kept)


@contextmanager
def open_journal(fn: Callable[..., Any], words: Words) -> Iterator[QueueJournal | None]:
    """The file, if there is to be one; closed again if the SpinOff cannot be made. Raises JournalError."""
    if words.journal is None:
        yield None
        return
    from procession.journal import settings_of
    from procession.journal.identity import identity_of
    from procession.journal.queued import QueueJournal

    file = QueueJournal.open(settings_of(words.journal), identity_of(fn, words.seed, words.capture), words.item_id)
    try:
        yield file
    except BaseException:
        file.close("not begun")
        raise


def keep(core: SpinCore, fn: Callable[..., Any], config: WorkerConfig) -> None:
    """Tell its engine what will come, and give it the gate that its words ask for, if they do. Who has it begins it."""
    words, engine = core.words, core.engine
    if core.tells_items:
        called = fn if words.batch is None else Batch(fn, "SpinOff")
        core.rerun = Rerun(called, core.function.name, config, words.seed, config.setup is not None)
    if words.rules is not None:
        engine.obey()
    if words.sticky:
        core.stick()
    if words.batch is None and words.rate is None:
        return
    pace = make_pace(words.rate)
    core.rules = paced(words.rules, pace)
    wait = None if words.max_wait is None else round(words.max_wait * SECOND)
    gate = Gate(engine.max_workers, words.batch or 1, wait, pace)
    if words.batch is None:
        core.gate = Gatekeeper(core, gate, core.function.name, None if core.rules is None else core.rules.queue_ns)
    else:
        core.gate = Batcher(core, gate, core.rules, words.rules)
        core.future_type = BatchItem if core.kept is None else core.future_type


def begin(core: SpinCore) -> None:
    """Start its gate, if it has one; then what its journal has from earlier programs is taken in."""
    if core.gate is not None:
        core.gate.begin()
    if core.kept is not None:
        from procession.spinoff_resuming import take_in

        take_in(core.kept)
