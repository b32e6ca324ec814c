"""The workers of a run: a pool for one function, a pipeline for several or for batches; and the results as a stream."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from procession.cli.mapping.calling import Chained, Stateless, Timed, by_name
from procession.cli.mapping.functions import Function
from procession.cli.mapping.words import workers_of
from procession.pipeline import Pipeline, Stage
from procession.pool import Pool
from procession.types import Failure

LINGER = 0.1
"""Seconds that a batch that is not full waits for more, where the input may keep one waiting."""


class Crew:
    """Workers, and what they are to do."""

    def __init__(self, functions: list[Function], words: Namespace, *, live: bool) -> None:
        self._functions = functions
        self._words = words
        self._live = live
        self.setup: Callable[[], object] | None = None
        self.key: Callable[[Any], Any] | None = None
        self.item_id: Callable[[Any], Any] | None = None
        self.progress = False

    @property
    def is_pipeline(self) -> bool:
        """Whether its items go through stages. A journal keeps what one call gives: then all functions are one."""
        return self._words.batch is not None or (len(self._functions) > 1 and self._words.journal is None)

    def make(self) -> Pool | Pipeline[Any, Any]:
        """Its workers, to be entered; none is started yet. Raises TypeError and ValueError as Pool and Stage do."""
        return self._pipeline() if self.is_pipeline else self._pool()

    def start(self, workers: Any, feed: Any, on_error: Callable[[Failure], object]) -> Any:
        """The stream of results."""
        words = self._words
        common: dict[str, Any] = {"on_error": on_error, "live": self._live, "progress": self.progress}
        if words.seed is not None:
            common["seed"] = words.seed
        if self.is_pipeline:
            return workers.run(feed, **common)
        view = workers.options(name=" | ".join(each.shown for each in self._functions), **self._policy())
        bounds = {"window": words.window, "key": self.key, "rate": self._rate()}
        return view.imap(
            self._called_at_once(), feed, ordered=not words.unordered, **bounds, **self._journal(), **common
        )

    # -- parts -----------------------------------------------------------------------------------------------------

    def _pool(self) -> Pool:
        words = self._words
        return Pool(
            workers_of(words.workers),  # type: ignore[arg-type]
            backend=words.backend,
            setup=self.setup,
            max_memory_per_child=words.memory,
            **self._niceness(),
        )

    def _pipeline(self) -> Pipeline[Any, Any]:
        words = self._words
        workers = workers_of(words.workers)
        auto = workers == "auto"
        stages = []
        for at, function in enumerate(self._functions):
            stage: dict[str, Any] = {"workers": 1 if auto else workers, "backend": words.backend, "setup": self.setup}
            if words.batch is not None:
                stage |= {"batch": words.batch, "max_wait": LINGER if self._live else None}
            if not at:
                stage |= {"key": self.key, "rate": self._rate()}
            stages.append(Stage(self._called(at), name=function.shown, **stage, **self._policy(), **self._niceness()))
        widths: Any = "auto" if auto else None
        return Pipeline(*stages, window=words.window, ordered=not words.unordered, widths=widths)

    def _called_at_once(self) -> Callable[..., Any]:
        if len(self._functions) == 1:
            return self._called(0)
        return Chained(tuple((each.shown, self._called(at)) for at, each in enumerate(self._functions)))

    def _called(self, at: int) -> Callable[..., Any]:
        words = self._words
        fn = self._functions[at].call
        if words.kwargs and not at:
            fn = by_name(fn)
        if words.joblog is not None:
            fn = Timed(fn, not at, words.batch is not None)
        if self.setup is not None and self.is_pipeline:
            fn = Stateless(fn)
        return fn

    def _policy(self) -> dict[str, Any]:
        words = self._words
        return {"timeout": words.timeout, "retries": words.retries, "backoff": words.backoff}

    def _rate(self) -> float | None:
        delay = self._words.delay
        rate: float | None = self._words.rate if delay is None else 1.0 / delay
        return rate

    def _niceness(self) -> dict[str, Any]:
        nice = self._words.nice
        return {} if nice is None else {"initializer": os.nice, "initargs": (nice,)}

    def _journal(self) -> dict[str, Any]:
        words = self._words
        if words.journal is None:
            return {}
        from procession.journal import Journal

        if words.retry_failed and os.path.exists(words.journal):
            from procession.journal.reading import retry_failures

            retry_failures(words.journal)
        return {"journal": Journal(words.journal, force=words.journal_force), "item_id": self.item_id}


__all__ = ["Crew"]
