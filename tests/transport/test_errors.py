"""The tree of errors."""

import concurrent.futures
import pickle
import queue
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from concurrent.futures.thread import BrokenThreadPool

import pytest

from procession import errors


def test_the_tree():
    assert issubclass(errors.WorkerDied, BrokenProcessPool)
    assert issubclass(errors.WorkerStartError, BrokenProcessPool)
    assert issubclass(errors.WorkerStartError, BrokenThreadPool)
    assert issubclass(errors.PicklingError, (pickle.PicklingError, TypeError, AttributeError))
    assert issubclass(errors.Full, queue.Full)
    for name in errors.__all__:
        made = getattr(errors, name)
        if isinstance(made, type):
            assert issubclass(made, errors.ProcessionError)
            assert pickle.loads(pickle.dumps(made)) is made
            assert made is getattr(errors, name)
            assert made.__module__ == "procession.errors"


def test_there_is_nothing_else():
    with pytest.raises(AttributeError):
        errors.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            errors.WorkerDied("resize", -9, 123, 17),
            "the worker running resize[17] (pid 123) was killed by SIGKILL; only this task is lost",
        ),
        (errors.WorkerDied("f", 3), "the worker running f exited with code 3; only this task is lost"),
        (
            errors.WorkerDied("f", None, 5),
            "the worker running f (pid 5) died, how is not known; only this task is lost",
        ),
        (errors.WorkerDied("f", -62), "the worker running f was killed by signal 62; only this task is lost"),
    ],
)
def test_worker_died(error, text):
    assert str(error) == text
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is errors.WorkerDied
    assert vars(again) == vars(error)
    assert error.signal == (-error.exitcode if error.exitcode is not None and error.exitcode < 0 else None)


def test_others_pickle():
    for error in (errors.Full("x"), errors.WorkerStartError("why"), errors.PicklingError("p")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert again.args == error.args


@pytest.mark.parametrize("module", ["procession.errors", "procession.transport.codec", "procession.worker.functions"])
def test_imports_are_cheap(module):
    dear = {"concurrent.futures", "multiprocessing", "queue", "traceback", "inspect", "cloudpickle", "threading", "dis"}
    code = (
        "import sys; sys.modules.pop('threading', None); before = set(sys.modules);"
        f"import {module}; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not dear & set(done.stdout.split())
    assert concurrent.futures.Future
