"""What workers do here: write dumps of themselves. Few imports: every worker that runs one imports this module."""

import faulthandler
import threading


def dump(path: str) -> None:
    """All threads, of which one other waits."""
    go, there = threading.Event(), threading.Event()

    def wait() -> None:
        there.set()
        go.wait()

    other = threading.Thread(target=wait)
    other.start()
    there.wait()
    with open(path, "w") as file:
        faulthandler.dump_traceback(file, all_threads=True)
    go.set()
    other.join()


def dump_this_thread(path: str) -> None:
    with open(path, "w") as file:
        faulthandler.dump_traceback(file, all_threads=False)


def dump_deep(path: str, depth: int) -> None:
    if depth:
        dump_deep(path, depth - 1)
    else:
        dump_this_thread(path)


def crash(path: str) -> None:
    with open(path, "w") as file:
        faulthandler.enable(file)
        faulthandler._sigsegv()  # type: ignore[attr-defined]
