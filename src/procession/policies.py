"""The words of policy: what `Pool.options` takes, and SpinOff directly, and the rules that they make for tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from procession.backends.saying import say
from procession.core.rules import SECOND, Cause, Rules, no_delay
from procession.options import kind
from procession.record import record

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

    RetryOn = type[BaseException] | tuple[type[BaseException], ...]
    Backoff = float | Callable[[int], float]

LONGEST = 1e9
"""Seconds; more is a mistake, or means None."""
JITTER = 0.25
"""A wait before a further run is longer by up to this part of it: what failed together need not come back together."""
MOST_WAIT = 60.0
"""Seconds that a doubled wait does not exceed."""
RETRIES = 1_000_000

WORDS = ("timeout", "queue_timeout", "grace", "retries", "retry_on", "backoff", "priority")


@record
class Policy:
    """What was asked for, as the user has said it; None: nothing was said."""

    timeout: float | None = None
    queue_timeout: float | None = None
    grace: float | None = None
    retries: int | None = None
    retry_on: RetryOn | None = None
    backoff: Backoff | None = None
    priority: int | None = None

    def merged(self, other: Policy) -> Policy:
        """What `other` says, and where it says nothing, this."""
        said = {word: getattr(other, word) for word in WORDS if getattr(other, word) is not None}
        return Policy(**{word: getattr(self, word) for word in WORDS} | said)

    def rules(self) -> Rules | None:
        """For the core; None when nothing was asked for."""
        if all(getattr(self, word) is None for word in WORDS):
            return None
        retry_on: Any = Exception if self.retry_on is None else self.retry_on
        errors = retry_on if isinstance(retry_on, tuple) else (retry_on,)
        retries = self.retries or 0
        return Rules(
            timeout_ns=_ns(self.timeout),
            queue_ns=_ns(self.queue_timeout),
            grace_ns=_ns(self.grace) or 0,
            retries=retries,
            again_after=_causes(errors) if retries else frozenset(),
            errors=errors,
            delay_ns=_delay(self.backoff),
            priority=self.priority or 0,
        )


NO_POLICY = Policy()


def policy(**words: Any) -> Policy:
    """These words, checked. Raises TypeError and ValueError, which name the word and say what would be right."""
    for word in ("timeout", "queue_timeout"):
        _check_seconds(word, words.get(word), least=False)
    _check_seconds("grace", words.get("grace"), least=True)
    _check_integer("retries", words.get("retries"), 0, RETRIES)
    _check_integer("priority", words.get("priority"), -RETRIES, RETRIES)
    _check_retry_on(words.get("retry_on"))
    if not callable(words.get("backoff")):
        _check_seconds("backoff", words.get("backoff"), least=True, otherwise=" or a callable that is given 1, 2, ...")
    return Policy(**words)


def rules_of(*asked: Any) -> Rules | None:
    """What `asked`, the `WORDS` in their order, make for the core; checked as by `policy`."""
    return policy(**dict(zip(WORDS, asked, strict=True))).rules()


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND)


def _causes(retry_on: Sequence[type[BaseException]]) -> frozenset[Cause]:
    from procession import errors

    ends = {Cause.DIED: errors.WorkerDied, Cause.TIMEOUT: errors.TaskTimeout, Cause.MEMORY: errors.MemoryLimit}
    return frozenset(cause for cause, error in ends.items() if issubclass(error, tuple(retry_on)))


def _delay(backoff: Backoff | None) -> Callable[[int, int], int]:
    if not backoff:
        return no_delay
    if callable(backoff):
        return _Asked(backoff).delay_ns
    return _Doubled(backoff).delay_ns


class _Doubled:
    """`base` seconds before the first further run, twice as long before each one after that."""

    def __init__(self, base: float) -> None:
        import random  # 4 ms, which every program would pay

        self._base = base
        self._jitter = random.Random(7)  # the same waits in each run of the program

    def delay_ns(self, tries: int, _now: int) -> int:
        wait = min(self._base * 2.0 ** min(tries - 1, 60), max(MOST_WAIT, self._base))
        return round(wait * (1 + JITTER * self._jitter.random()) * SECOND)


class _Asked:
    """Whatever a function of the user says; when it raises, or says nonsense, that is logged, and there is no wait."""

    def __init__(self, backoff: Callable[[int], float]) -> None:
        self._backoff = backoff

    def delay_ns(self, tries: int, _now: int) -> int:
        try:
            wait = self._backoff(tries)
            _check_seconds("what backoff returns", wait, least=True)
            return round(wait * SECOND)
        except BaseException as error:
            import logging

            say(logging.ERROR, "backoff=%r failed; there is no wait", self._backoff, error=error)
            return 0


# ------------------------------------------------------------------------------------------------------------- refusals


def _check_seconds(word: str, value: Any, *, least: bool, otherwise: str = "") -> None:
    """None, or seconds: more than 0, or with `least` 0 at least."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{word} must be a number of seconds{otherwise} or None, not {kind(value)}")
    if value != value or value < 0 or (value == 0 and not least) or value > LONGEST:
        bound = "at least 0" if least else "greater than 0"
        raise ValueError(f"{word} must be {bound} seconds, and at most {LONGEST:.0e}, or None; got {value!r}")


def _check_integer(word: str, value: Any, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{word} must be an integer or None, not {kind(value)}")
    if not least <= value <= most:
        raise ValueError(f"{word} must be between {least:,} and {most:,}; got {value:,}")


def _check_retry_on(value: Any) -> None:
    if value is None:
        return
    for each in value if isinstance(value, tuple) else (value,):
        if not isinstance(each, type) or not issubclass(each, BaseException):
            raise TypeError(f"retry_on must be an exception class or a tuple of them; {each!r} is none")
    if value == ():
        raise ValueError("retry_on must name at least one exception class; for no further runs say retries=0")
