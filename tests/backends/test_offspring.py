"""What a process has started: found, spared, ended; in process tables made up of files, and for real."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from procession.backends import offspring
from procession.backends.offspring import Offspring, descendants
from tests.failures.kit import gone, quietly_kill, wait_until

linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")

# pid: (parent, session)
FAMILY = {1: (0, 1), 10: (1, 10), 11: (10, 10), 12: (11, 10), 13: (12, 10), 14: (10, 14), 15: (14, 10), 20: (1, 10)}


def table(root: Path, family: Mapping[int, tuple[int, int]], *, told: bool = False) -> str:
    """A /proc of these; with `told`, of a kernel that lists children, by the threads that have them."""
    for pid, (parent, session) in family.items():
        (root / f"proc/{pid}").mkdir(parents=True, exist_ok=True)
        words = ["S", parent, parent, session, *[0] * 15, f"born{pid}", 0, 0]
        (root / f"proc/{pid}/stat").write_text(f"{pid} (a (sh) 1 2) {' '.join(map(str, words))}\n")
        if told:
            children = [str(child) for child, (of, _) in family.items() if of == pid]
            for thread, part in ((pid, children[::2]), (pid + 1000, children[1::2])):
                (root / f"proc/{pid}/task/{thread}").mkdir(parents=True)
                (root / f"proc/{pid}/task/{thread}/children").write_text(" ".join(part))
    (root / "proc/self").mkdir(parents=True)
    return str(root)


@pytest.mark.parametrize("told", [False, True])
def test_children_and_theirs_in_its_session(tmp_path: Path, told: bool) -> None:
    """14 has a session of its own: it was meant to live on, and so was what it has started."""
    root = table(tmp_path, FAMILY, told=told)
    assert sorted(descendants(10, root)) == [(11, "born11"), (12, "born12"), (13, "born13")]
    assert list(descendants(13, root)) == []
    assert list(descendants(99, root)) == []


@pytest.mark.parametrize("told", [False, True])
def test_a_table_that_changes_while_it_is_read_ends(tmp_path: Path, told: bool) -> None:
    root = table(tmp_path, {10: (12, 10), 11: (10, 10), 12: (11, 10)}, told=told)
    assert sorted(descendants(10, root)) == [(11, "born11"), (12, "born12")]


@pytest.mark.parametrize("text", ["", "11", "11 (a)", "11 (a) S x 10 10", "11 (a) S 10 10 10 0 0", "\0"])
def test_an_odd_stat_is_nobody(tmp_path: Path, text: str) -> None:
    root = table(tmp_path, FAMILY)
    (tmp_path / "proc/11/stat").write_text(text)
    assert list(descendants(10, root)) == []
    assert list(descendants(11, root)) == []


# ------------------------------------------------------------------------------------------------------------- for real


@contextmanager
def parent_and_child() -> Iterator[tuple[int, int]]:
    """A shell, and the program that it has started and waits for."""
    script = "sleep 3600 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, process_group=0) as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        try:
            yield shell.pid, child
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def as_without_pidfds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(offspring.signal, "pidfd_send_signal", raising=False)  # of `_signal`, which it has imported
    monkeypatch.delattr(os, "pidfd_open", raising=False)  # whoever asks for one all the same fails


@linux
@pytest.mark.parametrize("asked", ["the kernel", "psutil"])
def test_they_are_ended_when_that_is_said(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if asked == "psutil":
        pytest.importorskip("psutil")
        as_without_pidfds(monkeypatch)
    with parent_and_child() as (parent, child):
        found = Offspring(parent)
        assert not gone(child)
        quietly_kill(parent)
        found.end()
        wait_until(lambda: gone(child), "the child ends")
        found.end()


@linux
@pytest.mark.parametrize("asked", ["the kernel", "psutil"])
def test_who_has_a_session_of_its_own_is_spared(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if asked == "psutil":
        pytest.importorskip("psutil")
        as_without_pidfds(monkeypatch)
    code = """if True:
        import subprocess
        child = subprocess.Popen(["sleep", "3600"], stdout=subprocess.DEVNULL, start_new_session=True)
        print(child.pid, flush=True)
        input()
    """
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            found = Offspring(process.pid)
            process.communicate("\n")
            found.end()
            assert not gone(child)
        finally:
            quietly_kill(child)
        wait_until(lambda: gone(child), "what was spared ends")


@linux
def test_a_stranger_with_its_pid_is_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    with parent_and_child() as (parent, child):
        monkeypatch.setattr(offspring, "descendants", lambda _pid: [(child, "another time"), (1 << 30, "never")])
        before = len(os.listdir("/proc/self/fd"))
        found = Offspring(parent)
        assert len(os.listdir("/proc/self/fd")) == before
        found.end()
        assert not gone(child)


@linux
def test_who_has_ended_meanwhile_does_not_matter() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with parent_and_child() as (parent, child):
        found = Offspring(parent)
        quietly_kill(child)
        wait_until(lambda: gone(child), "the child ends")
        found.end()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("pid", [-1, 1 << 30])
def test_a_number_that_is_no_process_has_none(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Offspring(pid).end()
    as_without_pidfds(monkeypatch)
    Offspring(pid).end()


@linux
def test_without_psutil_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    as_without_pidfds(monkeypatch)
    monkeypatch.setitem(sys.modules, "psutil", None)  # as if it were not installed
    with parent_and_child() as (parent, child):
        Offspring(parent).end()
        assert not gone(child)
