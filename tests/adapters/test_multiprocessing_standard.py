"""CPython's own tests of multiprocessing.Pool, by an interpreter that has them; a deviation that passes fails here."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conformance import interpreters

PROGRAM = Path(__file__).with_name("standard_tests.py")

DEVIATIONS = {
    "PoolOfProcesses.test_imap_handle_iterable_exception": "chunksize changes nothing: what a source gave before it"
    " raised comes out, whole chunk or not",
    "PoolOfThreads.test_imap_handle_iterable_exception": "the same",
    "PoolOfProcesses.test_make_pool": "looks at private names: workers are started when there is work",
    "PoolOfThreads.test_make_pool": "the same",
    "Lifetime.test_pool_worker_lifetime": "the same, and calls a private method",
    "PoolOfProcesses.test_resource_warning": "sets a private name; a pool that is dropped finishes its work",
    "PoolOfThreads.test_resource_warning": "the same",
    "PoolOfProcesses.test_traceback": "the cause with the worker's stack is the one of concurrent.futures",
    "PoolOfProcesses.test_map_unplicklable": "what cannot be pickled is a PicklingError that says where it is",
    "Errors.test_unpickleable_result": "the result is a lambda, which can be sent here",
}


@pytest.mark.timeout(300)
def test_it_is_the_standard_librarys() -> None:
    interpreter = interpreters.find()
    interpreter.make_ready()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(interpreter.path), "PROCESSION_TOP": "0"}
    done = subprocess.run(
        [interpreter.python, str(PROGRAM)], env=environ, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ran"] >= 50
    wrong = {name: text for name, text in told["bad"].items() if name not in DEVIATIONS}
    assert not wrong, json.dumps(wrong, indent=2)
    assert told["bad"].keys() == DEVIATIONS.keys()
