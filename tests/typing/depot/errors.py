"""What an error tells."""

import random
from typing import Literal, assert_type

import numpy

import procession
from procession import (
    Full,
    MemoryLimit,
    PicklingError,
    PoisonTask,
    Pool,
    RemoteError,
    TaskTimeout,
    WorkerDied,
    WorkerStartError,
    cancelled,
    checkpoint,
    np_rng,
    rng,
)


def told(pool: Pool, count: int) -> str:
    try:
        return pool.submit(str, count).result()
    except MemoryLimit as error:
        assert isinstance(error, MemoryError)
        return error.args[0] if error.args else ""
    except PoisonTask as error:
        return f"{error.pid}"
    except WorkerDied as error:
        assert_type(error.pid, int | None)
        assert_type(error.exitcode, int | None)
        return f"{error.exitcode}"
    except TaskTimeout as error:
        assert isinstance(error, TimeoutError)
        assert_type(error.where, Literal["running", "queued"])
        return error.where
    except Full as error:
        return f"{error.taken}"
    except (PicklingError, RemoteError, WorkerStartError) as error:
        assert isinstance(error, procession.ProcessionError)
        return repr(error)


def task() -> float:
    if cancelled():
        checkpoint()
    assert_type(rng(), random.Random)
    assert_type(np_rng(), numpy.random.Generator)
    return rng().random()


assert_type(procession.accelerated, bool)
assert_type(procession.__version__, str)
