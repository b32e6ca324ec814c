"""A cancel of what a worker process has in hand, from the side of who cancels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procession.backends.gate import Gate, on_event_loop
from procession.backends.tasks import CallFuture
from procession.core import events
from procession.driver.loop import Driver


def taken_back(driver: Driver | None, request: Callable[[Any], bool], future: CallFuture[Any], kill: bool) -> bool:
    """Ask the driver for it, and wait for the answer; if that is that its worker is being killed, until it is gone.

    A thread that runs an event loop waits for no grace: it hears False, and the future is cancelled later if it can be.
    """
    answered = Gate()
    ending: list[bool] = []

    def answer() -> None:
        if driver is not None:
            driver.cancel_unleased(future)
            if driver.is_ending(future):
                ending.append(True)
        answered.open()

    if request((events.CancelAsked([future], kill), answer)):
        answered.wait()
        if ending and not (on_event_loop() and future.rules is not None and future.rules.grace_ns):
            future.await_end()
    return future.cancelled()
