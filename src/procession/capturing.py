"""`options(capture=True)`: functions whose tasks give what they have written, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procession.backends.base import Engine


def capturing(engine: Engine, fn: Callable[..., Any]) -> Callable[..., Any]:
    """What a task of this engine calls, to have what `fn` writes beside what it returns."""
    capabilities = engine.capabilities
    if capabilities.pickles and not capabilities.in_caller:
        from procession.worker.capture import CaptureInWorker

        return CaptureInWorker(fn)
    from procession.worker.capture_here import CaptureHere

    return CaptureHere(fn, notes=not capabilities.pickles)


__all__ = ["capturing"]
