"""What `add_done_callback` registered, run as the stdlib runs it."""

from __future__ import annotations

import logging

from procession.backends.saying import say

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

    from procession.backends.tasks import CallFuture


def run_callbacks(future: CallFuture[Any]) -> None:
    """Run what `add_done_callback` registered, as the stdlib does: errors are logged."""
    for callback in future._done_callbacks:
        try:
            callback(future)
        except Exception as error:
            say_of_callback(future, error)


def say_of_callback(future: CallFuture[Any], error: BaseException) -> None:
    """In the words of the stdlib."""
    say(logging.ERROR, "exception calling callback for %r", future, error=error, name="concurrent.futures")
