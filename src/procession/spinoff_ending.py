"""How a SpinOff ends: joined, left by an exception, or with the interpreter."""

from __future__ import annotations

import logging
import threading
import weakref
from time import monotonic

from procession.backends.joinable import JoinableThread
from procession.backends.saying import said, say
from procession.driver import lifecycle
from procession.spinoff_core import SIGKILL, SpinCore
from procession.spinoff_room import Lift

_cores: weakref.WeakSet[SpinCore] = weakref.WeakSet()
_hooked = False


def join(core: SpinCore, timeout: float | None) -> bool:
    """Wait for the end and the teardown; see `SpinOff.join`."""
    core.refuse_foreign()
    if not core.flow.closed:
        raise RuntimeError("join() needs close() or cancel() first: until then more may be put")
    deadline = None if timeout is None else monotonic() + timeout
    if not _retired(core, deadline):
        return False
    if core.gate is not None and not core.gate.join(left(deadline)):  # what it is at may post errands
        return False
    if not core.errands.join(left(deadline)):
        return False
    if deadline is None:
        core.engine.shutdown(wait=True, cancel=False)
    elif not _engine_ended(core, deadline):
        return False
    if core.kept is not None:
        core.kept.let_go_of_file(wait=True)
    said(left(deadline))
    errors, core.teardown_told = (
        list(core.engine.teardown_errors)[core.teardown_told :],
        len(core.engine.teardown_errors),
    )
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(f"{len(errors)} workers failed in their teardown", errors)
    return True


def flush(core: SpinCore, timeout: float | None) -> bool:
    """Wait for what has been put so far; see `SpinOff.flush`."""
    waiting = list(core.open.values())
    if core.gate is not None:
        core.gate.flush()

    def finished() -> bool:
        while waiting and waiting[-1].done():
            waiting.pop()
        return not waiting

    deadline = None if timeout is None else monotonic() + timeout
    lift = Lift(core)
    try:
        lift.up()
        return core.settling.sleep(finished, deadline, core.look_again)
    finally:
        lift.down()


def _retired(core: SpinCore, deadline: float | None) -> bool:
    """Wait until everything has its outcome, and what is owed for it has been posted."""
    with_room = Lift(core)
    try:
        with_room.up()
        return core.settling.sleep(lambda: core.retired, deadline, core.look_again)
    finally:
        with_room.down()


def left(deadline: float | None) -> float | None:
    """Seconds until then."""
    return None if deadline is None else max(0.0, deadline - monotonic())


def _engine_ended(core: SpinCore, deadline: float) -> bool:
    """An engine's shutdown knows no timeout: another thread waits for it, and this one as long as it may."""
    with core.lock:
        waiter = core.waiter
        if waiter is None:
            waiter = core.waiter = JoinableThread(core.engine.shutdown, "procession-join", (True, False))
            waiter.start()
    waiter.join(left(deadline))
    return not waiter.is_alive()


def leave(core: SpinCore, kind: type[BaseException] | None) -> None:
    """The end of a with block that an exception of this kind left; of none in a forked child."""
    if not core.is_ours():
        return
    if kind is not None and issubclass(kind, KeyboardInterrupt):
        kill(core)
        return
    if core.kept is not None and kind is None:
        core.kept.left()
    if kind is None or issubclass(kind, (SystemExit, GeneratorExit)):
        core.close()
    else:
        count = core.cancel()
        if count:
            say(logging.WARNING, "%s: %d items were cancelled", core.function.name, count)
    try:
        join(core, None)
    except KeyboardInterrupt:
        kill(core)
        raise
    finally:
        if core.kept is not None and kind is not None:
            core.kept.forsake()


def abandon(core: SpinCore) -> None:
    """The SpinOff was dropped: what was put runs, and nobody takes what comes. In a forked child it was never ours."""
    if core.is_ours():
        Lift(core).up()
        if not core.flow.closed:
            core.how = "dropped"
        core.close()
        if core.kept is not None:
            core.kept.dropped_by_all()


def kill(core: SpinCore) -> None:
    """End now: nothing more starts, and what runs dies where the backend can do that."""
    core.killed = True
    core.cancel()
    core.engine.kill(SIGKILL)
    core.errands.close()
    if core.kept is not None:
        core.kept.forsake()


def look_after(spin: object, core: SpinCore) -> None:
    """From now on: should `spin` be dropped, or the interpreter end."""
    weakref.finalize(spin, abandon, core).atexit = False
    at_exit(core)


def at_exit(core: SpinCore) -> None:
    """When the interpreter ends, what was put still runs, as with an executor of the standard library.

    This comes before the engines' own hook, which is registered before the first SpinOff is: hooks run the last first.
    """
    global _hooked
    _cores.add(core)
    if not _hooked:
        _hooked = True
        register = getattr(threading, "_register_atexit", None)
        try:
            if register is not None:
                register(_finish_all)
        except RuntimeError:
            pass  # the interpreter is ending already


def _finish_all() -> None:
    if lifecycle.left_by_interrupt():
        return
    cores = [core for core in list(_cores) if core.is_ours() and not core.killed]
    for core in cores:
        core.close()
    for core in cores:
        _retired(core, None)
        core.errands.join()
        if core.kept is not None:
            core.kept.close_file(wait=True)
