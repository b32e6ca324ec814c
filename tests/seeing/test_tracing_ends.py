"""How a trace ends: by errors, by a signal, in a forked child, with the interpreter. And the file that it leaves."""

import os
import stat
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from procession import Pool, tapping
from procession.seeing import chrome, hub, tracing
from procession.seeing.tracing import trace
from tests.contract.work import square


def program(text: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program of its own, which is to end."""
    file = folder / "program.py"
    file.write_text(text)
    return subprocess.run(
        [sys.executable, str(file), *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def is_free() -> bool:
    """May a trace begin?"""
    with trace(None):
        pass
    return tapping.tap is None


# ------------------------------------------------------------------------------------------------------- a forked child


FORKED = """
import os, sys, warnings, procession
from procession.seeing import hub  # before the first pool knows that it may be forked

warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later warn of a fork beside threads

if __name__ == "__main__":
    backend, leaves = sys.argv[1:]
    with procession.trace("run.json") as traced, procession.Pool(1, backend=backend) as pool:
        assert pool.submit(abs, -1).result() == 1
        from procession.driver import noting
        parent, ask = os.getpid(), noting.ask
        noting.ask = lambda *words: ask(*words) if os.getpid() == parent else os._exit(9)
        pid = os.fork()
        if not pid and leaves == "ends":
            os._exit(0)
        if pid:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            assert not os.path.exists("run.json")
    assert pid == 0 or os.path.exists("run.json")
"""


@pytest.mark.parametrize("leaves", ["ends", "leaves"])
@pytest.mark.parametrize("backend", ["processes", "threads", "inline"])
def test_a_forked_child_waits_for_nobody_and_writes_nothing(backend: str, leaves: str, tmp_path: Path) -> None:
    done = program(FORKED, backend, leaves, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------------------------------------- with the interpreter


UNLEFT = """
import procession

def runs():
    with procession.trace("run.json"), procession.Pool(1, backend="threads") as pool:
        assert pool.submit(abs, -1).result() == 1
        yield

if __name__ == "__main__":
    kept = runs()
    next(kept)
    circle = [kept]
    circle.append(circle)
"""


def test_a_block_that_is_never_left_ends_with_the_interpreter(tmp_path: Path) -> None:
    done = program(UNLEFT, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(chrome.read(tmp_path / "run.json")) == 1


# --------------------------------------------------------------------------------------------- what strikes the program


def test_a_thread_that_cannot_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="start new thread"):
        patch.setattr(threading.Thread, "start", no)
        with trace(None):
            pass
    assert tapping.tap is None
    assert is_free()


@pytest.mark.parametrize("where", ["turn", "join"])
def test_a_signal_at_the_end_of_the_block_leaves_nothing(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    struck: list[str] = []
    turn = tapping.turn

    def strike(name: str) -> None:
        if threading.current_thread() is threading.main_thread() and not struck:
            struck.append(name)
            raise KeyboardInterrupt

    def turns(to: Any) -> None:
        if to is None:
            strike("turn")
        turn(to)

    def joins(_thread: threading.Thread, _timeout: float | None = None) -> None:
        strike("join")

    with pytest.raises(KeyboardInterrupt), trace(None) as traced:
        recorder = traced._recorder
        assert recorder is not None
        if where == "turn":
            monkeypatch.setattr(tapping, "turn", turns)
        else:
            monkeypatch.setattr(recorder._thread, "join", lambda _timeout: joins(recorder._thread))
    monkeypatch.undo()
    assert struck == [where]
    recorder._thread.join(30)
    assert not recorder._thread.is_alive()
    assert not hub.hub._hearers
    assert is_free()


# ------------------------------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize("kind", ["run.json", "run.json.gz", "run.html"])
def test_what_was_there_stays_until_all_is_written(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / kind
    path.write_bytes(b"before")
    path.chmod(0o600)
    write = tracing._write

    def half(recording: Any, to: Path) -> None:
        write(recording, to)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tracing, "_write", half)
        with pytest.raises(KeyboardInterrupt), trace(path):
            pass
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == [kind]
    with trace(path):
        pass
    assert path.read_bytes() != b"before"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [kind]


def test_a_file_behind_a_link_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path, behind = tmp_path / "run.json", tmp_path / "there" / "that"
    path.symlink_to(behind)
    with trace(path):
        pass
    assert path.is_symlink()
    assert behind.is_file()


def test_the_file_is_where_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with trace("run.json"):
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert (tmp_path / "run.json").is_file()


def test_a_file_that_cannot_be_written_is_told_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with pytest.raises(FileNotFoundError) as told, trace(folder / "run.json"):
        folder.rmdir()
    assert told.value.filename == str(folder / "run.json")
    (tmp_path / "run.json").mkdir()
    with pytest.raises(IsADirectoryError), trace(tmp_path / "run.json"):
        pass
    assert is_free()


@pytest.mark.parametrize("action", ["always", "error"])
def test_what_the_block_raises_comes_before_what_writing_does(action: Any, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with warnings.catch_warnings(record=action == "always") as caught:
        warnings.simplefilter(action)
        with pytest.raises(KeyError, match="of the program") as told, trace(folder / "run.json"):
            folder.rmdir()
            raise KeyError("of the program")
    (note,) = told.value.__notes__
    assert note.startswith(f"the trace could not be written to {folder / 'run.json'}: FileNotFoundError")
    assert [str(each.message) for each in caught or ()] == ([note] if action == "always" else [])
    assert all(each.filename == __file__ for each in caught or ())


# --------------------------------------------------------------------------------------------------- errors of the work


class Quits(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


def quits(_x: int) -> None:
    raise Quits


def test_an_error_whose_text_ends_the_program_does_not_end_the_trace() -> None:
    with trace(None) as traced, Pool(1, backend="threads") as pool:
        assert isinstance(pool.submit(quits, 1).exception(), Quits)
        traced.catch_up()
        assert pool.submit(square, 2).result() == 4
    assert len(traced.recording) == 2
    (told,) = traced.recording.failures.values()
    assert told.message == "<its text cannot be made: SystemExit>"


def test_the_end_of_the_recording_is_told_whatever_ended_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(_self: object) -> None:
        raise SystemExit

    traced = trace(None)
    traced.__enter__()
    monkeypatch.setattr(tracing.Recorder, "tick", ends)
    recorder = traced._recorder
    assert recorder is not None
    recorder._thread.join(30)
    assert tapping.tap is None
    with pytest.warns(RuntimeWarning, match="ended early: SystemExit"):
        traced.__exit__(None, None, None)
