"""OpenTelemetry's current context, from where a task is handed over to where it runs in a worker process.

Laws
1. What travels is what the program's propagators write into a carrier (`opentelemetry.propagate`: by default the W3C
   trace context and baggage). The worker's propagators read it, and that is the current context of the task: its span
   is a child of the one that was current where the task was handed over.
2. Nothing is imported here unless the program has: no `opentelemetry` in `sys.modules`, no carrier; no carrier, nothing
   in the worker.
3. A propagator that raises fails no task: it is told once, and nothing travels.
4. What is attached in a worker is detached with the context of the task, which is its own.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Tell = Callable[[str, BaseException], None]


def is_current(variable: Any, value: Any) -> bool:
    """Whether this is the context variable in which OpenTelemetry keeps its context."""
    api: Any = sys.modules.get("opentelemetry.context") if variable.name == "current_context" else None
    return api is not None and isinstance(value, getattr(api, "Context", ()))


def carrier_of(context: Any, tell: Tell) -> dict[str, str] | None:
    """What the propagators say of this context; None: nothing."""
    carrier: dict[str, str] = {}
    try:
        from opentelemetry import propagate

        propagate.inject(carrier, context=context)
    except Exception as error:
        tell("OpenTelemetry's context", error)
        return None
    return {str(name): str(value) for name, value in carrier.items()} or None


def context_of(carrier: dict[str, str], tell: Tell) -> Any:
    """The context that the propagators read there, which never changes; None: there is none."""
    try:
        from opentelemetry import propagate

        return propagate.extract(carrier)
    except Exception as error:
        tell("OpenTelemetry's context", error)
        return None


def attach(found: Any, tell: Tell) -> None:
    """It is the current context from here on, in the present context of the interpreter."""
    try:
        from opentelemetry import context

        context.attach(found)
    except Exception as error:
        tell("OpenTelemetry's context", error)


__all__ = ["attach", "carrier_of", "context_of", "is_current"]
