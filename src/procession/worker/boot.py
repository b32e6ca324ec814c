"""From a fresh process to `serve(files, config)`, and from its return to the exit.

A worker begins as a child of the zygote (`from_zygote`) or as the target of a multiprocessing.Process (`from_mp`). Both
arm the lifeline, settle the signals and run `serve`; what else they do differs, because a multiprocessing context is
obeyed to the letter (its output, stdin, exit and `__main__` are the stdlib's), while a zygote child is ours.

Laws
1. The lifeline comes first. A worker whose parent is gone dies within milliseconds, even in C code that holds the GIL.
2. A worker has no thread of ours, ever.
3. SIGINT interrupts nothing (a Python handler, not SIG_IGN, which a subprocess of a task would inherit): for a moment
   nothing new is begun, see `resting`. SIGTERM kills.
4. A process that a task forks is not the worker: `forked` is True in it, it holds none of the worker's channels, and
   when it comes back to the serve loop, that must return at once; it then exits here without running the worker's
   exit.
5. multiprocessing is never imported for the sake of a worker that does not use it; what it must know (the authkey, the
   names) is handed to it when somebody imports it.

The lifeline, step by step
1. One pipe a parent process. Only the parent holds the write end, and nobody writes.
2. The worker opens the read end anew through /proc/self/fd, because O_ASYNC, the owner and the signal belong to the
   open file description, which a fork or SCM_RIGHTS would share between all workers: the last one armed would be the
   only one to die.
3. Owner first, then signal (SIGKILL), then O_ASYNC. From then on the kernel kills this process when the last write end
   is closed, which is when the parent is gone, however it went.
4. The parent may have gone before step 3: then nothing closes any more, and no signal comes. So ask for a hang-up after
   arming, and die of it.
5. Between the fork and step 3 a child of the zygote is covered by the zygote, which watches the parent and kills.
What is lost: without /proc, F_SETSIG or the right to open the pipe anew (a parent that changed its uid), a zygote
child is still killed by the zygote, and a multiprocessing child sees the end of its task pipe when it next looks for
work.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import select
import sys

from procession._native import native
from procession.worker import resting, showing, stdio
from procession.worker.imports import when_imported

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import Any, NamedTuple, NoReturn

    class WorkerFiles(NamedTuple):
        """The child's ends of a worker's channels, as descriptor numbers."""

        tasks: int
        """Read end of the task pipe."""
        results: int
        """Write end of the result pipe."""
        tokens: int
        """Read end of the token pipe; non-blocking, and the parent holds a copy."""
        page: int
        """A memfd that the parent maps as well."""
        notes: int = -1
        """Write end of the pool's pipe of notes; non-blocking. -1: there is none."""
        levels: int = -1
        """A memfd with the levels of the parent's loggers."""
        arena: int = -1
        """The arena in which the parent sends; -1: there is none."""
        own: int = -1
        """The arena in which this worker answers."""

else:
    import _signal as signal  # see `showing`
    from _collections import _tuplegetter

    class WorkerFiles(tuple):
        """What `namedtuple` would compile, at each start of a zygote."""

        __slots__ = ()
        tasks, results, tokens, page, notes, levels, arena, own = (_tuplegetter(at, None) for at in range(8))

        def __new__(cls, tasks, results, tokens, page, notes=-1, levels=-1, arena=-1, own=-1):
            return tuple.__new__(cls, (tasks, results, tokens, page, notes, levels, arena, own))


def present(files: WorkerFiles) -> list[int]:
    """The descriptors that there are, in the order in which they travel."""
    return [fd for fd in files if fd >= 0]


SERVE = "procession.worker.loop:serve" if native is None else "procession.worker.fast:serve"
"""What a worker runs unless it is told otherwise: `module:function`, called with (WorkerFiles, config)."""

armed = False
"""The lifeline kills this process when its parent is gone."""

forked = False
"""True in a process that a task forked (law 4); the serve loop tests it after each task."""

name = "MainProcess"
"""What this worker is called."""

_files: tuple[int, ...] = ()
_lifeline: int | None = None
_hooked = False
_LEAST_RECURSION = 100  # what runs a task is some frames deep itself


# ------------------------------------------------------------------------------------------------- the two beginnings


def from_zygote(files: Sequence[int], output: tuple[int, int], lifeline: int, body: bytes) -> NoReturn:
    """Be a worker, in a child that the zygote has just forked; never returns.

    Args:
        files: the worker's channels, in the order of WorkerFiles.
        output: the write ends for stdout and stderr; closed here under these numbers.
        lifeline: the read end of the parent's lifeline; closed here under this number.
        body: the marshalled request of `procession.backends.launch_zygote`: serve, config, context.
    """
    global name
    code = 1
    try:
        channels = WorkerFiles(*files)
        _begin(channels, lifeline)
        stdio.redirect(*output)
        serve, config, context = marshal.loads(body)
        name = context["name"]
        _prepare(context)
        _begin_anew()
        code = _run(serve, channels, marshal.loads(config))
    except BaseException:
        complain()
    finally:
        _finish(code)


def from_mp(files: Sequence[Fd], lifeline: Fd, serve: str, config: dict[str, Any]) -> None:
    """Be a worker, as the target of a multiprocessing.Process; returns to multiprocessing, which ends the process.

    `files` and `lifeline` are `Fd`s.
    """
    global name
    name = sys.modules["multiprocessing.process"].current_process().name
    channels = WorkerFiles(*(each.fd for each in files))
    for fd in (*present(channels), lifeline.fd):
        os.set_inheritable(fd, False)
    _begin(channels, lifeline.fd)
    try:
        load(serve)(channels, config)
    except BaseException as error:
        if not forked:
            raise
        _finish(_exit_code(error))
    if forked:
        _finish(0)


class Fd:
    """A descriptor among the arguments of a multiprocessing.Process: a fork inherits it, a pickle duplicates it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing import reduction

        return _arrived, (reduction.DupFd(self.fd),)


def _arrived(duplicate: Any) -> Fd:
    return Fd(duplicate.detach())


def load(dotted: str) -> Callable[[WorkerFiles, dict[str, Any]], object]:
    """The function that `module:name` names."""
    module, _, name = dotted.partition(":")
    __import__(module)
    return getattr(sys.modules[module], name)  # type: ignore[no-any-return]


def _begin(files: WorkerFiles, lifeline: int) -> None:
    """What both kinds of worker do first."""
    global _files, _hooked, _lifeline, armed, forked
    _lifeline = arm(lifeline)
    armed = _lifeline is not None
    if _lifeline is None:
        _lifeline = lifeline
    else:
        os.close(lifeline)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, resting.hear)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))  # those of a context start without: launch_mp
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    showing.begin(files.page)
    resting.asked[0] = 0
    shared = (files.notes, files.levels)  # which harm nobody in a process that a task forks
    _files, forked = tuple(fd for fd in present(files) if fd not in shared), False
    if not _hooked:
        _hooked = True
        os.register_at_fork(before=stdio.flush, after_in_child=_in_fork_child)


def ignore(signum: int, frame: FrameType | None) -> None:
    """A handler that does nothing: system calls go on, and a subprocess does not inherit it."""


def arm(lifeline: int) -> int | None:
    """Die by SIGKILL when the last write end of `lifeline` closes, or now if it has; see the steps above.

    Returns a descriptor to keep open (closing it disarms), or None where this system cannot.
    """
    own = -1
    try:
        own = os.open(f"/proc/self/fd/{lifeline}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_ASYNC)
    except (OSError, AttributeError):
        if own >= 0:
            os.close(own)
        return None
    poll = select.poll()
    poll.register(own, 0)
    if poll.poll(0):
        os.kill(os.getpid(), signal.SIGKILL)
    return own


def _in_fork_child() -> None:
    """Law 4: the numbers stay taken, by /dev/null, so that a serve loop that has not looked yet harms nobody."""
    global forked, _files, _lifeline
    forked = True
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in _files:
        os.dup2(null, fd, inheritable=False)
    os.close(null)
    if _lifeline is not None:
        os.close(_lifeline)
    _files, _lifeline = (), None


# ------------------------------------------------------------------------------------- what a spawn request carries


def _prepare(context: dict[str, Any]) -> None:
    """Take over what a child started by the parent itself would have: see `launch_zygote.context_now`."""
    os.umask(context["umask"])
    try:
        os.chdir(context["cwd"])
    except (OSError, TypeError):
        pass  # it has been removed, or the parent could not name it: stay where the zygote started
    changed, deleted = context["env"]
    for name in deleted:
        os.environ.pop(name, None)
    os.environ.update(changed)
    if "TZ" in changed or "TZ" in deleted:
        import time

        time.tzset()
    recursion, digits = context["limits"]
    sys.setrecursionlimit(max(recursion, _LEAST_RECURSION))
    sys.set_int_max_str_digits(digits)
    sys.argv[:] = context["argv"]
    sys.path[:] = context["path"]
    # A directory that did not exist when the zygote looked is remembered as no directory at all.
    for entry, finder in list(sys.path_importer_cache.items()):
        if finder is None:
            del sys.path_importer_cache[entry]
    _tell_multiprocessing(context)
    if context["measure"]:
        from procession.worker import measuring

        measuring.begin()


def _begin_anew() -> None:
    """By NumPy's global state, if it was preloaded, all workers would draw alike; `random` sees to that by itself."""
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()


def _tell_multiprocessing(context: dict[str, Any]) -> None:
    """Law 5: set what multiprocessing.spawn.prepare would set, now if it is loaded, else when it is."""

    def process(module: Any) -> None:
        me = module.current_process()
        me._name = context["name"]
        if context["authkey"] is not None:
            me.authkey = context["authkey"]
        if context["orig_dir"] is not None:
            module.ORIGINAL_DIR = context["orig_dir"]
        name, pid = context["parent"]
        module._parent_process = module._ParentProcess(name, pid, _lifeline)

    def util(module: Any) -> None:
        to_stderr, level = context["log"]
        if to_stderr:
            module.log_to_stderr()
        if level is not None:
            module.get_logger().setLevel(level)

    wanted = {"multiprocessing.process": process}
    if context["log"] is not None:
        wanted["multiprocessing.util"] = util
    for each, then in wanted.items():
        when_imported(each, then)


# ------------------------------------------------------------------------------------------------------------- the end


def _run(serve: str, files: WorkerFiles, config: dict[str, Any]) -> int:
    """Serve; the exit code."""
    try:
        load(serve)(files, config)
        return 0
    except BaseException as error:
        return _exit_code(error)


def _exit_code(error: BaseException) -> int:
    """As multiprocessing has it: what SystemExit says, or 1 with the traceback on stderr. To be called in `except`."""
    if not isinstance(error, SystemExit):
        complain()
        return 1
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _finish(code: int) -> NoReturn:
    """End this process as multiprocessing ends its children: finalizers, threads, atexit, streams."""
    steps: list[Callable[[], object]] = []
    if not forked:
        if (util := sys.modules.get("multiprocessing.util")) is not None:
            steps.append(util._exit_function)
        if (threading := sys.modules.get("threading")) is not None:
            steps.append(threading._shutdown)
        if (atexit := sys.modules.get("atexit")) is not None:
            steps.append(atexit._run_exitfuncs)
    steps += [stdio.flush, _flush_current]
    for step in steps:
        try:
            step()
        except BaseException:
            complain()
    os._exit(code)


def _flush_current() -> None:
    """A task may have left streams of its own in sys.stdout and sys.stderr."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def complain() -> None:
    """The traceback of what is being handled, on stderr, whatever state that is in."""
    try:
        _, error, trace = sys.exc_info()
        if error is not None:
            sys.excepthook(type(error), error, trace)
    except BaseException:
        pass
