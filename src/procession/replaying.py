"""`Pool.replay`: one item that failed, run again here, in the calling thread.

Laws
1. It is the very call: the function as the stage or the SpinOff calls it, the arguments that the `Failure` holds, the
   place under the seed, the context variables of whoever handed the item over (in a copy), and a worker of its own to
   run in: initializer and setup run before it, the teardown after it, as on `backend="inline"`. What the initializer
   sets, it sets here.
2. What the item raises comes out as it is, with its frames, whatever the teardown does.
3. A failure holds no more than it must: a `Rerun` has no items, and the arguments are the failure's own anyway.
4. A failure can be pickled if its arguments can, whatever its function and its error are. Functions that the other
   side can import are named, and others go by value, as to a worker; what cannot go says why when it is to be run, and
   nothing is loaded before that. So it is with context variables, as for a worker (worker/surroundings.py). The error
   goes as from one, with its traceback as text.
"""

from __future__ import annotations

from _contextvars import copy_context
from concurrent.futures import Future

from procession.types import Failure
from procession.worker.chance import Seeded
from procession.worker.stages import Batch, ManyOfBatch
from procession.worker.state import Entered, using

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from _contextvars import Context
    from collections.abc import Callable
    from typing import Any

    from procession.backends.base import WorkerConfig
    from procession.worker.chance import Place


class Rerun:
    """How items of one stream, SpinOff or stage are run."""

    __slots__ = ("_config", "_context", "_fn", "_name", "_packed", "_seed", "_with_state")

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str,
        config: WorkerConfig,
        seed: int | None = None,
        with_state: bool = False,
    ) -> None:
        """`fn`: what is called with an item, or one of worker/stages.py. `with_state`: it is given the state first."""
        self._fn = fn
        self._name = name
        self._config = config
        self._seed = seed
        self._with_state = with_state
        self._context: Context | bytes | None = copy_context()  # or what could be pickled of it
        self._packed: bytes | None = None  # it was pickled: what it then was, not yet loaded

    def within(self, context: Context | bytes | None) -> Rerun:
        """The same, with these context variables."""
        made = Rerun(self._fn, self._name, self._config, self._seed, self._with_state)
        made._context = context
        return made

    def run(self, args: tuple[Any, ...], place: Place) -> Any:
        """The call with these arguments. Raises what it raises, and what initializer, setup and teardown do."""
        if self._packed is not None:
            self._load(self._packed)
        context = self._context
        if context is None:
            return self._run(args, place)
        if isinstance(context, bytes):
            return copy_context().run(self._run_in, context, args, place)
        return context.copy().run(self._run, args, place)

    def _run_in(self, packed: bytes, args: tuple[Any, ...], place: Place) -> Any:
        from procession.worker import surroundings

        surroundings.enter(packed)
        return self._run(args, place)

    def _run(self, args: tuple[Any, ...], place: Place) -> Any:
        config, fn = self._config, self._fn
        if config.initializer is not None:
            config.initializer(*config.initargs)
        together = isinstance(fn, (Batch, ManyOfBatch))
        if together:
            args = ([args[0]],)
        if config.setup is None:
            made = self._call(args, place)
        else:
            made = self._call_with(Entered(config.setup), args, place)
        return self._only(made) if together else made

    def _call_with(self, entered: Entered, args: tuple[Any, ...], place: Place) -> Any:
        try:
            with using(entered):
                made = self._call((entered.value, *args) if self._with_state else args, place)
        except BaseException as error:
            try:
                entered.leave()
            except Exception as raised:
                error.add_note(f"and the teardown of its setup raised {type(raised).__name__}: {raised}")
            raise
        entered.leave()
        return made

    def _call(self, args: tuple[Any, ...], place: Place) -> Any:
        if self._seed is None:
            return self._fn(*args)
        return Seeded(self._fn, self._seed)(*args, place)

    def _only(self, made: Any) -> Any:
        """The output of a batch of one."""
        outputs = list(made)
        if len(outputs) != 1:
            raise ValueError(f"{self._name} was given a batch of 1 item and returned {len(outputs)} outputs")
        return outputs[0]

    def pickled(self, failure: Failure) -> tuple[Any, ...]:
        """`Failure.__reduce__`."""
        from procession.transport import pickler, remote

        error = remote.encode(failure.error, pickler.dumps)
        return _failure, (failure.index, failure.args, error, failure.attempts, failure.stage, self, failure._place)

    # -- pickled -------------------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        packed, context = self._packed, self._context
        if context is not None and not isinstance(context, bytes):
            from procession.surroundings import packed_here

            context = context.copy().run(packed_here)
        if packed is None:
            from procession.transport import paths, pickler

            parts = self._fn, self._config, self._seed, self._with_state
            try:
                packed = pickler.dumps(parts)
            except Exception as error:
                why = paths.pickling_error(f"how {self._name} is run", parts, error)
                return _unpicklable, (self._name, str(why))
        return _pickled, (self._name, packed, context)

    def _load(self, packed: bytes) -> None:
        from _pickle import loads

        try:
            self._fn, self._config, self._seed, self._with_state = loads(packed)
        except Exception as error:
            raise RuntimeError(
                f"the function {self._name} of this failure cannot be loaded here ({type(error).__name__}: {error}): "
                "it was pickled, and its modules must be importable where it is replayed"
            ) from error
        self._packed = None


class _Unpicklable(Rerun):
    """What could not be pickled with its failure."""

    __slots__ = ("_why",)

    def __init__(self, name: str, why: str) -> None:
        self._name = name
        self._why = why

    def run(self, args: tuple[Any, ...], place: Place) -> Any:
        raise RuntimeError(
            f"this failure of {self._name} was pickled, and its function could not be: {self._why}; replay it in the "
            "program in which it failed"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpicklable, (self._name, self._why)


_unpicklable = _Unpicklable


def _pickled(name: str, packed: bytes, context: bytes | None) -> Rerun:
    made = Rerun.__new__(Rerun)
    made._name, made._packed, made._context = name, packed, context
    return made


def _failure(index: int, args: tuple[Any, ...], error: bytes, *rest: Any) -> Failure:
    from procession.transport import remote

    return Failure(index, args, remote.decode(error), *rest)


def replay(failure: object) -> Any:
    """See `Pool.replay`."""
    if isinstance(failure, Future):
        raise TypeError(
            "replay() takes a Failure, and a future is none: when it is done it has let go of its function and its "
            "arguments; call the function, or run items by imap(), whose on_error= callable gets a Failure for each "
            "that fails"
        )
    if not isinstance(failure, Failure):
        raise TypeError(
            f"replay() takes a Failure, which an on_error= callable gets, not {type(failure).__name__}: "
            "the exception of a task does not know its function"
        )
    rerun: Rerun | None = failure._rerun
    if rerun is None:
        raise ValueError("this Failure was made by hand: only one that an on_error= callable got knows its function")
    return rerun.run(failure.args, failure._place)


__all__ = ["Rerun", "replay"]
