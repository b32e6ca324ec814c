"""Tasks for tests of clusters."""

import os
import time
from typing import Any


def square(n: int) -> int:
    return n * n


def square_text(text: str) -> str:
    return text * 2


def host() -> int:
    """The process of the cluster in which the agent of this worker is: the parent of the zygote."""
    with open(f"/proc/{os.getppid()}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def note(path: str, n: int) -> int:
    """Say, where all can read it, that this item has started."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, b"%d\n" % n)
    finally:
        os.close(fd)
    return n


def note_and_wait(path: str, seconds: float, n: int) -> int:
    note(path, n)
    time.sleep(seconds)
    return n


def arrive_and_pass(arrivals: str, tickets: str) -> int:
    """Say that it runs, and in which process of the cluster; then wait for a ticket."""
    here = host()
    with open(arrivals, "w") as file:
        file.write(f"{here}\n")
    with open(tickets, "rb", buffering=0) as file:
        file.read(1)
    return here


def environment(name: str) -> str | None:
    return os.environ.get(name)


def ask_ray() -> Any:
    """As a task may, of the cluster that it runs on."""
    import ray

    with_it = ray.init(ignore_reinit_error=True, configure_logging=False, log_to_driver=False)
    try:
        return ray.get(ray.put(with_it is not None))
    finally:
        ray.shutdown()


def ask_dask() -> Any:
    import distributed

    with distributed.Client() as client:
        return client.submit(abs, -25).result()


def state() -> Any:
    import procession

    return procession.state()


class Model:
    """A setup, which says when it is made and left."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> int:
        note(self.path, 1)
        return os.getpid()

    def __exit__(self, *exc_info: object) -> None:
        note(self.path, 2)
