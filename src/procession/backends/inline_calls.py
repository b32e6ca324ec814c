"""What the inline engine does for one call: it is run in a context of its own, and copied if that was asked for."""

from __future__ import annotations

import pickle
from _contextvars import Context
from collections.abc import Callable, Mapping
from typing import Any

from procession.backends.base import WorkerConfig
from procession.backends.functions import ThreadFunction
from procession.backends.stacks import without_ours
from procession.errors import RemoteError
from procession.transport import paths, pickler, remote
from procession.transport.codec import Codec
from procession.types import Raised
from procession.worker import state, surroundings

PLAIN = frozenset({int, float, bool, type(None), str, bytes})


class Copier:
    """Copies what goes in and what comes out, with the pickler of the process backend."""

    def __init__(self) -> None:
        self._codec = Codec()

    def check(self, fn: Callable[..., Any]) -> None:
        """Raises PicklingError for a function that could not be sent; what it has passed once it remembers."""
        if callable(fn):
            self._codec.lasting(fn)

    def freeze(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], around: bytes | None = None) -> bytes:
        """Arguments as bytes; raises PicklingError."""
        return self._dumps("the arguments", (args, kwargs, around))

    def thaw(self, body: bytes) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """What `freeze` froze, anew; an error of a rebuilding is a RemoteError and a BrokenProcessPool, as there.

        The surroundings are entered.
        """
        args, kwargs, around = self._loads("an argument", body)
        if around is not None:
            surroundings.enter(around)
        return args, kwargs

    def copy(self, value: Any) -> Any:
        """A result, there and back. Raises as the two above."""
        return value if type(value) in PLAIN else self._loads("a result", self._dumps("the result", value))

    def copy_error(self, error: BaseException) -> BaseException:
        """An exception, there and back; a RemoteError when it cannot be rebuilt. Never raises."""
        if isinstance(error, (KeyboardInterrupt, SystemExit, RemoteError)):
            return error
        return remote.decode(remote.encode(error, pickler.dumps))

    @staticmethod
    def _dumps(what: str, value: Any) -> bytes:
        try:
            return pickler.dumps(value)
        except Exception as error:
            raise paths.pickling_error(what, value, error) from error

    @staticmethod
    def _loads(what: str, data: bytes) -> Any:
        try:
            return pickle.loads(data)
        except Exception as error:
            raise remote.load_error(f"{what} could not be rebuilt", error) from error


class InlineCalls:
    """How calls are run, and what surrounds them: the initializer's and the setup's work, and the copier."""

    def __init__(self, config: WorkerConfig, pickle: bool) -> None:
        self.copier = Copier() if pickle else None
        self._config = config
        self._entered: state.Entered | None = None
        self._home = Context()  # that in which initializer and setup ran
        self._base = Context()  # what they have set there; each run has a copy

    def prepare(self) -> None:
        """Initializer and setup; raises what they raise. They begin with no variable set, as in a worker elsewhere, and
        what they set does not stay in the caller's context."""
        self._home = Context()
        self._home.run(self._prepare)
        self._base = self._home.copy()

    def _prepare(self) -> None:
        config = self._config
        if config.initializer is not None:
            config.initializer(*config.initargs)
        if config.setup is not None:
            self._entered = state.Entered(config.setup)

    def leave(self) -> None:
        """The teardown; raises what it raises."""
        if self._entered is not None:
            self._home.run(self._entered.leave)

    def invoke(self, function: ThreadFunction, body: Any, *, whole: bool) -> Any:
        """Run one call; returns its outcome. Our own frames are cut from a traceback, as they would be elsewhere."""
        copier, around = self.copier, function.around
        if not whole and copier is None and len(body) > 2:
            around = body[2]
        context = self._base.copy() if around is None else around.over(self._base)
        try:
            if copier is None and self._entered is None and function.fn is not None:
                return context.run(function.fn, body) if whole else context.run(function.fn, *body[0], **body[1])
            return context.run(self._call, function, body, whole)
        except BaseException as error:
            error.__traceback__ = without_ours(error.__traceback__) or error.__traceback__
            return Raised(error if copier is None else copier.copy_error(error))

    def _call(self, function: ThreadFunction, body: Any, whole: bool) -> Any:
        """In the context of this run."""
        fn, copier, entered = function.fn, self.copier, self._entered
        assert fn is not None
        args: tuple[Any, ...] = (body,)
        kwargs: Mapping[str, Any] = {}
        if not whole:
            args, kwargs = body[:2] if copier is None else copier.thaw(body)
        if entered is None:
            value = fn(*args, **kwargs)
        else:
            with state.using(entered):
                value = fn(entered.value, *args, **kwargs) if function.with_state else fn(*args, **kwargs)
        return value if copier is None else copier.copy(value)


__all__ = ["PLAIN", "Copier", "InlineCalls"]
