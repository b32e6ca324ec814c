"""What the tasks of these tests do. Few imports: a worker imports this module."""

import os
import signal
from typing import Any

import numpy as np

kept: list[Any] = []


def total(array: Any) -> float:
    return float(array.sum())


def length(data: Any) -> int:
    return len(data)


def echo(value: Any) -> Any:
    return value


def same(value: Any) -> tuple[str, Any]:
    return type(value).__name__, value


def full(count: int, value: float) -> Any:
    return np.full(count, value)


def text(size: int) -> Any:
    return b"x" * size


def double_in_place(array: Any) -> float:
    array *= 2
    return float(array.sum())


def writeable(array: Any) -> bool:
    return bool(array.flags.writeable)


def keep(array: Any) -> int:
    kept.append(array)
    return os.getpid()


def kept_total() -> float:
    return float(kept[-1].sum())


def forget() -> None:
    kept.clear()


def die_once(flag: str, array: Any) -> float:
    """The first run writes to its argument and kills its worker; the second tells what it sees."""
    seen = float(array.sum())
    array[:] = -1
    if not os.path.exists(flag):
        with open(flag, "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return seen


def fail_once(flag: str, array: Any) -> float:
    seen = float(array.sum())
    array[:] = -1
    if not os.path.exists(flag):
        with open(flag, "w"):
            pass
        raise ValueError("the first time")
    return seen


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fork_and_look(array: Any) -> int:
    """A child of the task reads its argument, and lets go of it."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = 0 if float(array.sum()) == array.size else 2
            del array
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refuse(array: Any) -> Any:
    """A result that does not pickle, with something large before what is at fault."""
    return [np.ones(1 << 17), array, open(os.devnull)]


def raise_with(array: Any) -> None:
    raise ValueError(array)


def lend(count: int) -> Any:
    import procession

    made = procession.zeros(count)
    made[:] = 5
    kept.append(made)
    return made


def nested(count: int) -> float:
    from procession import Pool

    with Pool(1) as pool:
        return pool.submit(total, np.ones(count)).result() + float(pool.submit(full, count, 2.0).result().sum())


def hold_the_last(fifo: str, array: Any) -> float:
    if array[0] == 5:
        with open(fifo, "rb") as file:
            file.read()
    return float(array.sum())
