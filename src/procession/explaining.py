"""`procession.explain`: the verdict on what a pool does, or on a recording, as text."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from procession.pipeline import Pipeline
from procession.pool_face import PoolFace
from procession.seeing import tracing
from procession.seeing.part import part
from procession.seeing.recording import Recording
from procession.seeing.tracing import trace
from procession.seeing.verdict import verdict
from procession.spinoff import SpinOff

if TYPE_CHECKING:
    from procession.pool import Pool


def explain(
    of: Pool | PoolFace | SpinOff[Any, Any] | Pipeline[Any, Any] | trace | Recording | str | os.PathLike[str],
    *,
    file: TextIO | None = None,
) -> None:
    """Print why it is as fast as it is: how much faster than one after the other, what the limit is for this work on
    these CPUs, where the rest of the workers' time went, and what to change.

    of: a pool (or a view of one), a SpinOff or a pipeline, of what it has done so far since `procession.trace` was
        entered; or a trace, of all pools; or the path of a file that a trace has written (`.json`, `.json.gz`).
    file: where to; else `sys.stdout`.

    Raises RuntimeError when nothing was recorded of it, TypeError for anything else, and for a path what reading it
    raises.
    """
    print(verdict(_recording(of)), file=sys.stdout if file is None else file)


def _recording(of: Any) -> Recording:
    if isinstance(of, Recording):
        return part(of)
    if isinstance(of, str | os.PathLike):
        from procession.seeing import chrome

        return chrome.read(of)
    if isinstance(of, trace):
        of.catch_up()
        return part(of.recording)
    numbers = _engines(of)
    latest = tracing.latest()
    if latest is not None:
        latest.catch_up()
        recorded = {pool.number for pool in latest.recording.pools}
        if numbers & recorded:
            return part(latest.recording, numbers)
    raise RuntimeError(
        "nothing was recorded of it: use it inside of `with procession.trace(None) as traced:`, and explain it there, "
        "or explain `traced` afterwards"
    )


def _engines(of: Any) -> set[int]:
    """The numbers of those that work for it."""
    if isinstance(of, PoolFace):
        return {of._engine.number}
    if isinstance(of, SpinOff):
        return {of._core.engine.number}
    if isinstance(of, Pipeline):
        works: Any = () if of._latest is None else of._latest.conductor.works
        return {work.engine.number for work in works}
    raise TypeError(
        "explain takes a Pool, a SpinOff, a Pipeline, a trace, or the path of what a trace has written; "
        f"got {type(of).__name__}"
    )


__all__ = ["explain"]
