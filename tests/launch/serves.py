"""What the workers of these tests run instead of the real serve loop: few imports, one function a scenario."""

import marshal
import os
import signal
import sys

from procession.worker import boot, stdio
from procession.worker.boot import present

SERVE = "tests.launch.serves:serve"


def serve(files, config):
    """`config["do"]` names the scenario; `config["with"]` are its arguments."""
    return globals()[config["do"]](files, *config.get("with", ()))


def say(files, value):
    data = marshal.dumps(value)
    os.write(files.results, len(data).to_bytes(4, "little") + data)


def told(files):
    """The next byte from the parent; b"" when it has closed the task pipe."""
    return os.read(files.tasks, 1)


def idle(files):
    say(files, "ready")
    told(files)


def leave(files, code):
    sys.exit(code)


def fail(files):
    raise ValueError("a fault of the serve function")


def echo(files, value):
    say(files, value)
    told(files)


def descriptors(pid="self"):
    """Number to target; the descriptor of the listing itself leads nowhere any more."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            pass
    return found


def ask(files, *questions):
    """Say what each expression is worth here."""
    say(
        files,
        [
            eval(question, {"os": os, "sys": sys, "files": present(files), "descriptors": descriptors})
            for question in questions
        ],
    )
    told(files)


def touch(files, size, code):
    """Have so many bytes in memory for a moment, and leave."""
    block = bytearray(b"x") * size
    block.clear()
    sys.exit(code)


def run_larger(files, size):
    """Have a process of our own take so much, and wait for it."""
    import subprocess

    subprocess.run([sys.executable, "-c", f"b'x' * {size}"], check=True)


def hog(files):
    """Hold the GIL in C code, for a minute."""
    import ctypes

    say(files, "ready")
    ctypes.PyDLL(None).sleep(60)


def write(files, *pieces):
    """Each piece is (how, text); then say so, and idle."""
    for how, text in pieces:
        if how == "out":
            print(text, end="")
        elif how == "err":
            print(text, end="", file=sys.stderr)
        elif how == "fd":
            os.write(1, text if isinstance(text, bytes) else text.encode())
        elif how == "flush":
            stdio.flush()
        elif how == "system":
            os.system(text)
    say(files, "written")
    told(files)


def write_and_die(files, text):
    print(text)
    os.kill(os.getpid(), 9)


def lines(files, letter, length, count):
    for _ in range(count):
        print(letter * (length - 1))
    say(files, "written")
    told(files)


def one_print(files, letter, length, count):
    """All lines in one call: larger than PIPE_BUF."""
    sys.stdout.write((letter * (length - 1) + "\n") * count)
    say(files, "written")
    told(files)


def fork_and_return(files):
    """As a task that forks and comes back in both processes."""
    print("partial", end="")
    pid = os.fork()
    if pid == 0:
        os.write(files.results, b"the child writes where nobody reads")
        if not boot.forked:
            say(files, "forked is not set")
        return  # to boot, as the serve loop does
    _, status = os.waitpid(pid, 0)
    say(files, (boot.forked, os.waitstatus_to_exitcode(status)))
    told(files)


def fork_and_raise(files, code):
    """As the serve loop leaves when it finds itself in a forked process: by an exception."""
    import multiprocessing.util

    multiprocessing.util.Finalize(None, print, args=("a finalizer of the worker",), exitpriority=1)
    pid = os.fork()
    if pid == 0:
        raise SystemExit(code)
    _, status = os.waitpid(pid, 0)
    say(files, os.waitstatus_to_exitcode(status))
    told(files)


def leave_a_grandchild(files):
    """A process that outlives this one and holds whatever a fork holds."""
    pid = os.fork()
    if pid == 0:
        print("grandchild", descriptors())
        signal.pause()
    say(files, (pid, descriptors(), present(files)))
    told(files)


def nested(files):
    """What multiprocessing believes, and a child of its own."""
    import multiprocessing
    import multiprocessing.process as process

    parent = multiprocessing.parent_process()
    me = multiprocessing.current_process()
    child = multiprocessing.get_context("fork").Process(target=print, args=("nested child",))
    child.start()
    child.join()
    say(files, (parent.pid, parent.name, parent.is_alive(), me.name, bytes(me.authkey), child.exitcode))
    assert process._parent_process is parent
    told(files)


def at_the_end(files):
    """A thread that outlives serve, and an atexit function: both are waited for."""
    import atexit
    import threading

    def late():
        threading.main_thread()._started.wait()
        told(files)
        print("the thread has ended")

    threading.Thread(target=late).start()
    atexit.register(print, "atexit has run")
    say(files, "ready")
