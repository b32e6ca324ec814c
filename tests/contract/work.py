"""What the contract's tasks do, importable by a worker that knows nothing of pytest."""

import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
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


def stops_at_three(x: int) -> int:
    return x if x != 3 else next(iter(()))


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


def count(n: int) -> Iterator[int]:
    yield from range(n)


def count_and_fail(n: int, text: str) -> Iterator[int]:
    yield from range(n)
    raise ValueError(text)


def noted(path: str, n: int) -> Iterator[int]:
    """Says what it is asked for, and how it ends."""
    try:
        for i in range(n):
            note(path, str(i))
            yield i
    finally:
        note(path, "finally")


def gated(arrivals: str, tickets: str, n: int, path: str) -> Iterator[int]:
    """Before each value but the first a ticket is needed."""
    try:
        yield 0
        for i in range(1, n):
            pass_gate(arrivals, tickets)
            yield i
    finally:
        note(path, "finally")


def here(n: int) -> Iterator[tuple[int, int]]:
    """Where each value was made."""
    for _ in range(n):
        yield os.getpid(), threading.get_ident()


def grows(n: int, size: int) -> Iterator[Any]:
    """`n` small values, and then large ones, each of which takes longer than a turn."""
    yield from range(n)
    while True:
        time.sleep(0.03)
        yield bytes(size)


def yields_of(kind: Any, n: int) -> Iterator[Any]:
    for _ in range(n):
        yield kind()


def asks(path: str) -> Iterator[int]:
    """Counts, and goes on when what it has yielded is found there, on a line of its own."""
    for i in range(1000):
        yield i
        until = time.monotonic() + 20.0
        while not os.path.exists(path) or str(i) not in Path(path).read_text().split():
            if time.monotonic() > until:
                raise TimeoutError(f"nobody has taken {i}")
            time.sleep(0.002)


def tells_where(path: str) -> Iterator[int]:
    """The thread in which it was begun, and the one in which it was closed."""
    note(path, threading.current_thread().name)
    try:
        yield from range(1_000_000)
    finally:
        note(path, threading.current_thread().name)
        note(path, "finally")


def ends_too_early() -> Iterator[int]:
    """No generator function: what it raises is its own."""
    return iter([next(iter(()))])


def ends_twice() -> Iterator[int]:
    yield 1
    raise StopAsyncIteration("of something else")


def stubborn() -> Iterator[int]:
    try:
        yield from range(1_000_000)
    finally:
        raise ValueError("it will not end well")


class Counter:
    """An iterable that is no generator."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.n))


async def asynchronous() -> AsyncIterator[int]:
    yield 1


def returns_asynchronous() -> Any:
    return asynchronous()


class NotHere:
    """Pickles, and cannot be rebuilt."""

    def __reduce__(self) -> Any:
        return work_fails, ()


def work_fails() -> None:
    raise LookupError("not rebuilt")


def yields(*values: Any) -> Iterator[Any]:
    yield from values


def spoiled(path: str) -> Iterator[Any]:
    try:
        yield 1
        yield 2
        yield NotHere()
        yield from range(1_000_000_000)
    finally:
        note(path, "finally")


def yields_a_lock() -> Iterator[Any]:
    yield 1
    yield threading.Lock()
    yield 3


def state_and_name() -> Iterator[Any]:
    from procession import state

    yield state()
    yield state()


def fails_first(path: str, n: int) -> Iterator[int]:
    """At its first two runs it fails before its last value."""
    note(path, "run")
    with open(path) as file:
        runs = file.read().count("run")
    for i in range(n):
        if i == n - 1 and runs <= 2:
            raise OSError(f"run {runs}")
        yield i
