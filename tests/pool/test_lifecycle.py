"""How pools end that nobody ends: with the interpreter, in a forked child, by Ctrl-C; each in a process of its own."""

import signal
import subprocess
import sys

import pytest

BACKENDS = ["threads", "processes"]


def run(program: str, *, code: int = 0) -> tuple[str, str]:
    """stdout and stderr of a program; it is a script, and so has a `__main__` of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_queue_drains_at_exit(backend: str) -> None:
    out, err = run(f"""
import os, time, procession
pool = procession.Pool(2, backend={backend!r})
def say(n):
    time.sleep(0.01)
    os.write(1, b"%d\\n" % n)
for n in range(20):
    pool.submit(say, n)
""")
    assert sorted(map(int, out.split())) == list(range(20))
    assert err == ""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pool_shut_down_without_waiting_drains_at_exit(backend: str) -> None:
    out, err = run(f"""
import time, procession
pool = procession.Pool(1, backend={backend!r})
def say(n):
    time.sleep(0.01)
    print(n, flush=True)
for n in range(5):
    pool.submit(say, n)
pool.shutdown(wait=False)
""")
    assert out.split() == ["0", "1", "2", "3", "4"]
    assert err == ""


@pytest.mark.parametrize("backend", [*BACKENDS, "inline"])
def test_submit_is_refused_when_the_interpreter_ends(backend: str) -> None:
    out, _ = run(f"""
import atexit, procession
@atexit.register
def late():
    for each in (pool, procession.Pool(1, backend={backend!r})):
        try:
            each.submit(abs, -1)
        except RuntimeError as error:
            print(error)
pool = procession.Pool(1, backend={backend!r})
print(pool.submit(abs, -1).result())
""")
    first, *rest = out.splitlines()
    assert first == "1"
    assert len(rest) == 2
    assert all(line.startswith("cannot schedule new futures after") for line in rest)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_at_top_level_ends_the_program(backend: str) -> None:
    """What runs for a minute is not waited for, what waits never runs."""
    out, err = run(
        f"""
import os, signal, threading, time, procession
pool = procession.Pool(1, backend={backend!r})
running = pool.submit(time.sleep, 60)
for n in range(10):
    pool.submit(print, "never")
while not running.running():
    time.sleep(0.001)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
""",
        code=-signal.SIGINT,
    )
    assert out == ""
    assert "KeyboardInterrupt" in err


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_forked_child_is_refused_and_ends_in_order(backend: str) -> None:
    out, err = run(f"""
import os, procession
pool = procession.Pool(1, backend={backend!r})
with pool:
    print(pool.submit(abs, -1).result(), flush=True)
    child = os.fork()
    if not child:
        try:
            pool.submit(abs, -2)
        except RuntimeError as error:
            print(error, flush=True)
if child:
    print(os.waitpid(child, 0)[1], flush=True)
else:
    with procession.Pool(1, backend={backend!r}) as own:
        print(own.submit(abs, -3).result(), flush=True)
""")
    lines = out.splitlines()
    assert lines[0] == "1"
    assert "belongs to the parent process" in lines[1]
    assert lines[2:] == ["3", "0"]
    assert "Traceback" not in err


def test_nothing_is_registered_before_there_is_a_pool() -> None:
    out, _ = run("""
import threading
registered = []
threading._register_atexit = lambda function, *args: registered.append(function.__module__)
def ours():
    return sum(name.startswith("procession") for name in registered)
import procession, procession.futures, procession.pool
print(ours())
procession.Pool(1, backend="threads")
print(ours())
procession.Pool(1, backend="threads")
print(ours())
""")
    assert out.split() == ["0", "1", "1"]
