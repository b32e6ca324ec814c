"""Several items in one call of the function, as `SpinOff(batch=)` and `Stage(batch=)` have it: what its end is to each.

Laws
1. Rules are those of a call. One that raised runs again as it was; that is the engine's business. One that was ended
   from outside (its worker died, it took too long, too much memory) cannot say which of its items it was: each of them
   runs again alone. So one that kills takes no others along, if there are retries; without, all of them share its fate.
2. A function that was given n items has given n outputs, in order; with another number nobody can say which is whose.
3. Outputs may be an array, which is taken apart here: code of its class runs, and whatever that raises is told to all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procession import errors
from procession.backends.roles import Attempts
from procession.captured import add_note
from procession.core.rules import Cause, Rules
from procession.types import Raised

if TYPE_CHECKING:
    from procession.backends.base import Engine
    from procession.starts import SinkFuture


def outputs_of(name: str, made: Any, count: int, attempts: int = 1) -> list[Any]:
    """The outcome of each of `count` items of which `name` has made this."""
    try:
        outputs = list(made)
    except BaseException as error:
        return [Raised(error, attempts)] * count
    if len(outputs) == count:
        return outputs
    text = f"{name} was given a batch of {count} items and returned {len(outputs)} outputs"
    return [Raised(ValueError(f"{text}: it must return one for each, in order"), attempts)] * count


def note_company(call: SinkFuture, error: BaseException, count: int) -> None:
    """Who is told of it had others with it."""
    add_note(error, f"{call.function.name} was given a batch of {count} items, of which this was one")


def may_run_alone(call: SinkFuture, error: BaseException, rules: Rules | None, engine: Engine) -> bool:
    """Whether its items are to run again, one by one, after it came to this. `rules`: of one item."""
    if rules is None or call.final or call.tries >= rules.retries:
        return False
    return _cause(error) in rules.again_after and engine.takes_work


def attempts_after(call: SinkFuture, error: BaseException, rules: Rules) -> Attempts:
    """Those of one of its items, which is to run again alone."""
    before, attempts = call.attempts or Attempts(), Attempts()
    attempts.notes = list(before.notes)
    attempts.deaths = before.deaths + (_cause(error) in (Cause.DIED, Cause.MEMORY))
    attempts.add(call.tries + 1, rules, error)
    return attempts


def rules_of_several(rules: Rules | None) -> Rules | None:
    """The rules of a call of several items: after an end from outside the engine does not run it again as it was."""
    return rules if rules is None or not rules.again_after else rules.but(again_after=frozenset())


def _cause(error: BaseException) -> Cause | None:
    """Why a call was ended from outside, if it was."""
    if isinstance(error, errors.TaskTimeout):
        return Cause.TIMEOUT if error.where == "running" else None
    if isinstance(error, errors.MemoryLimit):
        return Cause.MEMORY
    return Cause.DIED if isinstance(error, errors.WorkerDied) else None
