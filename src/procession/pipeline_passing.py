"""What goes from one stage to the next, and between processes as it came: without being opened here.

A result of a stage stays sealed (transport/sealed.py) if nobody but a call of the next stage looks at it: both run on
processes, the stage gives one output for one input, and the next has no key function. So an array lies in the arena of
the worker that made it until the next stage is through with it, and no code of its class runs in this process.

It is opened after all, by the conductor and as if it had never been sealed, where somebody may ask for it (an
`on_error` callable is told what was given to the stage that failed), and where the next stage's workers cannot reach
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError
from concurrent.futures._base import FINISHED
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from procession.together import outputs_of
from procession.transport.remote import OutOfReach
from procession.transport.sealed import Passed, Sealed
from procession.types import Raised

if TYPE_CHECKING:
    from procession.core.journey_node import Node, Start
    from procession.pipeline_stage import Work
    from procession.starts import SinkFuture


def join(works: Sequence[Work]) -> None:
    """Have results stay sealed where they may; before the first task."""
    for work, then in pairwise(works):
        stage, seal = work.stage, getattr(work.engine, "seal", None)
        single = not stage.many and stage.batch is None
        if seal is not None and hasattr(then.engine, "seal") and single and then.stage.key is None:
            seal()
            then.reaches = True


def outcomes(works: Sequence[Work], start: Start, future: SinkFuture, *, opens: bool) -> list[Any]:
    """What these inputs have come to. `opens`: somebody may ask for it."""
    stage, tries = works[start.stage].stage, future.tries + 1
    if future._state is not FINISHED:
        return [Raised(CancelledError())] * start.size
    if future._exception is not None:
        return [Raised(future._exception, tries)] * start.size
    value = future._result
    if stage.batch is None:
        sealed = value.__class__ is Sealed and (opens or not works[start.stage + 1].reaches)
        return [_opened(value, tries) if sealed else value]
    return outputs_of(stage.name, value, start.size, tries)


def _opened(sealed: Sealed, tries: int) -> Any:
    try:
        return sealed.value()
    except Exception as error:
        return Raised(error, tries)


def arguments(work: Work, start: Start, with_place: bool) -> tuple[Any, ...]:
    """What the stage's function is called with; `with_place`: and where that stands (worker/chance.py).

    Raises what opening raises.
    """
    inputs = [_given(work, node) for node in start.nodes]
    single = work.stage.batch is None
    given = inputs[0] if single else inputs
    if not with_place:
        return (given,)
    return given, place_of(work, start.nodes[0])


def place_of(work: Work, node: Node) -> tuple[int, ...] | None:
    """Where an input of this stage stands; None where it runs together with others."""
    return (node.item.index, node.stage, *node.place) if work.stage.batch is None else None


def _given(work: Work, node: Node) -> Any:
    value = node.value
    if value.__class__ is not Sealed:
        return value
    if work.reaches:
        rules = work.stage.rules
        return Passed(value, private=rules is not None and rules.retries > 0)
    node.value = value.value()
    return node.value


def out_of_reach(work: Work, error: BaseException | None) -> bool:
    """Whether this is why nothing was run of what was passed; from now on nothing is."""
    if error.__class__ is not OutOfReach:
        return False
    work.reaches = False
    return True


__all__ = ["arguments", "join", "out_of_reach", "outcomes", "place_of"]
