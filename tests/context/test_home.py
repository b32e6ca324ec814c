"""What a worker has of the program's, and from when: the table of docs/context.md, row by row."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import decimal, gc, json, locale, logging, os, random, resource, signal, sys, threading, time, warnings
from procession import Pool

def look():
    os.umask(mask := os.umask(0))
    return {
        "cwd": os.getcwd(),
        "umask": mask,
        "environ": os.environ.get("MINE"),
        "time zone": time.tzname[0],
        "sys.path": sys.path[0],
        "sys.argv": sys.argv[1:],
        "recursion": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(),
        "levels": logging.getLogger("mine").getEffectiveLevel(),
        "filters": str(warnings.filters[0]),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "nice": os.nice(0),
        "hash": hash("a text"),
        "options": [sys.flags.optimize, sys._xoptions.get("mine")],
        "gc": gc.isenabled(),
        "switch": sys.getswitchinterval(),
        "excepthook": sys.excepthook is sys.__excepthook__,
        "signals": signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL,
        "precision": decimal.getcontext().prec,
        "stack size": threading.stack_size(),
        "locale": locale.setlocale(locale.LC_NUMERIC),
    }

def change():
    os.chdir("/")
    os.umask(0o007)
    os.environ["MINE"] = "changed"
    os.environ["TZ"] = "XYZ+3"
    time.tzset()
    sys.path.insert(0, "/nowhere")
    sys.argv[1:] = ["changed"]
    sys.setrecursionlimit(5000)
    sys.set_int_max_str_digits(9999)
    logging.getLogger("mine").setLevel(33)
    warnings.simplefilter("error", FutureWarning)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    os.nice(1)
    gc.disable()
    sys.setswitchinterval(0.5)
    sys.excepthook = print
    signal.signal(signal.SIGUSR1, print)
    decimal.getcontext().prec = 7
    threading.stack_size(1 << 20)
    locale.setlocale(locale.LC_NUMERIC, "C.UTF-8")

with Pool(1) as pool:
    seen = [look(), pool.submit(look).result()]
    change()
    seen += [look(), pool.submit(look).result()]
    with Pool(1) as second:
        seen.append(second.submit(look).result())
with Pool(1) as third:
    seen.append(third.submit(look).result())
print(json.dumps(seen))
"""

NOW = {"levels", "filters", "precision"}
START_OF_THE_WORKER = {"cwd", "umask", "environ", "time zone", "sys.path", "sys.argv", "recursion", "digits"}
START_OF_THE_FIRST = {"files", "nice", "options"}
NEVER = {"gc", "switch", "excepthook", "signals", "stack size", "locale"}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """At home, in a worker; and, when all has been changed, at home, in the same worker, in a new one, and in one that
    is started when no other pool is there."""
    file = tmp_path_factory.mktemp("home") / "program.py"
    file.write_text(PROGRAM)
    told = [sys.executable, "-O", "-X", "mine=1", file, "an argument"]
    done = subprocess.run(told, cwd=file.parent, capture_output=True, text=True, timeout=90)
    assert (done.stderr, done.returncode) == ("", 0)
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_what_is_told_now(seen: list[dict[str, object]]) -> None:
    before, worker, after, same, new, _ = seen
    for row in NOW:
        assert (worker[row], same[row], new[row]) == (before[row], after[row], after[row]), row
        assert before[row] != after[row]


def test_what_is_taken_over_when_a_worker_starts(seen: list[dict[str, object]]) -> None:
    before, worker, after, same, new, _ = seen
    for row in START_OF_THE_WORKER:
        assert (worker[row], same[row], new[row]) == (before[row], before[row], after[row]), row
        assert before[row] != after[row]


def test_what_is_taken_over_when_the_first_pool_begins(seen: list[dict[str, object]]) -> None:
    before, worker, after, same, new, anew = seen
    for row in START_OF_THE_FIRST:
        assert worker[row] == same[row] == new[row] == before[row], row
        assert anew[row] == after[row]
    assert worker["hash"] == same["hash"] == new["hash"] == anew["hash"]


def test_what_a_worker_has_of_its_own(seen: list[dict[str, object]]) -> None:
    before, worker, after, same, new, _ = seen
    for row in NEVER:
        assert before[row] != after[row]
        assert worker[row] == same[row] == new[row] == before[row], row


def test_what_a_task_needs_to_be_deep_is_deep_there(tmp_path: Path) -> None:
    program = """
import sys
from procession import Pool
def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)
sys.setrecursionlimit(4000)
with Pool(1) as pool:
    print(pool.submit(deep, 3000).result())
sys.setrecursionlimit(60)
with Pool(1) as pool:
    print(pool.submit(abs, -2).result())
"""
    file = tmp_path / "program.py"
    file.write_text(program)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("3000\n2\n", "")
