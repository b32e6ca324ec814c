"""The zygote: one small process, without threads, that forks the workers of its parent and reaps them.

Forking the user's process is slow when it is large and deadlocks when it has threads; starting an interpreter for each
worker is slow always. So one interpreter is started with few imports, and a fork of it is a worker in about 2 ms.

Laws
1. One zygote for a parent process at a time, started and ended by the parent (`procession.backends.launch_zygote`).
   It never imports the parent's `__main__`, and runs no code of the user but what `preload=` names.
2. A pool has a connection of its own (SOCK_SEQPACKET). Its driver alone writes and reads there; it sees its own workers
   and no others.
3. It is the only reaper of its children. `Exited` is said once for each `Started`, after it, on the same connection.
4. It never waits for one pool: what a pool does not read is kept for it, and sent when it reads.
5. A worker holds its own four channels, the output of its pool, its lifeline, and what a preloaded module opened, or
   this interpreter as it started (for a debugger, a profiler); nothing else of the zygote's.
6. It ends when the parent has closed the control connection, every pool is gone, and every child is reaped; or at
   once when the parent dies. A pool that goes takes its workers with it.

Protocol. The tuples and the descriptors of packets (`procession.worker.packets`).
    at start, as descriptors     BLOB (memfd of the start dictionary), CONTROL, PARENT (its pidfd), LIFELINE (read end)
    control: POOL 0 preload path + connection, stdout, stderr      a new pool; modules to import, with which sys.path
    pool ->  SPAWN wid body n    + n descriptors, a WorkerFiles     fork a worker; `body` is for boot.from_zygote
    pool ->  KILL wid signum                                       from a parent that had no descriptor for the pidfd
    -> pool  READY failures                                        answers POOL: (module, traceback) of what failed
    -> pool  STARTED wid pid     + pidfd                           answers SPAWN
    -> pool  FAILED wid errno text                                 answers SPAWN: no worker was made
    -> pool  EXITED wid pid exitcode peak                          reaped; -9 is SIGKILL, None is unknown; bytes or None

Races, step by step
A. The pid of a dead worker is given to a stranger, and a kill meets that. The pidfd is opened here, after the fork
   and before anyone can have reaped the child, since only this single thread reaps; the parent signals through the
   pidfd only.
B. The parent dies while a worker is being forked. The child arms its lifeline and then asks whether the parent is gone
   (boot); until it has, this process still knows the child and kills it, for its pidfd of the parent is readable.
   That pidfd was made by the parent of itself, so it cannot be of a stranger either.
C. The parent dies while a module is preloaded, which may take seconds. Meanwhile this process has its own lifeline
   armed.
D. This process is killed between a fork and its answer. The child lives, with channels that the parent thinks unused;
   so the parent must never give the same channels to a second worker: it fails the request, closes its ends, and the
   child finds its task pipe at an end (`launch_zygote`, "When the zygote dies").
E. Ctrl-C reaches the whole process group during the start. The parent spawns this process with SIGINT blocked; it
   installs a handler that does nothing, then unblocks. Workers inherit both.
F. A new pool comes while the last one goes. Only the parent decides: it counts the pools, and closes the control
   connection under the lock under which it hands pools over. A zygote never ends for want of pools while control is
   open.

Linux only: pidfd (5.3), SCM_RIGHTS on SOCK_SEQPACKET, memfd, epoll. Elsewhere `procession.backends.launch.choose`
takes a multiprocessing context, and says so.
"""

from __future__ import annotations

import _socket
import os
import select
import sys

from procession.worker import reaping
from procession.worker.packets import receive, send

TYPE_CHECKING = False  # typing costs milliseconds; the checkers know this name
if TYPE_CHECKING:
    from typing import Any, NoReturn

BLOB, CONTROL, PARENT, LIFELINE = 3, 4, 5, 6
POOL, SPAWN, KILL, READY, STARTED, FAILED, EXITED = "pool", "spawn", "kill", "ready", "started", "failed", "exited"

COMMAND = (
    f"import gc,sys,marshal;gc.disable();blob=open({BLOB},'rb');start=marshal.load(blob);blob.close();"
    "sys.path[:]=start['path'];from procession.worker.zygote import main;main(start)"
)
"""For `python -c`; only built-in modules are imported before sys.path is the parent's."""

LATER = ("signal", "procession.transport.pickler")
"""What workers soon need, but not for a first result: loaded when nothing has been asked for LULL seconds."""
LULL = 0.02


# ---------------------------------------------------------------------------------------------------------- the process


def main(start: dict[str, Any]) -> NoReturn:
    """Be the zygote: `start` holds sys.path, the serve function whose module every worker needs, and `hashing`: the
    hash seed in the environment is ours."""
    import _signal as signal  # type: ignore[import-not-found]  # see `showing`
    import gc

    from procession.worker import boot, stdio

    if start["hashing"]:
        del os.environ["PYTHONHASHSEED"]  # it has served: what workers start, hashes as it would at home
    signal.signal(signal.SIGINT, boot.ignore)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _tidy()
    reaping.find_resource()
    stdio.install()
    try:
        boot.load(start["serve"])
    except Exception:
        pass  # each worker will fail on it and say so on its own stderr, which reaches the parent
    gc.freeze()
    code = 1
    try:
        code = _Zygote().run()
    except BaseException:
        boot.complain()
    finally:
        stdio.flush()
        os._exit(code)


def _tidy() -> None:
    """Leave nothing of the start behind: names in `__main__`, and descriptors that C code of the parent leaked.

    Those are inheritable. What is not was opened by this interpreter, for a debugger or a profiler as it started.
    """
    names = vars(sys.modules["__main__"])
    for name in [each for each in names if not each.startswith("__")]:
        del names[name]
    ours = (CONTROL, PARENT, LIFELINE)
    for fd in ours:
        os.set_inheritable(fd, False)
    for fd in (1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.dup2(0, fd)
    try:
        open_now = [int(each) for each in os.listdir("/proc/self/fd")]
    except OSError:
        return
    for fd in open_now:
        if fd > 2 and fd not in ours:
            try:
                if os.get_inheritable(fd):
                    os.close(fd)
            except OSError:
                pass  # the one that listed them


class _Pool:
    """One pool's connection, with the descriptors that its workers print to and what it has not read yet."""

    def __init__(self, sock: _socket.socket, out: int, err: int) -> None:
        self.sock, self.out, self.err = sock, out, err
        self.outbox: list[tuple[tuple[Any, ...], int]] = []
        self.waits = False  # for room: EPOLLOUT is asked for

    def close(self) -> None:
        self.sock.close()
        for fd in (self.out, self.err, *(fd for _, fd in self.outbox)):
            if fd >= 0:
                os.close(fd)
        self.outbox.clear()


class _Child:
    """A worker that is not reaped yet."""

    def __init__(self, wid: int, pid: int, pool: _Pool) -> None:
        self.wid, self.pid, self.pool = wid, pid, pool


class _Zygote:
    """The loop over control, parent, pools and children; every fd of theirs is in one epoll."""

    def __init__(self) -> None:
        self._control: _socket.socket | None = _socket.socket(fileno=CONTROL)
        self._pools: dict[int, _Pool] = {}
        self._children: dict[int, _Child] = {}  # by pidfd
        self._epoll = select.epoll()
        self._epoll.register(CONTROL, select.EPOLLIN)
        self._epoll.register(PARENT, select.EPOLLIN)
        self._patience = LULL

    def run(self) -> int:
        while self._control is not None or self._pools or self._children:
            # A number that closes in this round may be opened again in it, but none comes twice in one round.
            happened = self._epoll.poll(self._patience)
            if not happened:
                self._patience = -1.0
                self._load_later()
            for fd, mask in happened:
                if fd == PARENT:
                    return self._orphaned()
                if fd == CONTROL:
                    self._admit()
                elif fd in self._children:
                    self._reap(fd)
                elif fd in self._pools:
                    pool = self._pools[fd]
                    if mask & select.EPOLLOUT:
                        self._flush(pool)
                    if mask & ~select.EPOLLOUT:
                        self._serve(pool)
        return 0

    def _load_later(self) -> None:
        import gc

        for name in LATER:
            try:
                __import__(name)
            except Exception:
                pass  # whoever needs it will fail on it
        gc.freeze()

    # pools

    def _admit(self) -> None:
        assert self._control is not None
        message, fds = receive(self._control)
        if message is None:
            self._epoll.unregister(self._control)
            self._control.close()
            self._control = None
            return
        if len(fds) != 3 or len(message) != 4:
            for fd in fds:
                os.close(fd)
            return  # out of descriptors: the pool finds its connection closed
        _, _, preload, path = message
        connection, out, err = fds
        pool = _Pool(_socket.socket(fileno=connection), out, err)
        pool.sock.setblocking(False)
        self._pools[connection] = pool
        self._epoll.register(connection, select.EPOLLIN)
        self._tell(pool, (READY, self._preload(preload, path) if preload else []))

    def _preload(self, names: list[str], path: list[str]) -> list[tuple[str, str]]:
        import gc

        from procession.worker import boot, preloading, share

        sys.path[:] = path
        armed = boot.arm(LIFELINE)  # race C
        failed = preloading.load(names)
        share.foresee()
        if armed is not None:
            os.close(armed)
        gc.freeze()
        return failed

    def _serve(self, pool: _Pool) -> None:
        try:
            message, fds = receive(pool.sock)
        except BlockingIOError:
            return
        except ConnectionError:
            message, fds = None, []
        if message is None:
            return self._drop(pool)
        if message[0] == SPAWN:
            self._spawn(pool, message[1], message[2] if len(message[3:]) and len(fds) == message[3] else None, fds)
        elif message[0] == KILL:
            for child in self._children.values():
                if child.pool is pool and child.wid == message[1]:
                    os.kill(child.pid, message[2])  # not reaped, so still this child
        for fd in fds:
            os.close(fd)

    def _drop(self, pool: _Pool) -> None:
        """Law 6: the workers go with their pool; they are reaped as they come in, and nobody is told."""
        for child in self._children.values():
            if child.pool is pool:
                os.kill(child.pid, 9)
        fd = pool.sock.fileno()
        self._epoll.unregister(fd)
        del self._pools[fd]
        pool.close()

    def _tell(self, pool: _Pool, message: tuple[Any, ...], fd: int = -1) -> None:
        """Send or keep (law 4); `fd`, if any, is ours to close once it is sent."""
        if pool.sock.fileno() < 0:
            if fd >= 0:
                os.close(fd)
            return
        pool.outbox.append((message, fd))
        self._flush(pool)

    def _flush(self, pool: _Pool) -> None:
        while pool.outbox:
            message, fd = pool.outbox[0]
            try:
                send(pool.sock, message, (fd,) if fd >= 0 else ())
            except BlockingIOError:
                break
            except OSError:
                pass  # the pool is gone: its connection says so next
            del pool.outbox[0]
            if fd >= 0:
                os.close(fd)
        if pool.waits is not bool(pool.outbox):
            pool.waits = bool(pool.outbox)
            self._epoll.modify(pool.sock, select.EPOLLIN | (select.EPOLLOUT if pool.waits else 0))

    # children

    def _spawn(self, pool: _Pool, wid: int, body: bytes | None, fds: list[int]) -> None:
        from procession.worker import stdio

        stdio.flush()
        pid, pidfd = -1, -1
        try:
            if body is None:
                raise OSError(24, "too many open files in the zygote: the descriptors of a request were lost")
            pid = os.fork()
            if pid == 0:
                self._become(pool, body, fds)
            pidfd = os.pidfd_open(pid)
            copy = os.dup(pidfd)
        except OSError as error:
            if pid > 0:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
            if pidfd >= 0:
                os.close(pidfd)
            self._tell(pool, (FAILED, wid, error.errno, str(error)))
            return
        self._children[pidfd] = _Child(wid, pid, pool)
        self._epoll.register(pidfd, select.EPOLLIN)
        self._tell(pool, (STARTED, wid, pid), copy)

    def _become(self, pool: _Pool, body: bytes, fds: list[int]) -> NoReturn:
        """In the child: let go of everything of the zygote's (law 5), and be a worker."""
        try:
            import gc

            from procession.worker import boot

            preloading: Any = sys.modules.get("procession.worker.preloading")
            if preloading is not None:
                preloading.forget_ends()
            output = os.dup(pool.out), os.dup(pool.err)
            self._epoll.close()
            if self._control is not None:
                self._control.close()
            os.close(PARENT)
            for each in self._pools.values():
                each.close()
            for fd in self._children:
                os.close(fd)
            self._children.clear()
            self._pools.clear()
            gc.enable()
            boot.from_zygote(fds, output, LIFELINE, body)
        except BaseException:
            from procession.worker import boot

            boot.complain()
        finally:
            os._exit(1)

    def _reap(self, pidfd: int) -> None:
        child = self._children.pop(pidfd)
        code, peak = reaping.wait(child.pid)
        self._epoll.unregister(pidfd)
        os.close(pidfd)
        self._tell(child.pool, (EXITED, child.wid, child.pid, code, peak))

    def _orphaned(self) -> int:
        """The parent is dead: kill what is left, and reap what ends at once, for init may not be one that reaps."""
        for child in self._children.values():
            os.kill(child.pid, 9)
        for pidfd, child in self._children.items():
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if poll.poll(100):
                reaping.wait(child.pid)
        return 0
