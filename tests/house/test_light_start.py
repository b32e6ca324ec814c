"""What a fresh program loads until its first result, and in what order: where its time goes is held without a clock."""

import json
import subprocess
import sys

# All that a zygote loads before it can fork a first worker; what more it holds, it loads when it has nothing to do.
ZYGOTE = {
    *("__future__", "_collections", "_compat_pickle", "_functools", "_operator", "_pickle", "_socket", "_struct"),
    *("collections", "collections.abc", "copyreg", "faulthandler", "fcntl", "functools", "itertools", "keyword"),
    *("marshal", "mmap", "operator", "reprlib", "resource", "select", "struct", "types"),
    *("procession", "procession._version", "procession.errors", "procession.transport", "procession.worker"),
    *(f"procession.transport.{name}" for name in ("frames", "identity", "importable", "page", "rebuild", "remote")),
    *("procession.transport.shared", "procession.worker.asked", "procession.worker.boot"),
    *(
        f"procession.worker.{name}"
        for name in ("functions", "loop", "packets", "reaping", "resting", "showing", "state")
    ),
    *("procession.worker.stdio", "procession.worker.zygote"),
    *("procession._native", "procession._native._c", "procession.worker.fast", "procession.worker.arena"),
    *(
        "procession.transport.aside",
        "procession.worker.share",
        "procession.sharing",
        "procession.worker.notes",
        "procession.worker.home",
        "procession.worker.imports",
        "procession.transport.notes",
        "_contextvars",  # it is in the interpreter
    ),
}

# What a program with a Pool(2) and one submit has no use for.
NEVER = {
    *("asyncio", "cloudpickle", "concurrent.futures.process", "concurrent.futures.thread", "copy", "ctypes"),
    *("dataclasses", "hashlib", "inspect", "json", "math", "multiprocessing", "numpy", "procession.seeing"),
    *("procession.backends.stalls", "procession.driver.threads", "procession.pool_room"),
    *("procession.surroundings", "procession.worker.surroundings"),
    *("procession.spinoff", "procession.streams", "psutil", "queue", "random", "rich", "selectors", "shutil"),
    *("signal", "socket", "sqlite3", "subprocess", "tempfile"),
}

# What a program may load before it starts its zygote: the rest comes while that comes up.
LATE = ("core.pool", "driver.loop", "driver.arrange", "transport.codec", "backends.channel", "backends.launch_zygote")

PROGRAM = """
import os, sys
before, seen = set(sys.modules), []
def hook(event, args):
    if event in ("import", "os.posix_spawn"):
        seen.append(args[0] if event == "import" else event)
sys.addaudithook(hook)
from procession import Pool
pool = Pool(2)
made = list(seen)
future = pool.submit(abs, -1)
assert future.result() == 1
loaded = sorted(set(sys.modules) - before)
pool.shutdown()
import json
print(json.dumps([made, seen, loaded]))
"""


def fresh(program: str) -> object:
    """What `program` prints as JSON, in an interpreter that has imported nothing of ours, with no options."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def first_result() -> tuple[list[str], list[str], set[str]]:
    made, seen, loaded = fresh(PROGRAM)  # type: ignore[misc]
    return made, seen, set(loaded)


def test_the_zygote_loads_this_and_no_more_before_its_first_fork() -> None:
    program = """
import json, sys
before = set(sys.modules)
import procession.worker.zygote, procession.worker.boot, procession.worker.loop
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    loaded = fresh(program)
    assert isinstance(loaded, list)
    assert set(loaded) <= ZYGOTE


def test_what_comes_later_is_there_to_come() -> None:
    from procession.worker import zygote

    assert not ZYGOTE & set(zygote.LATER)
    for name in zygote.LATER:
        __import__(name)


def test_a_first_result_loads_nothing_that_only_others_need() -> None:
    _, _, loaded = first_result()
    assert not loaded & NEVER


def test_a_pool_that_is_made_starts_nothing() -> None:
    made, _, _ = first_result()
    assert "os.posix_spawn" not in made
    assert not {f"procession.{name}" for name in LATE} & set(made)


def test_the_zygote_is_started_before_the_modules_that_drive_the_pool_are_loaded() -> None:
    _, seen, _ = first_result()
    spawned = seen.index("os.posix_spawn")
    assert seen.count("os.posix_spawn") == 1
    early, late = seen[:spawned], seen[spawned:]
    for name in LATE:
        assert f"procession.{name}" not in early
        assert f"procession.{name}" in late
    assert "typing" not in early


def test_who_asks_a_pool_before_it_begins_holds_no_import_that_a_signal_handler_may_wait_for() -> None:
    """The handler's submit waits for another thread, which imports what `stats` is just having imported."""
    program = """
import json, os, signal, sys, threading
from procession import Pool
first, second, said = Pool(1), Pool(1), []
main = threading.main_thread().ident
class Striking:
    def find_spec(self, name, path=None, target=None):
        if name == "procession.core.pool":
            sys.meta_path.remove(self)
            signal.pthread_kill(main, signal.SIGUSR1)
signal.signal(signal.SIGUSR1, lambda *_: said.append(second.submit(abs, -2).result()))
sys.meta_path.insert(0, Striking())
said.append(first.stats().max_workers)
said.append(first.submit(abs, -3).result())
first.shutdown()
second.shutdown()
print(json.dumps(said))
"""
    said = fresh(program)
    assert isinstance(said, list)
    assert sorted(said) == [1, 2, 3]


def test_a_pool_that_was_asked_before_it_began_is_the_same_afterwards() -> None:
    program = """
import json
from procession import Pool
pool = Pool(3)
said = [pool.stats().workers, pool.dump().splitlines()[0]]
core = pool._engine.core
said += list(pool.map(abs, [-1, -2]))
said.append(pool._engine.core is core)
pool.shutdown()
print(json.dumps(said))
"""
    workers, line, *rest = fresh(program)  # type: ignore[misc]
    assert workers == 0
    assert "0 of 3 workers" in line
    assert rest == [1, 2, True]
