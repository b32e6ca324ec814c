"""debugpy, what editors debug by: breakpoints in worker processes, in real sessions over a socket."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.debugging.dap import PATIENCE, Dap

pytest.importorskip("debugpy")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}


@contextmanager
def running(folder: Path, text: str) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    program = folder / "program.py"
    program.write_text(textwrap.dedent(text).lstrip())
    started = subprocess.Popen(
        [sys.executable, program], env=os.environ | QUIET, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        yield program, started
    finally:
        started.kill()
        started.communicate()


def line_of(program: Path, text: str) -> int:
    (number,) = [at for at, line in enumerate(program.read_text().splitlines(), 1) if text in line]
    return number


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_an_editor_that_debugs_the_program_debugs_its_workers(tmp_path: Path) -> None:
    """With `subProcess`, as editors have it, the debugger follows to the zygote, and from there to each worker."""
    text = """
        import debugpy
        from procession import Pool

        def task(x):
            y = x * 2
            return y

        if __name__ == "__main__":
            print(*debugpy.listen(("127.0.0.1", 0)), flush=True)
            debugpy.wait_for_client()
            with Pool(1) as pool:
                print("came to", pool.submit(task, 21).result(), flush=True)
    """
    with running(tmp_path, text) as (program, process), ExitStack() as stack:
        host, port = read_line(process).split()
        breakpoints = {str(program): [line_of(program, "return y")]}
        session = stack.enter_context(Dap(host, int(port)))
        session.begin(breakpoints, subProcess=True)
        for _ in ("the zygote", "the worker"):
            told = session.event("debugpyAttach")
            where = told.pop("connect")
            session = stack.enter_context(Dap(where["host"], where["port"]))
            session.begin(breakpoints, **told)
        thread, frame = session.stopped()
        assert (frame["name"], frame["line"]) == ("task", line_of(program, "return y"))
        found = session.locals(frame)
        assert (found["x"], found["y"]) == ("21", "42")
        session.ask("continue", threadId=thread)
        assert read_line(process) == "came to 42"
        assert process.wait(PATIENCE) == 0


def test_a_task_that_listens(tmp_path: Path) -> None:
    """One attaches to one worker, when its task says so."""
    text = """
        import debugpy
        from procession import Pool

        def task(x):
            print(*debugpy.listen(("127.0.0.1", 0)), flush=True)
            debugpy.wait_for_client()
            debugpy.breakpoint()
            y = x * 2
            return y

        if __name__ == "__main__":
            with Pool(1) as pool:
                print("came to", pool.submit(task, 21).result(), flush=True)
    """
    with running(tmp_path, text) as (program, process):
        host, port = read_line(process).split()
        with Dap(host, int(port)) as session:
            session.begin({str(program): [line_of(program, "return y")]})
            seen = []
            for _ in range(2):
                thread, frame = session.stopped()
                seen.append((frame["name"], session.locals(frame).get("y")))
                session.ask("continue", threadId=thread)
            assert seen == [("task", None), ("task", "42")]
            assert read_line(process) == "came to 42"
        assert process.wait(PATIENCE) == 0
