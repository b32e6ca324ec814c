"""What the type checkers of a user make of the public face."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from collections.abc import Iterator
from concurrent.futures import Executor, Future

from procession import Pool
from procession.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed


def f(x: int, y: str = "") -> int:
    return x


def g(n: int) -> Iterator[str]:
    yield "a"


with Pool(2, backend="threads") as pool:
    reveal_type(pool.stream(g, 1))
    reveal_type([each for each in pool.options(retries=1).stream(g, n=1)])
    future = pool.submit(f, 1, y="a")
    reveal_type(future)
    reveal_type(future.result())
    reveal_type(pool.map(f, [1, 2]))
    reveal_type(pool.options(name="x").submit(f, 1))
    reveal_type(pool.options(capture=True).submit(f, 1, y="a").result())
    reveal_type([each.value for each in pool.options(capture=True).options(timeout=1).imap(f, [1], window=3)])
    reveal_type(pool.options(timeout=1, capture=True).options(capture=False).submit(f, 1))
    executor: Executor = pool.options(capture=True, name="x")
    executor = pool
    results: Iterator[object] = pool.imap(f, [1], window=3)


async def main() -> None:
    reveal_type(await pool.acall(f, 1))


for executor in (ProcessPoolExecutor(2), ThreadPoolExecutor(2, "name")):
    reveal_type([each.result() for each in as_completed([executor.submit(f, 1)])])

pool.submit(f, "one")  # wrong
pool.options(capture=True).submit(f, "one")  # wrong
pool.options(capture="yes")  # wrong
pool.submit(f, 1, z=2)  # wrong
pool.stream(g, "one")  # wrong
pool.stream(f, 1)  # wrong
pool.imap(f, [1], chunk_size=2)  # wrong
Pool(backend="celery")  # wrong
"""
REVEALED = (
    'Revealed type is "procession.stream_generator.GeneratorStream[str]"',
    'Revealed type is "list[str]"',
    'Revealed type is "concurrent.futures._base.Future[int]"',
    'Revealed type is "int"',
    'Revealed type is "typing.Iterator[int]"',
    'Revealed type is "concurrent.futures._base.Future[int]"',
    'Revealed type is "procession.captured.Captured[int]"',
    'Revealed type is "list[int]"',
    'Revealed type is "concurrent.futures._base.Future[int]"',
    'Revealed type is "int"',
    'Revealed type is "list[int]"',
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mypy_infers_and_refuses(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    words = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*words, str(file)], cwd=tmp_path, capture_output=True, text=True, timeout=590, check=False)
    lines = done.stdout.replace("builtins.", "").splitlines()
    revealed = [line.partition("note: ")[2] for line in lines if "Revealed" in line]
    assert revealed == list(REVEALED), done.stdout
    wrong = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# wrong")}
    errors = {int(line.split(":")[1]) for line in lines if ": error: " in line}
    assert errors == wrong, done.stdout
