"""What a coroutine waits by, whichever library runs it: asyncio, or trio. anyio runs on either, so it needs nothing.

trio is never imported here: a coroutine that runs under it belongs to a program that has imported it. So for all others
it costs a look into `sys.modules`.

Laws
1. Nothing here blocks the thread of an event loop.
2. `wake` of a sleeper may be called by any thread, several times, and when the loop is long gone (RuntimeError then, as
   `waiting.Bell` expects).
3. Who is cancelled while it waits is told so (CancelledError, trio.Cancelled) by the library's own rules; what must be
   done all the same (`in_thread`, `Task.stop`) is waited for, trio's cancellation or not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Task(Protocol):
    """A coroutine that runs beside the one that started it."""

    async def stop(self) -> None:
        """Cancel it, and wait for its end. May be called when it has ended."""


def _trio() -> Any:
    """trio, if it runs the coroutine that asks, else None. Any: the package may not be there to be looked at."""
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    return sys.modules["trio"] if lowlevel is not None and lowlevel.in_trio_task() else None


def on_trio_loop() -> bool:
    """Whether this thread runs trio now."""
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    return lowlevel is not None and lowlevel.in_trio_run()


async def nap(sleepers: dict[Callable[[], object], None], until: Callable[[], object], seconds: float) -> bool:
    """Sleep once, for so long at most: until somebody calls the waker that is among `sleepers` meanwhile.

    Looks after it has put the waker there, as the protocol of `waiting` wants it. False when nobody has woken it.
    """
    trio = _trio()
    if trio is not None:
        return await _nap_in_trio(trio, sleepers, until, seconds)
    import asyncio

    loop = asyncio.get_running_loop()
    rung: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        loop.call_soon_threadsafe(_rung, rung)

    sleepers[wake] = None
    try:
        if not until():
            await asyncio.wait((rung,), timeout=seconds)
            return rung.done()
        return True
    finally:
        sleepers.pop(wake, None)
        rung.cancel()


async def _nap_in_trio(
    trio: Any, sleepers: dict[Callable[[], object], None], until: Callable[[], object], seconds: float
) -> bool:
    token, rung = trio.lowlevel.current_trio_token(), trio.Event()

    def wake() -> None:
        token.run_sync_soon(rung.set)

    sleepers[wake] = None
    try:
        if not until():
            with trio.move_on_after(seconds):
                await rung.wait()
            return bool(rung.is_set())
        return True
    finally:
        sleepers.pop(wake, None)


def _rung(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def result_of(future: Future[T]) -> T:
    """Wait for it. Who is cancelled meanwhile cancels it."""
    trio = _trio()
    if trio is None:
        import asyncio

        return await asyncio.wrap_future(future)
    token, done = trio.lowlevel.current_trio_token(), trio.Event()

    def wake(_: Future[T]) -> None:
        try:
            token.run_sync_soon(done.set)
        except RuntimeError:
            pass  # trio has ended

    future.add_done_callback(wake)
    try:
        await done.wait()
    except BaseException:
        future.cancel()
        raise
    return future.result()


async def in_thread(call: Callable[..., object], *args: object) -> None:
    """Run it on another thread, to its end."""
    trio = _trio()
    if trio is None:
        import asyncio

        await asyncio.to_thread(call, *args)
        return
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(call, *args)


def beside(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> Task:
    """Run `work()` as a task of its own in the running loop. What it raises is told nobody: it has told of it."""
    trio = _trio()
    return _AsyncioTask(work, name) if trio is None else _TrioTask(trio, work, name)


class _AsyncioTask:
    """A task of the running loop."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        import asyncio

        self._task = asyncio.get_running_loop().create_task(self._serve(work), name=name)

    async def _serve(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        import asyncio

        try:
            await work()
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise  # asyncio makes more of these
        except BaseException:
            pass

    async def stop(self) -> None:
        """See `Task`."""
        import asyncio

        if not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))


class _TrioTask:
    """A system task: a stream has no nursery, and must not outlive the run, which these do not."""

    def __init__(self, trio: Any, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        import contextvars

        self._trio = trio
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        context = contextvars.copy_context()
        trio.lowlevel.spawn_system_task(self._serve, work, name=name, context=context)

    async def _serve(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            with self._scope:
                await work()
        except self._trio.Cancelled:
            raise  # the run has ended
        except BaseException:
            pass
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """See `Task`."""
        self._scope.cancel()
        with self._trio.CancelScope(shield=True):
            await self._ended.wait()
