"""Ending what runs: because it takes too long, or too much memory; because somebody has cancelled it.

A worker is killed for one item, and no other may die of it, though the worker goes on to the next one by itself. So:

1. **Sentence.** The item is named by its place among all that the worker will answer (`Sentence.mark`), and the worker
   is given nothing more.
2. **Withdraw** what it has not started. From here on it can begin nothing: whoever has no token runs nothing.
3. **Look**: all that it has published is told. If the item's outcome is among that, or its token came back, the
   sentence is void, and the worker goes on as before.
4. Else it is what runs, and nothing else can be. With a grace it is **asked** to end by itself first, and looked at
   again until that is over.
5. **Kill.** (Threads, which cannot be killed, are given up: the item fails at once, its outcome will be nobody's.) What
   is lost with the worker is that item; if it got done in the last moment, its outcome stands.

How long an item has run is what the looks saw: from the first look that found it running, so never more than it did,
and of the time between two looks no more than STRIDE times what was to lie between them: when the whole program
was stopped, or the driver could not run, the item has not necessarily had that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from procession.core import commands, events, retrying
from procession.core.rules import LEAST_LOOK_NS, LOOKS, Cause, Rules
from procession.core.worker import Sentence, Signal, State, Worker

if TYPE_CHECKING:
    from procession.core.pool import PoolCore

STRIDE = 4
"""So many intervals between two looks count, at most."""


def expect(core: PoolCore, kinds: Sequence[Rules]) -> None:
    """Tasks with these rules have come: from now on workers are looked at as often as the shortest timeout wants.

    All workers, whatever they run: a look costs less than to know of each lease what is in it. It ends with the work.
    """
    if not core.in_flight and not core.line.waiting and not core.delayed:
        core.look_ns = 0
    for rules in kinds:
        if rules.timeout_ns is not None and (not core.look_ns or rules.look_ns < core.look_ns):
            core.look_ns = rules.look_ns


def looked(core: PoolCore, event: events.Looked) -> None:
    """See how long it is at it, and whether it is what was to end."""
    worker = core.heard(event)
    if worker.sentence is not None:
        _go_on(core, worker, worker.sentence)
    elif worker.state is State.BUSY:
        _measure(core, worker, event.moved)


def _measure(core: PoolCore, worker: Worker, moved: bool) -> None:
    if worker.mark != worker.finished or moved:
        worker.mark, worker.ran_ns = worker.finished, 0
    else:
        worker.ran_ns += min(core.now - worker.looked_at, STRIDE * worker.look_ns)
    worker.looked_at = core.now
    rules = worker.inflight[0].rules
    if rules is not None and rules.timeout_ns is not None and worker.ran_ns >= rules.timeout_ns:
        condemn(core, worker, worker.finished, Cause.TIMEOUT, rules.grace_ns)


def condemn(core: PoolCore, worker: Worker, mark: int, cause: Cause, grace_ns: int) -> None:
    """Steps 1 and 2. Who is to be cancelled is that, whatever else it was to end for."""
    known = worker.sentence
    if known is not None and known.mark == mark:
        if cause is Cause.CANCEL:
            known.cause = cause
        return
    worker.sentence = Sentence(mark, cause, grace_ns)
    if not worker.usable:
        return  # it dies anyway
    core.index(worker)
    if worker.loose:
        core.withdraw(worker)
    else:
        core.out.append(commands.Look(worker.wid))


def heavy(core: PoolCore, event: events.Heavy) -> None:
    """What it runs is to end now, without a grace; if it is being ended already, that has no patience any more."""
    worker = core.heard(event)
    known = worker.sentence
    if worker.state is not State.BUSY:
        return
    if known is None:
        condemn(core, worker, worker.finished, Cause.MEMORY, 0)
    elif known.mark == worker.finished and not known.executed:
        if known.cause is Cause.TIMEOUT:
            known.cause = Cause.MEMORY
        known.grace_ns = 0
        if not worker.loose:
            known.until = core.now
            core.out.append(commands.Look(worker.wid))


def progressed(worker: Worker, sentence: Sentence) -> None:
    """It has answered something: what was to end, perhaps."""
    if worker.finished > sentence.mark:
        worker.sentence = None


def withdrawn(core: PoolCore, worker: Worker, sentence: Sentence) -> None:
    """Step 3: what was to end may have come back."""
    if sentence.executed:
        return
    if worker.finished + worker.items <= sentence.mark:
        _void(core, worker)
    elif sentence.until is None:
        core.out.append(commands.Look(worker.wid))


def _go_on(core: PoolCore, worker: Worker, sentence: Sentence) -> None:
    if sentence.executed or worker.loose:
        return  # loose: it is being withdrawn from, and will be looked at after that
    if worker.finished != sentence.mark or not worker.items:
        _void(core, worker)
    elif worker.state is not State.BUSY:
        return  # it dies anyway
    elif sentence.grace_ns and sentence.until is None:
        sentence.until = core.now + sentence.grace_ns
        worker.look_ns = max(sentence.grace_ns // LOOKS, LEAST_LOOK_NS)
        core.out.append(commands.Ask(worker.wid, worker.inflight[0], sentence.cause))
        core.index(worker)
    elif sentence.until is None or core.now >= sentence.until:
        if core.can_kill:
            sentence.executed = True
            core.forget(worker)
            worker.signal(Signal.KILL)
            core.out.append(commands.Kill(worker.wid, sentence.cause))
        else:
            _abandon(core, worker, sentence)


def _abandon(core: PoolCore, worker: Worker, sentence: Sentence) -> None:
    """A thread cannot be killed: its item fails, and it is given up. Up to `max_orphans` of these are replaced."""
    core.forget(worker)
    worker.signal(Signal.ABANDON)
    core.out.append(commands.Abandon(worker.wid))
    core.in_flight -= 1
    task, start = worker.finish_items(1)
    again = retrying.after_loss(core, task, start, sentence.cause)
    core.out.append(commands.FailItem(task, start, worker.wid, None, sentence.cause, again))
    worker.sentence = None
    core.orphans += 1
    if core.orphans > core.max_orphans:
        core.wanted_workers -= 1
        core.max_workers = min(core.max_workers, core.wanted_workers)


def returned(core: PoolCore) -> None:
    """An orphan has come to its end after all."""
    if core.orphans > core.max_orphans:
        core.wanted_workers += 1
        core.max_workers += 1
    core.orphans -= 1


def _void(core: PoolCore, worker: Worker) -> None:
    worker.sentence = None
    core.index(worker)


def cause_of_loss(worker: Worker) -> Cause:
    """Why the first item in a lost worker's hands has ended; what was being cancelled is, however the worker ended."""
    if worker.is_mortal(worker.inflight[0]):
        return Cause.CANCEL
    sentence = worker.sentence
    if sentence is None or worker.finished != sentence.mark:
        return Cause.DIED
    return sentence.cause if sentence.executed or sentence.cause is Cause.CANCEL else Cause.DIED
