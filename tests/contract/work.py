"""What the contract's tasks do, importable by a worker that knows nothing of pytest."""

import os
import signal
import threading
import time
from typing import Any

PLACE = threading.local()


def square(x: int) -> int:
    return x * x


def add(x: int, y: int = 1) -> int:
    return x + y


def capture(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def fail(text: str) -> None:
    raise ValueError(text)


def fail_on_three(x: int) -> int:
    if x == 3:
        raise ValueError(f"no {x}")
    return x


def leave(code: int) -> None:
    raise SystemExit(code)


def pass_gate(arrivals: str, tickets: str, value: Any = None) -> Any:
    """Say that it runs, wait for a ticket, return `value`. Works across threads and processes, and without polling.

    The tickets are opened first: what was written stays there for this reader when the writer has gone.
    """
    with open(tickets, "rb", 0) as tickets_file:
        with open(arrivals, "wb", 0) as out:
            out.write(b".")
        tickets_file.read(1)
    return value


def note(path: str, text: str) -> None:
    """Add a line, in one write: many tasks may do so at once."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


def note_and_return(path: str, x: Any) -> Any:
    note(path, str(x))
    return x


def initialize(path: str, value: Any) -> None:
    note(path, "initializer")
    PLACE.value = value


def initialized_value() -> Any:
    return getattr(PLACE, "value", None)


def refuse_to_start() -> None:
    raise RuntimeError("not today")


class Resource:
    """A setup that is a context manager, and leaves a trace."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> str:
        note(self.path, "enter")
        return f"resource {os.getpid()}"

    def __exit__(self, *exc_info: object) -> None:
        note(self.path, "exit")


def read_state(_: Any = None) -> Any:
    import procession

    return procession.state()


def where() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def nested(backend: Any, n: int) -> list[int]:
    import procession

    with procession.Pool(2, backend=backend) as pool:
        return list(pool.map(square, range(n)))


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def die_once(path: str, x: int) -> int:
    """Number 2 kills its worker, once."""
    if x == 2 and not os.path.exists(path):
        note(path, "died")
        os.kill(os.getpid(), signal.SIGKILL)
    return x
