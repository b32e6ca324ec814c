"""A program with workers, to be killed: `python -m tests.launch.parent scenario`. Prints pids, then waits."""

import json
import multiprocessing
import os
import select
import signal
import sys
import time

from tests.launch.harness import Driver


def tell(*values: object) -> None:
    print(json.dumps(values), flush=True)


def workers(method: str) -> None:
    """Idle ones, and one that holds the GIL in C code."""
    context = None if method == "zygote" else multiprocessing.get_context(method)
    with Driver(context) as driver:
        for wid, do in ((1, "idle"), (2, "hog"), (3, "idle")):
            driver.start(wid, do)
        pids = [driver.started(wid).pid for wid in (1, 2, 3)]
        for wid in (1, 2, 3):
            driver.hear(wid)
        helper = driver.launcher._zygote.pid if context is None else 0
        tell(helper, *pids)
        signal.pause()


def stopped() -> None:
    """A zygote and workers that cannot run: only the kernel can kill the workers."""
    with Driver() as driver:
        driver.start(1, "hog")
        driver.hear(1)
        # The worker may speak before the zygote has said that it started it.
        worker = driver.started(1).pid
        zygote = driver.launcher._zygote.pid
        os.kill(zygote, signal.SIGSTOP)
        tell(0, worker)
        # The zygote goes on when this process is dead.
        tell(zygote)
        signal.pause()


def preloading() -> None:
    """The zygote is busy with an import that does not end."""
    with Driver(preload=("tests.launch.endless",)) as driver:
        driver.launcher.warm()
        zygote = driver.launcher._zygote.pid
        tell(zygote)
        signal.pause()


def starting() -> None:
    """Workers are being started all the time."""
    with Driver() as driver:
        driver.start(0)
        driver.started(0)
        tell(driver.launcher._zygote.pid)
        wid = 0
        while True:
            wid += 1
            driver.start(wid)
            driver.step(0)
            if wid % 50 == 0:
                for each in range(wid - 50, wid):
                    driver.started(each)
                    driver.launcher.kill(each)
                    driver.exited(each)
                    driver.channels.pop(each).close()


def interrupted() -> None:
    """Ctrl-C, to the whole group: this process sees it, its workers do not."""
    with Driver() as driver:
        for wid in (1, 2):
            driver.start(wid)
            driver.hear(wid)
            driver.started(wid)
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)  # signal.pause() would wait for ever, if it came right before that
        try:
            tell("ready")
            select.select([read], [], [])
        except KeyboardInterrupt:
            driver.start(3, "ask", "os.system('kill -INT $$')")
            code = driver.hear(3)
            for wid in (1, 2, 3):
                driver.let_go(wid)
            tell([driver.exited(wid).exitcode for wid in (1, 2, 3)], code)


def interrupted_at_once() -> None:
    """Ctrl-C while the zygote starts."""
    signal.signal(signal.SIGINT, lambda *_: None)
    with Driver() as driver:
        driver.start(1)
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline:
            os.kill(driver.launcher._zygote.pid, signal.SIGINT)
            driver.step(0)
        driver.hear(1)
        tell(driver.started(1) is not None)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
