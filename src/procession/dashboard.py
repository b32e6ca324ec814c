"""`Pool(dashboard=True)`: this program as a page in a browser, served by a process of its own (cli/web/).

Laws
1. There is one in a process. The pools that ask for it hold it; it ends when the last of them is over, at the end of
   the interpreter at the latest. A pool that asks later gets another one.
2. The caller binds the socket, so that the address is known and a port that is taken is an error of the call. All else
   is done by a thread, the keeper, and in the other process: nothing of a server is loaded here, and no task waits.
3. The token is in no command line, in no file and in no log: it goes through a pipe. The other process ends when that
   pipe does, so a program that is killed leaves none behind. It has a session of its own: a ^C is not for it.
4. A server that cannot start, or dies, is one log line; the pools go on.
5. Who lets go only says so, by one call of C: it may be a finalizer in the middle of anything. Who ends a pool and
   waits for that waits for the end of its dashboard, too, LATEST seconds at most; it is killed then.
6. A forked child has no dashboard, and keeps nothing of it.

The end, step by step: the last pool lets go; no pool can take hold from here on (`ended`, under the lock); the other
process is told the last numbers of the pools and that it is over, and its pipe is closed; it tells the browsers, and
ends; its output ends, by which the reader knows, reaps it, and says so to the keeper; who waits is let through.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import sys
import weakref
from _thread import RLock, start_new_thread
from collections import deque
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from procession import tapping
from procession.backends import forksafe
from procession.backends.gate import Gate
from procession.backends.saying import say
from procession.seeing.attending import address, places

if TYPE_CHECKING:
    import socket
    import subprocess

LATEST = 3.0
"""Seconds that the other process has to end."""
COMMAND = """import sys
sys.path.append(sys.argv[1])
from procession.cli.web.child import main
sys.exit(main(int(sys.argv[2])))"""
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NEEDS = "dashboard= needs starlette and uvicorn: pip install 'procession[dashboard]'"
COUNTS = ("done", "failed", "died", "timeouts", "retries")


class _Left(NamedTuple):
    """To the keeper: the pool of this number is over, every one if None; `gate`: who waits for what follows of it."""

    number: int | None
    gate: Gate | None = None


class _Died(NamedTuple):
    """To the keeper, by the reader: the other process is gone, and has said this last."""

    status: int
    words: str


class Dashboard:
    """One server. `address` is where it is, None when it is there no more."""

    number = -1
    """None of an engine's: see `tapping.begun`."""

    def __init__(self, port: int) -> None:
        """Raises OSError and ValueError."""
        self._token = address.new_token(os.environ)
        self._listener: socket.socket | None = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self.asked = port
        self.address: str | None = address.address(self.port, self._token)
        self.ended = False
        self._holders: dict[int, weakref.ref[Any]] = {}
        self._last: deque[dict[str, Any]] = deque(maxlen=100)
        self._heard: SimpleQueue[_Left | _Died] = SimpleQueue()
        self._through = Gate()
        self._waiting: list[Gate] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._orders = -1
        self._ready = False

    def start(self) -> None:
        """Raises RuntimeError where no thread can be started any more."""
        tapping.farewells.append(self._farewell)
        try:
            start_new_thread(self._keep, ())
        except RuntimeError:
            self.ended = True
            self._dispose()
            self._through.open()
            raise

    def hold(self, engine: Any) -> None:
        """Under the lock: it is there for this one, too."""
        number = engine.number
        # What it calls is C alone; the reference that it is given goes for "block", which putting never does.
        say_so: Any = partial(self._heard.put, _Left(number))
        self._holders[number] = weakref.ref(engine, say_so)

    def over(self, engine: Any, wait: bool) -> None:
        """A pool was shut down; nothing, if its engine still works on: that will say so itself."""
        if id(engine) in tapping.at_work or self._through.opened:
            return
        numbers = engine.stats()
        if numbers.pending or numbers.in_flight:
            return  # it is just beginning
        self._leave(_Left(engine.number, Gate() if wait else None))

    def end(self) -> None:
        """Whoever holds it; waits."""
        self._leave(_Left(None, Gate()))

    def await_end(self) -> None:
        """That its port is free again; it has been told to end."""
        self._through.wait(2 * LATEST)

    def _leave(self, left: _Left) -> None:
        self._heard.put(left)
        if left.gate is not None and not self._through.opened:
            left.gate.wait(2 * LATEST)

    def _farewell(self, engine: Any) -> None:
        """By an engine's thread, at its end."""
        if engine.number in self._holders:
            self._heard.put(_Left(engine.number))

    # -- the keeper --------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        # Where SIGPIPE ends the program, as in many a filter, a server that has died is not to do that.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGPIPE,))
        try:
            self._start()
            tapping.begun(self)  # the program can be looked at from now on, though no task has begun
            self._until_last()
        except Exception as error:
            self._complain(f"{type(error).__name__}: {error}")
        finally:
            with _lock:
                self.ended = True
            self._dispose()
            tapping.over(self)
            self._through.open()
            for each in self._left_over():
                each.open()

    def _start(self) -> None:
        import subprocess

        assert self._listener is not None
        theirs, self._orders = forksafe.pipe()
        output, their_output = forksafe.pipe()
        try:
            with (
                forksafe.lock
            ):  # a child that is forked meanwhile would hold a pipe of Popen's, which waits for its end
                self._process = subprocess.Popen(
                    [sys.executable, *_flags(), "-c", COMMAND, ROOT, str(self._listener.fileno())],
                    stdin=theirs,
                    stdout=their_output,
                    stderr=their_output,
                    pass_fds=[self._listener.fileno()],
                    start_new_session=True,
                )
            said = json.dumps({"pid": os.getpid(), "token": self._token}) + "\n"
            os.write(self._orders, said.encode())  # less than a pipe takes at once
            start_new_thread(self._read, (self._process, output))
        except BaseException:
            forksafe.close(output)
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            raise
        finally:
            forksafe.close(theirs)
            forksafe.close(their_output)
            self._close_listener()

    def _until_last(self) -> None:
        while True:
            heard = self._heard.get()
            if isinstance(heard, _Died):
                self._process = None
                self._complain(f"exit status {heard.status}{': ' if heard.words else ''}{heard.words}")
                return
            if self._is_last(heard):
                self._end()
                return
            if heard.gate is not None:
                heard.gate.open()

    def _is_last(self, left: _Left) -> bool:
        if left.number is not None:
            self._note(left.number)
        with _lock:
            if left.number is not None:
                self._holders.pop(left.number, None)
            self.ended = left.number is None or not self._holders
        if self.ended and left.gate is not None:
            self._waiting.append(left.gate)
        return self.ended

    def _note(self, number: int) -> None:
        """The last numbers of this pool."""
        ref = self._holders.get(number)
        engine = None if ref is None else ref()
        if engine is not None:
            try:
                now = engine.stats()
            except Exception:
                return  # it is only about what is shown last
            self._last.append({"number": number, **{word: getattr(now, word) for word in COUNTS}})

    def _end(self) -> None:
        process, deadline = self._process, monotonic() + LATEST
        assert process is not None
        try:
            os.write(self._orders, address.OVER + json.dumps(list(self._last)).encode() + b"\n")
        except OSError:
            pass  # it is dead: we are about to hear of it
        forksafe.close(self._orders)
        if not self._ready:
            process.kill()  # nobody has seen it yet
        while True:
            try:
                heard = self._heard.get(timeout=max(0.0, deadline - monotonic()))
            except Empty:
                process.kill()
                deadline += LATEST
                continue
            if isinstance(heard, _Died):
                self._process = None
                return
            if heard.gate is not None:
                self._waiting.append(heard.gate)

    def _left_over(self) -> list[Gate]:
        waiting, self._waiting = self._waiting, []
        while True:
            try:
                heard = self._heard.get_nowait()
            except Empty:
                return waiting
            if isinstance(heard, _Left) and heard.gate is not None:
                waiting.append(heard.gate)

    def _read(self, process: subprocess.Popen[bytes], output: int) -> None:
        """By a thread of its own: what the other process says, until it has ended."""
        said = b""
        try:
            while came := os.read(output, 1 << 16):
                said = (said + came)[-4000:]
                self._ready = (
                    self._ready or address.READY.encode() in said.splitlines()
                )  # whatever else was said before
        except OSError:
            pass  # we were forked, and this is the child, or it is the end
        forksafe.close(output)
        lines = said.decode(errors="replace").strip().splitlines()
        self._heard.put(_Died(process.wait(), lines[-1] if lines and lines[-1] != address.READY else ""))

    def _complain(self, why: str) -> None:
        say(logging.WARNING, "the dashboard is there no more, the pools go on: %s", why)

    def _dispose(self) -> None:
        self.address = None
        if self._farewell in tapping.farewells:
            tapping.farewells.remove(self._farewell)
        self._close_listener()
        forksafe.close(self._orders)

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with forksafe.lock:
                forksafe.disown(listener.fileno())
                listener.close()

    def forked(self) -> None:
        """In a forked child."""
        self.address = None
        self.ended = True
        self._through.open()
        tapping.farewells.clear()
        if self._process is not None:
            self._process.returncode = 0  # it is not ours: nothing is to be waited for, nor to be said of that
        if self._listener is not None:
            self._listener.detach()  # it was registered, and is closed by that


_lock = RLock()  # a signal handler may make a pool, too
_current: Dashboard | None = None
_hooked = False


def check() -> None:
    """That this process can have one. Raises ImportError and RuntimeError."""
    from importlib.util import find_spec

    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise ImportError(NEEDS)
    if os.environ.get("PROCESSION_TOP") == "0":
        raise RuntimeError(
            "dashboard= looks at this program over the socket of procession top, and PROCESSION_TOP=0 in the "
            "environment turns that off: unset it"
        )
    if not places.possible():
        raise RuntimeError("dashboard= needs a system that can say who is at the other end of a unix socket, as Linux")
    folder = places.folder()
    try:
        places.prepare(folder)
    except (places.Unfit, OSError) as why:
        raise RuntimeError(
            f"dashboard= looks at this program over a socket in {folder}, which cannot be: {why}"
        ) from None


def hold(engine: Any, wanted: int) -> Dashboard:
    """The dashboard of this process, held by this engine; `wanted`: True, or a port. Raises OSError and ValueError."""
    global _current, _hooked
    port = 0 if wanted is True else wanted
    if (now := _current) is not None and now.ended and port == now.port:
        now.await_end()  # it still has that port
    with _lock:
        now = _current
        if now is not None and not now.ended:
            if port not in (0, now.port):
                raise ValueError(f"dashboard={port}: this process has its dashboard at port {now.port} already")
            now.hold(engine)
            return now
        if not _hooked:
            forksafe.on_fork(_forked)
            atexit.register(_last)
            _hooked = True
        made = Dashboard(port)
        made.hold(engine)
        _current = made
    where = made.address  # it is None as soon as the server could not start
    try:
        made.start()
    except RuntimeError:
        return made  # the interpreter is ending, or the system has no thread left: nobody will look
    _announce(where, made.port)
    return made


def _announce(where: str | None, port: int) -> None:
    try:
        if sys.stderr is not None:
            print(f"procession: the dashboard is at {where}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # nobody reads it
    # A log is read by others, too: it has not the token.
    say(logging.INFO, "the dashboard is at %s; pool.dashboard has the address with its token", address.place(port))


def _flags() -> list[str]:
    """What keeps the interpreter from code that is not meant for this program is so for the other process, too. Whether
    warnings are errors is not: of the server's packages nobody here has the say."""
    known = {"-I": sys.flags.isolated, "-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site}
    return ["-P", "-W", "ignore", *(flag for flag, is_set in known.items() if is_set)]


def _listen(port: int) -> socket.socket:
    with forksafe.lock:
        try:
            made = address.listen(port)
        except OSError as error:
            hint = ": say another one, or True for any that is free" if port else ""
            raise OSError(error.errno, f"dashboard={port or True}: {error.strerror or error}{hint}") from None
        forksafe.own(made.fileno())
        return made


def _last() -> None:
    if _current is not None and not _current.ended:
        _current.end()


def _forked() -> None:
    global _lock, _current
    _lock = RLock()
    now, _current = _current, None
    if now is not None:
        now.forked()


__all__ = ["Dashboard", "check", "hold"]
