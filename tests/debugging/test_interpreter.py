"""What debuggers and profilers rest on in a worker: options of the interpreter, and what was opened as it started."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parents[2] / "src"


def run(folder: Path, program: str, *options: str, pass_fds: tuple[int, ...] = ()) -> Any:
    file = folder / "program.py"
    file.write_text(program)
    done = subprocess.run(
        [sys.executable, *options, file],
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{SOURCES}"},
        pass_fds=pass_fds,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return json.loads(done.stdout)


def test_options_of_the_interpreter_hold_in_workers(tmp_path: Path) -> None:
    program = """
import json, sys
from procession import Pool
def told():
    return sys._xoptions, list(sys.flags)
with Pool(1) as pool:
    print(json.dumps([told(), pool.submit(told).result()]))
"""
    options = ["-O", "-X", "mine=1", "-X", "no_debug_ranges", "-X", "faulthandler", "-X", "tracemalloc=3", "-b"]
    here, there = run(tmp_path, program, *options)
    assert here == there
    assert here[0].keys() >= {"mine", "no_debug_ranges", "faulthandler", "tracemalloc"}


def test_what_the_interpreter_has_opened_stays_open_in_workers(tmp_path: Path) -> None:
    """A perf map and a debugger's connection are such; what the parent has leaked is not there."""
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nsys.opened = os.open(__file__, os.O_RDONLY)\n")
    program = """
import json, os, sys
from procession import Pool
def told():
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink("/proc/self/fd/" + fd))
        except OSError:
            pass
    return os.path.samestat(os.fstat(sys.opened), os.stat(sys.modules["sitecustomize"].__file__)), LEAKED in found
LEAKED = os.path.realpath(sys.modules["sitecustomize"].__file__ + ".leaked")
with Pool(1) as pool:
    print(json.dumps([told(), pool.submit(told).result()]))
"""
    leaked = os.open(tmp_path / "sitecustomize.py.leaked", os.O_RDONLY | os.O_CREAT)
    try:
        assert run(tmp_path, program, pass_fds=(leaked,)) == [[True, True], [True, False]]
    finally:
        os.close(leaked)
