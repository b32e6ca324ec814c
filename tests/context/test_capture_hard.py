"""`options(capture=True)` where things go wrong: errors of classes that are like no other, descriptors, signals."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from procession import Captured, Pool, SpinOff
from procession.transport import written
from procession.worker import capture, capture_here
from tests import warm

kept_zygote = warm.keep()

PATIENCE = 30.0
SAID = Captured(None, "said\n", "")


@pytest.fixture(params=["inline", "threads", "processes"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(1, backend=request.param) as made:
        yield made


def speaks(n: int) -> int:
    print(n)
    return n


# --------------------------------------------------------------------------------------------- errors like no other


class NoNotes(Exception):
    """Takes none."""

    def add_note(self, note: str, /) -> None:
        raise TypeError(note)


class OtherNotes(Exception):
    """Has something else for notes."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.__notes__ = ("mine",)  # type: ignore[assignment]


class Shy(Exception):
    """Does not like to be asked."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Mute(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Chess(Exception):
    """Has an attribute that says something of its own."""

    def __init__(self, captured: str) -> None:
        super().__init__(captured)
        self.captured = captured


def fails_as(kind: type[Exception]) -> None:
    print("said")
    raise kind("queen")


@pytest.mark.parametrize("kind", [NoNotes, OtherNotes, Shy, Mute, Chess])
@pytest.mark.parametrize("words", [{}, {"retries": 1}])
def test_errors_that_are_like_no_other(pool: Pool, kind: type[Exception], words: dict[str, Any]) -> None:
    """They come out as they are, and no pool ends of them."""
    view = pool.options(capture=True, **words)
    error = view.submit(fails_as, kind).exception(PATIENCE)
    assert type(error) is kind
    assert error.args == ("queen",)
    assert Captured.of(error) == SAID
    if isinstance(error, Chess):
        assert error.captured == "queen"
    assert view.submit(speaks, 1).result(PATIENCE) == Captured(1, "1\n", "")


@pytest.mark.parametrize("kind", [NoNotes, OtherNotes, Shy, Mute])
def test_they_end_no_pool_of_plain_tasks(pool: Pool, kind: type[Exception]) -> None:
    error = pool.options(retries=1).submit(fails_as, kind).exception(PATIENCE)
    assert type(error) is kind
    assert pool.submit(abs, -1).result(PATIENCE) == 1


def test_nor_a_spin_off_of_batches() -> None:
    def fails(items: list[int]) -> list[int]:
        raise NoNotes(*items)

    with SpinOff(fails, batch=2, backend="threads", on_error="return") as spin:
        spin.put_many(range(4))
    assert [type(each) for each in spin] == [NoNotes] * 4


# -------------------------------------------------------------------------------------------------------- descriptors


def test_where_no_file_can_be_had_the_task_is_not_run_and_nothing_is_kept() -> None:
    """And when there are some again, it goes on."""

    def few(files: int) -> None:
        create = vars(written).setdefault("create of this test", written.create)
        left = [files]

        def creates(name: str) -> int:
            if not left[0]:
                raise OSError(24, "Too many open files")
            left[0] -= 1
            return create(name)  # type: ignore[no-any-return]

        written.create = creates

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    ran: list[int] = []
    with Pool(1) as pool:
        view = pool.options(capture=True)
        pool.submit(few, 1).result(PATIENCE)
        error = view.submit(ran.append, 1).exception(PATIENCE)
        assert isinstance(error, OSError)
        assert error.__notes__[0] == "the task was not run, since what it writes could not be captured"
        before = pool.submit(descriptors).result(PATIENCE)
        for _ in range(3):
            pool.submit(few, 1).result(PATIENCE)
            assert isinstance(view.submit(speaks, 1).exception(PATIENCE), OSError)
        assert pool.submit(descriptors).result(PATIENCE) == before
        pool.submit(few, 99).result(PATIENCE)
        assert [view.submit(speaks, n).result(PATIENCE).stdout for n in range(3)] == ["0\n", "1\n", "2\n"]
    assert capture._files is None


def test_marks_on_a_file_that_can_be_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where vm.memfd_noexec is set every memfd is such a one, and the bits that make it a program stay as they are."""
    real = os.memfd_create

    def create(name: str, flags: int) -> int:
        return real(name, flags | 8)  # MFD_NOEXEC_SEAL

    try:
        os.close(create("test", os.MFD_CLOEXEC))
    except OSError:
        pytest.skip("this kernel has none")
    monkeypatch.setattr(os, "memfd_create", create)
    fd = written.create("test")
    try:
        for mark, other in ((written.SEEN, written.RUNS), (written.RUNS, written.SEEN)):
            written.tell(fd, mark, True)
            assert (written.told(fd, mark), written.told(fd, other)) == (True, False)
            written.tell(fd, mark, False)
            assert not written.told(fd, mark)
    finally:
        os.close(fd)


def test_many_tasks_many_workers_many_pools_keep_no_descriptor() -> None:
    program = """
import gc, os, signal
from procession import Pool, Captured
def speaks(n):
    print(n)
    return n
def dies(n):
    print(n)
    os.kill(os.getpid(), signal.SIGKILL)
def count(_=None):
    return len(os.listdir("/proc/self/fd"))
with Pool(1) as pool:
    view = pool.options(capture=True)
    view.submit(speaks, 1).result()
    before = count(), pool.submit(count).result()
    assert [each.value for each in view.imap(speaks, range(500))] == list(range(500))
    assert (count(), pool.submit(count).result()) == before
before = count()
with Pool(2, max_tasks_per_child=1) as pool:
    found = list(pool.options(capture=True).imap(speaks, range(12)))
    assert [each.stdout for each in found] == [f"{n}\\n" for n in range(12)]
with Pool(2) as pool:
    found = list(pool.options(capture=True).imap(dies, range(6), on_error="return", chunksize=1))
    assert [Captured.of(each).stdout for each in found] == [f"{n}\\n" for n in range(6)]
for _ in range(3):
    with Pool(1) as pool:
        pool.options(capture=True).submit(speaks, 1).result()
assert count() == before, (count(), before)
print("kept none")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "kept none\n", "")


def test_a_task_that_deletes_its_streams() -> None:
    def deletes() -> int:
        print("said")
        del sys.stdout, sys.stderr
        return 5

    with Pool(1) as pool:
        view = pool.options(capture=True)
        for n in range(2):
            assert view.submit(deletes).result(PATIENCE) == Captured(5, "said\n", ""), n
            plain = pool.submit(os.readlink, "/proc/self/fd/1").result(PATIENCE)
            assert "memfd" not in plain


# --------------------------------------------------------------------------------------------------- threads, inline


@pytest.fixture(params=["threads", "inline"])
def local(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(1, backend=request.param) as made:
        yield made


def test_a_task_may_wrap_what_takes_bytes(local: Pool) -> None:
    def wraps() -> bool:
        with io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1", errors="replace") as text:
            print("wrapped", file=text)
        sys.stdout.buffer.write(memoryview(b"more\n"))
        with pytest.raises(TypeError):
            sys.stdout.buffer.write(5)  # type: ignore[arg-type]
        return sys.stdout.buffer.writable() and not sys.stdout.buffer.readable()

    assert local.options(capture=True).submit(wraps).result() == Captured(True, "wrapped\nmore\n", "")


def test_a_signal_that_raises_as_a_task_begins_silences_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """Before each line of it, and as it returns: what is printed then is printed, and the streams are as before."""
    before = sys.stdout
    begins = capture_here._Task.begin.__code__
    struck = 0

    def strike(at: int) -> bool:
        lines = [0]

        def local(frame: Any, event: str, arg: Any) -> Any:
            if event in ("line", "return") and frame.f_code is begins:
                lines[0] += 1
                if lines[0] == at:
                    raise KeyboardInterrupt
            return local

        def trace(frame: Any, event: str, arg: Any) -> Any:
            return local if frame.f_code is begins else None

        outer = sys.gettrace()
        sys.settrace(trace)
        try:
            capture_here.CaptureHere(lambda: None, notes=True)()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(outer)
        return False

    while strike(struck + 1):
        struck += 1
        print("home", struck)
        assert sys.stdout is before
    assert struck == 3
    assert capsys.readouterr().out == "".join(f"home {n}\n" for n in range(1, struck + 1))
