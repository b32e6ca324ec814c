"""What the failure tests let workers do. Few imports: every worker that runs one of these imports this module."""

import contextlib
import ctypes
import itertools
import os
import signal
import sys
import threading
import time
from collections import deque

PATIENCE = 60.0


# ---------------------------------------------------------------------------------------------------------------- plain


def double(x):
    return 2 * x


def add(a, b=0, *, c=0):
    return a + b + c


def pid_of_worker(_=None):
    return os.getpid()


def pid_of_zygote(_=None):
    return os.getppid()


def same(x):
    return x


def blob(n, seed=0):
    return bytes([seed & 0xFF]) * n


# --------------------------------------------------------------------------------------------- files that tell the test


def note(path, text):
    """One line, in one write: O_APPEND makes it whole whoever else writes."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


def lines(path):
    try:
        with open(path) as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def await_file(path):
    """Wait, in short sleeps of Python, until the test makes this file."""
    until = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        if time.monotonic() > until:
            raise TimeoutError(path)
        time.sleep(0.002)


def noted(path, x):
    note(path, x)
    return x


def held(path, gate, x=None):
    """Say that it runs, then wait for the gate."""
    note(path, x)
    await_file(gate)
    return x


def when_begun(path, gate):
    begun = time.monotonic()
    held(path, gate)
    return begun


def held_blob(path, gate, size):
    held(path, gate)
    return blob(size)


def barrier(path, parties):
    """True when `parties` tasks have arrived while this one waited."""
    note(path, os.getpid())
    until = time.monotonic() + PATIENCE
    while len(lines(path)) < parties:
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


# --------------------------------------------------------------------------------------------------------- one function
# for several roles, so that all of them have one profile and share leases


def role(what, *args):
    return globals()[what](*args)


def role_of(pair):
    return role(*pair)


# ---------------------------------------------------------------------------------------------------------------- dying


def die(how, path=None, x=None):
    if path is not None:
        note(path, x)
    if how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "SIGSEGV":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)
    elif how == "os._exit":
        os._exit(41)
    raise AssertionError(how)


def die_if(item, victim, how="SIGKILL", path=None):
    if path is not None:
        note(path, item)
    if item == victim:
        die(how)
    return 2 * item


def die_at_minus_900(number):
    if number == -900:
        die("SIGKILL")
    return number


def die_in_pair(args):
    return die_if(*args)


# -------------------------------------------------------------------------------------------------------------- raising


def fail(text="told to"):
    raise ValueError(text)


def fail_if(item, victim):
    if item == victim:
        fail(f"item {item}")
    return 2 * item


# -------------------------------------------------------------------------------------------------- stuck in three ways


def sleep_long(path):
    note(path, os.getpid())
    time.sleep(3600)


def spin_python(path):
    note(path, os.getpid())
    while True:
        pass


def spin_c(path):
    """Never ends, never lets the GIL go, never looks at signals."""
    note(path, os.getpid())
    deque(itertools.repeat(None), maxlen=0)


def hold_gil_until(path, fifo):
    """In C, with the GIL, until the test writes a byte into the fifo."""
    fd = os.open(fifo, os.O_RDWR)  # opening both ends does not wait
    libc = ctypes.PyDLL(None, use_errno=True)  # unlike CDLL, it keeps the GIL
    buffer = ctypes.create_string_buffer(1)
    note(path, os.getpid())
    while libc.read(fd, buffer, 1) != 1:
        pass
    os.close(fd)
    return "held"


# -------------------------------------------------------------------------------------------- things that do not pickle


class Unpicklable:
    def __init__(self):
        self.inner = {"handle": threading.Lock()}


class FailsToLoad:
    """Pickles, and cannot be rebuilt anywhere."""

    def __init__(self, text="x"):
        self.text = text

    def __reduce__(self):
        return _explode, (self.text,)


def _explode(text):
    raise RuntimeError(f"cannot rebuild {text}")


class NeedsTwo(Exception):
    """The classic: pickles as NeedsTwo(message), which lacks an argument."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")
        self.a, self.b = a, b


class HoldsLock(ValueError):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


def give_unpicklable(_=None):
    return Unpicklable()


def give_unloadable(_=None):
    return FailsToLoad("the result")


def raise_needs_two(_=None):
    raise NeedsTwo("salt", "pepper")


def raise_holds_lock(_=None):
    raise HoldsLock("with a lock inside")


def odd_one(item, victim, what):
    """`what()` for the victim, else 2 * item."""
    return globals()[what]() if item == victim else 2 * item


# -------------------------------------------------------------------------------------------------------------- forking


def fork_and_return(path):
    """Both processes come back from the task; the child must not be taken for the worker."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        note(path, f"child {os.getpid()}")
        return "child"
    _, status = os.waitpid(pid, 0)
    return ("parent", parent, os.waitstatus_to_exitcode(status))


def fork_and_list(path):
    """What descriptors a forked child of a task holds, beside those of its own making."""
    pid = os.fork()
    if pid == 0:
        try:
            for name in os.listdir("/proc/self/fd"):
                with contextlib.suppress(OSError):
                    note(path, f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def descriptor_of_notes(_=None):
    from procession.worker import notes

    return notes._fd


def my_descriptors(_=None):
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


# ---------------------------------------------------------------------------------------------- initializers and setups


def initialize_and_note(path):
    note(path, os.getpid())


def die_first_times(path, times, how="SIGKILL"):
    """An initializer that costs the first `times` workers their life."""
    note(path, os.getpid())
    if len(lines(path)) <= times:
        die(how)


@contextlib.contextmanager
def setup_that_dies_in_teardown(path):
    yield "state"
    note(path, os.getpid())
    die("SIGKILL")


class DyingTeardown:
    def __init__(self, path):
        self.path = path

    def __call__(self):
        return setup_that_dies_in_teardown(self.path)


# --------------------------------------------------------------------------------------------------------------- output


def speak(text):
    print(f"out: {text}")
    print(f"err: {text}", file=sys.stderr)
    return text


def give_or_die(values, k):
    """The k-th value; dies at the end of them, and raises an exception that is among them."""
    if k == len(values):
        os.kill(os.getpid(), signal.SIGKILL)
    if isinstance(values[k], Exception):
        raise values[k]
    return values[k]


# ------------------------------------------------------------------------------------------ tasks that are ended, again


def hang_if(item, victim, how="sleep"):
    if item == victim:
        {"sleep": sleep_long, "python": spin_python, "c": spin_c}[how](os.devnull)
    return 2 * item


def fail_first_times(path, times, error=ValueError):
    """Notes each run; the first so many fail."""
    note(path, os.getpid())
    run = len(lines(path))
    if run <= times:
        raise error(f"run {run}")
    return run


def fail_now_and_then(path, item):
    """The first run of every third item fails."""
    note(path, item)
    if item % 3 == 0 and lines(path).count(str(item)) == 1:
        raise ValueError(f"not yet, {item}")
    return 2 * item


def heed(path, how, patience=PATIENCE):
    """Works until it is asked to end; says when it began, and that it was asked."""
    import procession

    note(path, "began")
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if how == "raises":
            procession.checkpoint()
        elif procession.cancelled():
            note(path, "asked")
            return "left early"
        time.sleep(0.001)
    raise AssertionError("was not asked")


def heed_none(path):
    """Says whether it was asked; is never."""
    import procession

    procession.checkpoint()
    note(path, procession.cancelled())
    return procession.cancelled()


# A program that has started another, and tidies up when it is told to end. It says its pid and the other's. That one is
# forked before there is a trap: a SIGTERM between its fork and its exec would be caught there, and forgotten.
TIDY = """
sleep 3600 &
trap 'echo tidied >> "$1"; exit' TERM
echo "$$ $!" >> "$1"
wait
"""


def in_a_program(path, *, detached=False):
    """Waits in a program that waits in another; with `detached`, in sessions of their own. Would say if one ended."""
    import subprocess

    subprocess.run(["sh", "-c", TIDY, "sh", path], start_new_session=detached)
    note(path, "saw its end")


def swell_beside_a_program(path):
    """Takes more and more memory once `in_a_program` has one."""
    threading.Thread(target=in_a_program, args=[path], daemon=True).start()
    blocks = []
    while True:
        time.sleep(0.001)
        if lines(path):
            blocks.append(bytes(1 << 20).replace(b"\0", b"x"))


# --------------------------------------------------------------------------------------------------------- live sources


def so_many(count, items):
    return [0] * count


def note_and_lose_one(path, items):
    note(path, " ".join(map(str, items)))
    return items[1:]


def die_together(path, poisonous, items):
    note(path, " ".join(map(str, items)))
    if any(x in poisonous if isinstance(poisonous, set) else x == poisonous for x in items):
        os.kill(os.getpid(), signal.SIGKILL)
    return items


def third(x):
    return x % 3


def each(fn, *args):
    """For a batch: the last of `args` is the list."""
    return [fn(*args[:-1], x) for x in args[-1]]


def pid_and_wait(path, gate, x):
    """The first says its pid, and waits until it is killed, or the gate is open."""
    if not lines(path):
        note(path, str(os.getpid()))
        while not os.path.exists(gate):
            time.sleep(0.001)
    return x


def note_pid_and_wait_for_second(path, gate):
    note(path, str(os.getpid()))
    if len(lines(path)) <= 2:
        while not os.path.exists(gate):
            time.sleep(0.001)


def without_state(fn, _state, x):
    return fn(x)


def with_pid(x):
    return x, os.getpid()


ballast = []


def grow_and_say(x):
    if not ballast:
        ballast.append(b"x" * (40 << 20))
    time.sleep(0.002)
    return x, os.getpid()


def die_now_and_then(path, x):
    note(path, str(x))
    if x % 10 == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return x
