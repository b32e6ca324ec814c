"""pdb in tasks: inline, on threads, and in worker processes, which have the terminal and nothing else."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.failures.kit import wait_until

pexpect: Any = pytest.importorskip("pexpect")

PATIENCE = 25
TASK = """
import sys
from procession import Pool

def task(x):
    y = x * 2
    breakpoint()
    return y
"""


def script(folder: Path, text: str) -> str:
    file = folder / "program.py"
    file.write_text(textwrap.dedent(text))
    return str(file)


def piped(program: str, typed: str, *options: str, **environment: str) -> str:
    """What a program prints that has `typed` at its stdin, and no terminal."""
    done = subprocess.run(
        [sys.executable, *options, program],
        input=typed,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        start_new_session=True,
    )
    assert done.stderr == ""
    return done.stdout


def at_a_terminal(program: str, *words: str, **environment: str) -> Any:
    child: Any = pexpect.spawn(
        sys.executable, [program, *words], env=os.environ | environment, encoding="utf-8", timeout=PATIENCE, echo=False
    )
    child.delaybeforesend = None
    return child


# ---------------------------------------------------------------------------------------------------- in this process


@pytest.mark.parametrize("words", ["backend='inline'", "backend='inline', pickle=True", "backend='threads'"])
def test_breakpoint_stops_where_the_task_is(tmp_path: Path, words: str) -> None:
    program = f"{TASK}\nwith Pool(1, {words}) as pool:\n    print('came to', pool.submit(task, 20).result())\n"
    out = piped(script(tmp_path, program), "p 'it is', x\nc\n")
    assert "('it is', 20)" in out
    assert out.endswith("came to 40\n")


def test_a_breakpoint_set_from_outside_holds_in_a_task_that_runs_inline(tmp_path: Path) -> None:
    program = """
        from procession import Pool

        def task(x):
            y = x * 2
            return y + 1

        with Pool(backend="inline", pickle=True) as pool:
            print("came to", list(pool.imap(task, [20, 30])))
    """
    out = piped(script(tmp_path, program), "p 'it is', y\nc\np 'it is', y\nc\nq\n", "-m", "pdb", "-c", "b 6", "-c", "c")
    assert [line.removeprefix("(Pdb) ") for line in out.splitlines() if "it is" in line] == [
        "('it is', 40)",
        "('it is', 60)",
    ]
    assert "came to [41, 61]" in out


def test_post_mortem_of_a_task_that_ran_inline(tmp_path: Path) -> None:
    program = """
        import pdb
        from procession import Pool

        def task(x):
            return 1 / x

        with Pool(backend="inline") as pool:
            error = pool.submit(task, 0).exception()
        pdb.post_mortem(error.__traceback__)
    """
    assert "('it is', 0)" in piped(script(tmp_path, program), "p 'it is', x\nq\n")


# ------------------------------------------------------------------------------------------------- a worker process


@pytest.fixture(params=["zygote", "fork", "spawn", "forkserver"])
def words(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "zygote" else f", multiprocessing.get_context('{request.param}')"


def with_pool(words: str, body: str, before: str = TASK) -> str:
    return (
        "import multiprocessing\n"
        + before
        + f"\nif __name__ == '__main__':\n    with Pool(2{words}) as pool:\n"
        + textwrap.indent(textwrap.dedent(body), " " * 8)
    )


def test_a_worker_talks_to_the_terminal(tmp_path: Path, words: str) -> None:
    program = with_pool(words, "print('came to', pool.submit(task, 20).result())\n")
    child = at_a_terminal(script(tmp_path, program))
    child.expect(r"procession-\d \(Pdb\) ")
    child.sendline("p 'it is', x")
    child.expect(r"\('it is', 20\)\r\nprocession-\d \(Pdb\) ")
    child.sendline("c")
    child.expect("came to 40\r\n")
    child.expect(pexpect.EOF)


@pytest.mark.parametrize("way", ["import pdb; pdb.set_trace()", "import pdb; pdb.Pdb('tab').set_trace()"])
def test_other_ways_to_it(tmp_path: Path, way: str) -> None:
    before = f"from procession import Pool\ndef task(x):\n    {way}\n    return x\n"
    child = at_a_terminal(script(tmp_path, with_pool("", "print('came to', pool.submit(task, 20).result())\n", before)))
    child.expect(r"procession-\d \(Pdb\) ")
    child.sendline("c")
    child.expect("came to 20\r\n")
    child.expect(pexpect.EOF)


def test_post_mortem_in_a_worker(tmp_path: Path) -> None:
    before = """
from procession import Pool
def task(x):
    try:
        return 1 / x
    except ZeroDivisionError:
        import pdb
        pdb.post_mortem()
"""
    child = at_a_terminal(script(tmp_path, with_pool("", "print('came to', pool.submit(task, 0).result())\n", before)))
    child.expect(r"procession-\d \(Pdb\) ")
    child.sendline("p 'it is', x")
    child.expect(r"\('it is', 0\)")
    child.sendline("q")
    child.expect("came to None\r\n")
    child.expect(pexpect.EOF)


def waits_for_a_lock(pids: set[str]) -> bool:
    """Whether one of these waits for a lock of a file."""
    with open("/proc/locks") as file:
        return any("->" in line and pids & set(line.split()) for line in file)


def test_one_worker_talks_at_a_time(tmp_path: Path) -> None:
    """The other one waits for the lock before the first is answered."""
    before = TASK.replace("    breakpoint()", "    print('stops', os.getpid())\n    breakpoint()")
    body = "print('came to', *pool.map(task, [1, 2]))\n"
    child = at_a_terminal(script(tmp_path, "import os\n" + with_pool("", body, before)))
    pids, seen = set(), []
    for _ in range(3):
        if child.expect([r"stops (\d+)\r\n", r"(procession-\d) \(Pdb\) "]):
            seen.append(child.match[1])
        else:
            pids.add(child.match[1])
    assert (len(pids), len(seen)) == (2, 1)
    wait_until(lambda: waits_for_a_lock(pids), "one waits for the other")
    child.sendline("p 'it is', x")
    child.expect(rf"\('it is', \d\)\r\n{seen[0]} \(Pdb\) ")
    child.sendline("c")
    child.expect(r"(procession-\d) \(Pdb\) ")
    seen.append(child.match[1])
    child.sendline("c")
    child.expect("came to 2 4\r\n")
    child.expect(pexpect.EOF)
    assert sorted(seen) == ["procession-0", "procession-1"]


def test_a_worker_that_is_killed_at_its_prompt_lets_the_next_one_talk(tmp_path: Path) -> None:
    body = """
        late = pool.options(timeout=1).submit(task, 1)
        print(type(late.exception()).__name__)
        print('came to', pool.submit(task, 2).result())
    """
    child = at_a_terminal(script(tmp_path, with_pool("", body)))
    child.expect(r"procession-\d \(Pdb\) ")
    child.expect("TaskTimeout\r\n")
    child.expect(r"procession-\d \(Pdb\) ")
    child.sendline("c")
    child.expect("came to 4\r\n")
    child.expect(pexpect.EOF)


def test_an_interrupt_at_the_prompt_ends_the_program(tmp_path: Path) -> None:
    child = at_a_terminal(script(tmp_path, with_pool("", "pool.submit(task, 1).result()\n")))
    child.expect(r"procession-\d \(Pdb\) ")
    child.sendintr()
    child.expect("KeyboardInterrupt")
    child.expect(pexpect.EOF)


# ------------------------------------------------------------------------------------------------- without a terminal


def test_without_a_terminal_it_says_what_to_do(tmp_path: Path, words: str) -> None:
    body = """
        for _ in range(2):
            error = pool.submit(task, 1).exception()
            print(type(error).__name__, error)
    """
    lines = piped(script(tmp_path, with_pool(words, body)), "").splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("RuntimeError worker process procession-")
        assert 'Pool(backend="inline", pickle=True)' in line
        assert "PYTHONBREAKPOINT" in line


def test_in_the_background_no_worker_is_stopped_for_reading_the_terminal(tmp_path: Path) -> None:
    """A job control shell would stop it, which nobody would see."""
    inner = script(tmp_path, with_pool("", "print(type(pool.submit(task, 1).exception()).__name__)\n"))
    outer = tmp_path / "outer.py"
    outer.write_text(
        f"import subprocess, sys\nprint(subprocess.run([sys.executable, {inner!r}], process_group=0, timeout=50))\n"
    )
    child = at_a_terminal(str(outer))
    child.expect("RuntimeError\r\n")
    child.expect("returncode=0")
    child.expect(pexpect.EOF)


def test_what_one_has_chosen_holds(tmp_path: Path) -> None:
    before = """
import io
from procession import Pool
def task(x):
    y = x * 2
    breakpoint()
    return y
def with_streams(x):
    import pdb
    pdb.Pdb(stdin=io.StringIO("p 'it is', x\\nc\\n"), stdout=(out := io.StringIO())).set_trace()
    return out.getvalue()
def with_stdin(x):
    import sys
    sys.stdin = io.StringIO("p 'it is', x\\nc\\n")
    breakpoint()
    return "went on"
"""
    program = script(tmp_path, with_pool("", "print('came to', pool.submit(task, 20).result())\n", before))
    assert piped(program, "", PYTHONBREAKPOINT="0") == "came to 40\n"
    body = "print('it is' in pool.submit(with_streams, 20).result(), pool.submit(with_stdin, 30).result())\n"
    out = piped(script(tmp_path, with_pool("", body, before)), "")
    assert "('it is', 30)" in out
    assert out.endswith("True went on\n")
