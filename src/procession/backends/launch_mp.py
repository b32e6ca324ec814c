"""Workers as multiprocessing starts them: a context that the program chose, or where there can be no zygote.

The context is obeyed to the letter: `ctx.Process`, not daemonic, `__main__` imported as spawn and forkserver do,
stdin and output inherited, the exit as multiprocessing has it. Ours is only what runs inside: the lifeline, SIGINT
without effect.

How the end of a worker is known: by its pidfd, since for fork and spawn a process that the worker has forked may hold
the sentinel pipe open for ever. A forkserver's workers are not our children; for them the sentinel speaks, into which
the forkserver writes the exit code when it has reaped.

The exit code, step by step (fork and spawn). The pidfd is readable, so there is a code, and somebody reaps: this
launcher, a thread of the program in process.join(), the next Process.start() (it reaps all), or the program's own
os.waitpid(-1).
1. Look without reaping (waitid, WNOWAIT): whoever reaps afterwards, the code is known.
2. Nothing to see: it has been reaped. If multiprocessing did that, `exitcode` says so at once or, when another thread
   is just about to store it, within a moment.
3. Still nothing: the program reaped it itself. The code is unknown, None.
With forkserver the code comes through the sentinel, once: when a thread of the program joins the process at that
moment, one of the two reads it and the other an end of file, for which multiprocessing puts 255. That is None here.

Without pidfd (not Linux) the sentinel speaks for all methods: there, a grandchild delays the news of a death.

A Ctrl-C while a worker starts. It would end what has no handler yet, and soon the pool, whose workers cannot start. So
fork and spawn start with SIGINT blocked, and `boot` unblocks it when its handler stands. A forkserver is the program's
as well: what that starts hears SIGINT as multiprocessing has it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from procession.backends import forksafe
from procession.backends.launch import (
    SERVE,
    Event,
    Exited,
    Lifeline,
    Started,
    Watch,
    WorkerFiles,
    explained,
    owned_pidfd,
)
from procession.worker import boot


class MpLauncher:
    """One pool's workers from a multiprocessing context; the contract is `launch.Launcher`."""

    def __init__(self, context: BaseContext, *, watch: Watch, unwatch: Watch, serve: str = SERVE) -> None:
        self.name: str = context.get_start_method()
        self.eager = self.name == "fork"
        self._context: Any = context  # typeshed gives BaseContext no Process
        self._serve, self._watch, self._unwatch = serve, watch, unwatch
        self._processes: dict[int, BaseProcess] = {}
        self._pidfds: dict[int, int] = {}
        self._watched: dict[int, int] = {}  # fd to wid
        self._started: list[Event] = []
        self._closed = False
        self._lifeline = Lifeline.enter()
        try:
            self._bell = forksafe.pipe(os.O_NONBLOCK)
        except OSError as error:
            self._lifeline.leave()
            raise explained(error) from error
        self._watch(self._bell[0])
        forksafe.on_fork(self._in_forked_child)

    def start(self, wid: int, files: WorkerFiles, config: dict[str, Any]) -> None:
        if self._closed:
            raise RuntimeError("the launcher is closed")
        given = boot.present(files)
        inherited = [boot.Fd(fd) for fd in given]
        process = self._context.Process(
            target=boot.from_mp,
            args=(inherited, boot.Fd(self._lifeline.read), self._serve, config),
            name=f"procession-{wid}",
            daemon=False,
        )
        try:
            with forksafe.keeping((*given, self._lifeline.read)), self._deaf():
                process.start()
        except OSError as error:
            raise explained(error) from error
        self._processes[wid] = process
        news = process.sentinel
        try:
            self._pidfds[wid] = owned_pidfd(process.pid)
            if self.name != "forkserver":
                news = self._pidfds[wid]
        except (AttributeError, OSError):
            pass  # no pidfd here, none left, or it has ended and been reaped: the sentinel will do
        self._watched[news] = wid
        self._watch(news)
        self._started.append(Started(wid, process.pid))
        os.write(self._bell[1], b".")

    @contextlib.contextmanager
    def _deaf(self) -> Iterator[None]:
        """What this thread starts meanwhile hears no SIGINT before it says so."""
        if self.name == "forkserver":
            yield
            return
        if self.name == "spawn":
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()  # which unblocks it in this thread when it starts that
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def fds(self) -> Iterable[int]:
        if not self._closed:
            yield self._bell[0]
        yield from self._watched

    def poll(self, fd: int) -> list[Event]:
        # Whatever rang: a Started goes before the Exited of the same worker.
        events, self._started = self._started, []
        if events:
            try:
                os.read(self._bell[0], len(events))
            except BlockingIOError:
                pass
        wid = self._watched.get(fd)
        if wid is not None and _readable(fd):
            events.append(self._reap(wid, fd))
        return events

    def kill(self, wid: int, signum: int = signal.SIGKILL) -> None:
        process = self._processes.get(wid)
        if process is None:
            return
        try:
            if wid in self._pidfds:
                signal.pidfd_send_signal(self._pidfds[wid], signum)
            elif process.pid is not None and process.is_alive():
                os.kill(process.pid, signum)
        except OSError:
            pass

    def process(self, wid: int) -> BaseProcess:
        return self._processes[wid]

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._unwatch(self._bell[0])
        for fd, wid in list(self._watched.items()):
            self.kill(wid)
            if _readable(fd, 2000):
                self._reap(wid, fd)
            else:
                self._unwatch(fd)
        for fd in (*self._bell, *self._pidfds.values()):
            forksafe.close(fd)
        self._lifeline.leave()
        self._forget()

    def _reap(self, wid: int, fd: int) -> Exited:
        del self._watched[fd]
        self._unwatch(fd)
        process = self._processes.pop(wid)
        pidfd = self._pidfds.pop(wid, -1)
        exitcode = self._exitcode(process, pidfd)
        if pidfd >= 0:
            forksafe.close(pidfd)
        assert process.pid is not None
        return Exited(wid, process.pid, exitcode)

    def _exitcode(self, process: BaseProcess, pidfd: int) -> int | None:
        seen = None
        if pidfd >= 0 and self.name != "forkserver":
            try:
                result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
                if result is not None:
                    seen = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
            except OSError:
                pass
        for _ in range(20):
            # This reaps. join alone would look at the sentinel first, which a grandchild may hold open.
            if process.exitcode is not None or seen is not None:
                break
            time.sleep(0.001)
        process.join(0)  # takes it from multiprocessing's list of children
        code = process.exitcode if seen is None else seen
        return None if code == 255 and self.name == "forkserver" else code

    def _in_forked_child(self) -> None:
        self._closed = True
        self._forget()

    def _forget(self) -> None:
        self._watched.clear()
        self._pidfds.clear()
        self._processes.clear()
        self._started.clear()


def _readable(fd: int, milliseconds: int = 0) -> bool:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(milliseconds))
