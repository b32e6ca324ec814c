"""Who may have a journal: one program at a time, one user in it, no forked child; whoever is killed lets go of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from procession.errors import JournalError
from procession.journal import locking
from procession.journal.values import PENDING
from tests.apart import ROOT
from tests.journal.test_writer import held
from tests.journal.work import PATIENCE, Answer, open_map, open_queue, recall, record

HOLDS = """
import sys
from tests.journal.work import *
journal = open_map(sys.argv[1])
record(journal, [1], [10])
print("held", flush=True)
sys.stdin.readline()
journal.close()
print("closed", flush=True)
sys.stdin.readline()
"""


@contextmanager
def program(text: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", text, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def go_on(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def test_a_second_program_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with program(HOLDS, path) as child:
        assert line(child) == "held"
        assert locking.holder(str(path)) == child.pid
        for opened in (open_map, open_queue):
            with pytest.raises(JournalError) as caught:
                opened(path)
            text = (
                f"journal {path}: it is in use by another program (pid {child.pid}); wait for its end, or take another"
            )
            assert str(caught.value) == f"{text} file"
        go_on(child)
        assert line(child) == "closed"
        assert locking.holder(str(path)) is None
        journal = open_map(path)
        assert recall(journal, [1, 2]) == [10, PENDING]
        journal.close()


def test_a_second_user_in_one_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = open_map(path)
    for _ in range(2):
        with pytest.raises(JournalError, match=rf"in use by this program \(pid {os.getpid()}\)"):
            open_map(path)
    assert locking.holder(str(path)) == os.getpid()
    record(journal, [1], [10])  # the refused one took nothing away
    with program(HOLDS, path) as child:
        assert line(child) == ""
    journal.close()


def test_one_that_is_being_closed_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = open_map(path)
    with held(journal.writer):
        journal.close(wait=False)
        opened: list[Any] = []
        thread = threading.Thread(target=lambda: opened.append(open_map(path)))
        thread.start()
        assert opened == []
    thread.join()
    opened[0].close()
    told: list[Any] = []
    journal = open_map(path)
    answer = Answer()

    def then(outcomes: list[Any]) -> None:
        """On the writer's thread, which cannot wait for itself."""
        journal.close(wait=False)
        try:
            open_map(path)
        except JournalError as error:
            told.append(str(error))
        answer.then(outcomes)

    journal.record([((0, None), 1, None)], then, answer.lost)
    answer.wait()
    journal.close()
    assert "in use by this program" in told[0]


LEAVES = """
import sys
from tests.journal.work import *
journal = open_map(sys.argv[1])
for n in range(3000):
    journal.record([(journal.key_of(n, n), n, None)], lambda _: None, lambda _: None)
sys.exit(3)
"""


def test_one_that_is_left_open_is_closed_at_the_end_of_the_program(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with program(LEAVES, path) as child:
        assert child.wait(PATIENCE) == 3
    assert [each.name for each in tmp_path.iterdir()] == ["run.db"]
    journal = open_map(path)
    assert journal.known == 3000
    assert journal.store.read("SELECT how FROM runs WHERE ended") == [("left open",)]
    journal.close()


def test_of_many_that_open_it_at_once_one_has_it(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    for _ in range(5):
        begun = threading.Barrier(8)
        opened: list[Any] = []
        refused: list[str] = []

        def opens(begun: Any = begun, opened: Any = opened, refused: Any = refused) -> None:
            begun.wait()
            try:
                opened.append(open_map(path))
            except JournalError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=opens) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(opened), len(refused)) == (1, 7)
        assert all("in use by this program" in each for each in refused)
        opened[0].close()
    assert [each.name for each in tmp_path.iterdir()] == ["run.db"]


LOOPS = """
import sys
from tests.journal.work import *
for _ in range(60):
    try:
        journal = open_map(sys.argv[1], sync=False)
    except JournalError as error:
        assert "in use by another program" in str(error) or "changes all the time" in str(error), error
        continue
    known = journal.known
    record(journal, [known], [known], first=known)
    journal.close()
    print("had it", flush=True)
"""


def test_programs_that_take_it_in_turns_never_have_it_together(tmp_path: Path) -> None:
    """Each that has it adds one outcome behind those it has found: had two been in at once, one would be missing."""
    path = tmp_path / "run.db"
    with program(LOOPS, path) as one, program(LOOPS, path) as two, program(LOOPS, path) as three:
        times = sum(len(each.communicate(timeout=PATIENCE)[0].split("\n")) - 1 for each in (one, two, three))
        assert [each.returncode for each in (one, two, three)] == [0, 0, 0]
    journal = open_map(path)
    assert journal.known == times > 0
    assert recall(journal, range(times)) == list(range(times))
    journal.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_is_killed_lets_go_of_it_and_what_it_was_told_is_there(tmp_path: Path, how: int) -> None:
    path = tmp_path / "run.db"
    with program(HOLDS, path) as child:
        assert line(child) == "held"
        child.send_signal(how)
        assert child.wait(PATIENCE) == -how
    assert (tmp_path / "run.db-wal").stat().st_size > 0
    assert locking.holder(str(path)) is None
    journal = open_map(path)
    assert recall(journal, [1]) == [10]
    assert journal.store.read("SELECT ended, how FROM runs") == [(None, None)] * 2
    journal.close()
    assert [each.name for each in tmp_path.iterdir()] == ["run.db"]


FORKS = """
import os, sys
from tests.journal.work import *
from procession.journal.locking import holder
path = sys.argv[1]
journal = open_map(path)
record(journal, [1], [10])
pid = os.fork()
if not pid:
    answer = Answer()
    journal.record([(journal.key_of(1, 1), 20, None)], answer.then, answer.lost)
    for step in (answer.wait, lambda: recall(journal, [1]), lambda: open_map(path), journal.close):
        try:
            print("child", step(), flush=True)
        except JournalError as error:
            print("child", error, flush=True)
    del journal, answer, step  # at the end of a child everything goes; the file is its parent's
    import gc
    gc.collect()
    sys.exit(0)  # not os._exit
print("ended", os.waitpid(pid, 0)[1], holder(path) == os.getpid())
record(journal, [2], [30], first=1)
print("parent", recall(journal, [1]), flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_forked_child_is_refused_and_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with program(FORKS, path) as child:
        out, _ = child.communicate(timeout=PATIENCE)
    told = out.splitlines()
    assert len(told) == 6, told
    assert "it belongs to the parent of this forked process" in told[0]
    assert "it belongs to the parent of this forked process" in told[1]
    assert f"in use by another program (pid {child.pid})" in told[2]
    assert told[3:] == ["child None", "ended 0 True", "parent [PENDING]"]
    journal = open_map(path)
    assert recall(journal, [1, 2]) == [10, 30]
    journal.close()


FORKS_WHILE_WRITING = """
import os, sys, threading
from tests.journal.work import *
journal = open_map(sys.argv[1], sync=False)
stop = threading.Event()
def writes():
    n = 0
    while not stop.is_set():
        record(journal, [n], ["x" * 500], first=n)
        n += 1
    print(n, flush=True)
thread = threading.Thread(target=writes)
thread.start()
for _ in range(25):
    pid = os.fork()
    if not pid:
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
thread.join()
journal.close()
"""


def test_a_fork_in_the_middle_of_a_commit_hurts_nobody(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with program(FORKS_WHILE_WRITING, path) as child:
        out, _ = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0
    journal = open_map(path)
    assert journal.known == int(out)
    journal.close()


def test_no_program_that_is_started_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = open_map(path)
    answer = Answer()
    with program("import sys; print('on', flush=True); sys.stdin.readline()", path) as child:
        assert line(child) == "on"
        journal.record([(journal.key_of(0, 0), 1, None)], answer.then, answer.lost)
        answer.wait()
        journal.close()
        again = open_map(path)
        assert recall(again, [0]) == [1]
        again.close()
