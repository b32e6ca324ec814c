"""The worker's side of the codec: functions by number, calls out of bytes, results and exceptions into them."""

from __future__ import annotations

from _pickle import loads

from procession.transport import rebuild, remote
from procession.transport.shared import Receiver
from procession.worker import arena, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def dumps_to_parent(value: Any, supply: Any = None) -> bytes:
    """The pickler's, which takes this place when it is first needed: a first result that is plain goes without it.

    The zygote loads it when it has nothing else to do (`zygote.LATER`).
    """
    from procession.transport import pickler

    globals()["dumps_to_parent"] = pickler.dumps_to_parent
    return pickler.dumps_to_parent(value, supply)


class FunctionTable:
    """What the parent has sent to this process. One per process, used by the thread that made it.

    Args:
        main_globals: the globals of this process's own `__main__`, where that is the parent's (by fork, or run again
            by multiprocessing): functions of the parent's `__main__` then run in it, and its classes stand for theirs.
    """

    def __init__(self, main_globals: dict[str, Any] | None = None) -> None:
        self._receiver = rebuild.receiver = Receiver(main_globals)
        self._functions: dict[int, _Function] = {}

    def define(self, id: int, payload: bytes) -> None:
        """A function, not loaded before it is used: one that fails to load fails only the tasks that use it."""
        self._functions[id] = _Function(payload)

    def forget(self, id: int) -> None:
        """Nobody will use it any more."""
        self._functions.pop(id, None)

    def get(self, id: int) -> Any:
        """The function, with its globals bound as they were when it was made ready. Raises LoadFailed."""
        function = self._functions[id]
        receiver = self._receiver
        if function.changes != receiver.changes:
            if function.payload is not None:
                self._load(function, function.payload)
            for module, name, stamp, value in function.bindings:
                module.bind(name, stamp, value, again=True)
            function.changes = receiver.changes
        return function.fn

    def _load(self, function: _Function, payload: bytes) -> None:
        receiver = self._receiver
        receiver.collected = []
        try:
            function.fn = loads(payload)
            function.bindings = receiver.collected
        except BaseException as error:
            raise _load_failed("the function could not be rebuilt in the worker", error) from error
        finally:
            receiver.collected = []
        function.payload = None

    def decode(self, body: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """(args, kwargs) of a call, whose surroundings, if it has any, are entered. Raises LoadFailed."""
        try:
            call = loads(body)
            if len(call) == 2:
                return call  # type: ignore[no-any-return]
            _enter(call[2])
            return call[:2]  # type: ignore[no-any-return]
        except remote.OutOfReach:
            raise
        except BaseException as error:
            raise _load_failed("an argument could not be rebuilt in the worker", error) from error
        finally:
            self._receiver.collected.clear()

    def decode_call(self, body: bytes) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """(fn, args, kwargs) of a call that carries its function; the state is among them. Raises LoadFailed.

        The surroundings of the call, if it has any, are entered.
        """
        with_state, around = False, None
        try:
            fn, args, kwargs, *more = loads(body)
            if more:
                with_state, around = more
            if around is not None:
                _enter(around)
        except remote.OutOfReach:
            raise
        except BaseException as error:
            raise _load_failed("a function or an argument could not be rebuilt in the worker", error) from error
        finally:
            self._receiver.collected.clear()
        if with_state:
            args = (state.state(), *args)
        return fn, args, kwargs

    def watch(self, fn: Any) -> None:
        """To be called before an initializer that did not come through `decode_call` is run."""
        self._receiver.watch(fn)

    @staticmethod
    def loads(view: Any) -> Any:
        """A lease's specs."""
        return loads(view)

    @staticmethod
    def encode_result(value: Any) -> bytes:
        """A task's value. Raises PicklingError, which names the path; what is no Exception passes as it is."""
        try:
            return dumps_to_parent(value, arena.here)
        except Exception as error:
            from procession.transport import paths

            told = paths.pickling_error("the result", value, error, dumps_to_parent)
            if type(value).__module__ == "procession.captured":
                told.__captured__ = value  # type: ignore[attr-defined]
            raise told from error

    @staticmethod
    def encode_error(error: BaseException) -> bytes:
        """What a task raised; never raises itself."""
        return remote.encode(error, dumps_to_parent)


def _enter(around: bytes) -> None:
    """See `surroundings.enter`; who is given none does without the module."""
    from procession.worker import surroundings

    surroundings.enter(around)


def argument_of(body: bytes) -> Any:
    """The one argument of a call that was pickled on its own, to be run together with others. Raises LoadFailed."""
    try:
        return loads(body)[0][0]
    except BaseException as error:
        raise _load_failed("an argument could not be rebuilt in the worker", error) from error
    finally:
        if rebuild.receiver is not None:
            rebuild.receiver.collected.clear()


class _Function:
    __slots__ = ("bindings", "changes", "fn", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload: bytes | None = payload
        self.fn: Any = None
        self.bindings: list[Any] = []
        self.changes = -1


def _load_failed(text: str, error: BaseException) -> remote.LoadFailed:
    hint = remote.how_to_import(error)
    return remote.LoadFailed(f"{text}: {hint or remote.text_of(error)}", error)


__all__ = ["FunctionTable"]
