"""The runner with programs in the place of peers: a hang is killed at its limit, and what is left is found."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from rivals import child
from rivals.peers.base import Delivery, Peer, Policy, Wish, Work
from rivals.rows import ROWS
from rivals.rows.base import Row, count, look_alive
from rivals.rows.deaths import TaskCrashes, WorkerKilled
from rivals.rows.endings import InterruptAsleep
from rivals.runner import watch
from rivals.scene import Scene, read_facts
from rivals.verdict import Facts, Lacks, Outcome, Verdict

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left behind is found through /proc")

NOTE = "import json, pathlib, sys; note = lambda **facts: pathlib.Path('facts.json').write_text(json.dumps(facts))\n"


class Small(Row):
    """A row for programs that are over at once."""

    name = "small"
    title = "small"
    limit = 10.0

    def judge(self, facts: Facts) -> Verdict:
        return Verdict(f"{facts['ok']} ok", "good")


class Brief(Small):
    """The same with a limit that is soon reached."""

    limit = 2.0  # the program must have noted its facts by then


class Struck(InterruptAsleep):
    """For programs that end at once."""

    name = "struck"
    title = "struck"
    patience = 2.0
    settling = 0.1


def outcome_of(row: Row, program: str, folder: Path) -> Outcome:
    return watch(row, "fake", [sys.executable, "-c", NOTE + program], folder, grace=0.1)


# ------------------------------------------------------------------------------------------------------ ends and hangs


def test_what_it_noted_is_judged(tmp_path: Path) -> None:
    outcome = outcome_of(Small(), "note(phase='exit', ok=9)", tmp_path)
    assert (outcome.status, outcome.verdict) == ("judged", Verdict("9 ok", "good"))
    assert outcome.facts["status"] == 0


def test_a_hang_is_killed_at_its_limit_and_reported(tmp_path: Path) -> None:
    program = "import time; note(phase='probe', pid=__import__('os').getpid()); time.sleep(60)"
    outcome = outcome_of(Brief(), program, tmp_path)
    assert outcome.verdict == Verdict("hangs", "bad")
    assert outcome.seconds < 30, "it would have slept for a minute"
    assert not psutil.pid_exists(outcome.facts["pid"])


@pytest.mark.parametrize(
    ("phase", "text"),
    [
        ("open", "hangs when the pool is made"),
        ("close", "9 ok, hangs when it is closed"),
        ("exit", "9 ok, hangs at exit"),
    ],
)
def test_where_it_hung_is_said(tmp_path: Path, phase: str, text: str) -> None:
    outcome = outcome_of(Brief(), f"import time; note(phase={phase!r}, ok=9); time.sleep(60)", tmp_path)
    assert outcome.verdict == Verdict(text, "bad")


def test_leftover_processes_are_found_and_killed(tmp_path: Path) -> None:
    """Also one that has left the session, and one that starts another when it is alone."""
    program = """
import os, time
note(phase='exit', ok=9)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
"""
    outcome = outcome_of(Small(), program, tmp_path)
    assert outcome.verdict == Verdict("9 ok, leaves 2 processes", "partial")
    assert len(outcome.facts["left_processes"]) == 2


def test_a_segment_that_is_left_is_counted_and_removed(tmp_path: Path) -> None:
    program = "import os; open(f'/dev/shm/rivals-test-{os.getpid()}', 'w').write('x'); note(phase='exit', ok=9)"
    outcome = outcome_of(Small(), program, tmp_path)
    (name,) = [each for each in outcome.facts["left_shm"] if each.startswith("rivals-test-")]
    assert outcome.verdict.grade == "partial"
    assert "in /dev/shm" in outcome.verdict.text
    assert not Path("/dev/shm", name).exists()


def test_an_error_is_a_failure_and_no_verdict(tmp_path: Path) -> None:
    outcome = outcome_of(Small(), "note(phase='left', error='TypeError: no such word')", tmp_path)
    assert (outcome.status, outcome.verdict.text) == ("failed", "failed: TypeError: no such word")


def test_so_is_an_end_without_a_word(tmp_path: Path) -> None:
    outcome = outcome_of(Small(), "print('last words'); sys.exit(3)", tmp_path)
    assert outcome.status == "failed"
    assert "status 3" in outcome.verdict.text
    assert outcome.said == "last words"


def test_what_is_absent_was_not_run(tmp_path: Path) -> None:
    outcome = outcome_of(Small(), "note(absent='cannot import x: pip install x')", tmp_path)
    assert (outcome.status, outcome.verdict.text) == ("not run", "not run: cannot import x: pip install x")


def test_a_missing_feature_says_no(tmp_path: Path) -> None:
    assert outcome_of(Small(), "note(lacks='no such feature')", tmp_path).verdict == Verdict("no such feature", "bad")


# ------------------------------------------------------------------------------------------------- struck from outside

STARTED = """
import os, time
for _ in range(2):
    with open('started', 'a') as file:
        file.write('1 sleeps\\n')
"""


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    program = STARTED + "import signal; signal.signal(2, signal.default_int_handler); time.sleep(60)"
    outcome = outcome_of(Struck(), program, tmp_path)
    assert outcome.verdict.grade == "good", outcome
    assert outcome.facts["presses"] == 1


def test_an_orphan_after_an_interrupt_is_bad(tmp_path: Path) -> None:
    program = "import os, signal, time\nsignal.signal(2, signal.SIG_DFL)\n"
    program += "if os.fork() == 0: os.setsid(); time.sleep(60)\n" + STARTED + "time.sleep(60)"
    outcome = outcome_of(Struck(), program, tmp_path)
    assert (outcome.verdict.grade, outcome.facts["presses"]) == ("bad", 1)
    assert "1 orphan" in outcome.verdict.text


# ------------------------------------------------------------------------------------------------------- inside a probe


class Inline(Peer):
    """Runs a task when it is asked for."""

    name = "inline"
    title = "inline"
    package = "json"

    def open(self, wish: Wish) -> None:
        if wish.max_memory:
            raise Lacks()

    def close(self) -> None:
        raise OSError("cannot be closed")

    def submit(self, fn: Work, *args: Any) -> Any:
        return fn, args

    def take(self, handle: Any, seconds: float) -> Any:
        return handle[0](*handle[1])


class Counting(Small):
    """Two results and an error."""

    def probe(self, peer: Peer, scene: Scene, home: ModuleType | None) -> None:
        count(scene, [*peer.deliveries(abs, [(-1,), (2,), ("x",)], 1), Delivery()])
        look_alive(peer, scene)


def test_facts_are_counted(tmp_path: Path) -> None:
    child.perform(Counting(), Inline(), Scene(tmp_path))
    facts = read_facts(tmp_path)
    assert [facts[key] for key in ("ok", "errors", "pending", "alive")] == [2, 1, 1, "lives"]
    assert (facts["phase"], facts["close_error"]) == ("exit", "OSError")


def test_a_word_that_is_not_known_is_no_failed_task() -> None:
    class Wordless(Inline):
        def submit_with(self, policy: Policy, fn: Work, *args: Any) -> Any:
            raise TypeError("no timeout=")

    with pytest.raises(TypeError):
        Wordless().deliveries(abs, [(1,)], 1, Policy(timeout=1))
    with pytest.raises(Lacks):
        Inline().deliveries(abs, [(1,)], 1, Policy(timeout=1))


def test_only_the_first_process_writes_facts(tmp_path: Path) -> None:
    Scene(tmp_path).note(who="first")
    Scene(tmp_path).note(who="second")
    assert read_facts(tmp_path) == {"who": "first"}


def test_facts_may_be_noted_from_two_threads(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: scene.note(**{f"n{n}": n}), range(200)))
    assert len(read_facts(tmp_path)) == 200


# ------------------------------------------------------------------------------------------------------------- verdicts


def lives(**facts: Any) -> Facts:
    return {"pending": 0, "errors": 1, "alive": "lives", "runs": 1, "hung": False, **facts}


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (lives(ok=99), Verdict("99 ok, pool lives", "good")),
        (lives(ok=100, runs=2), Verdict("all ok (1 ran 2 times), pool lives", "good")),
        (lives(ok=51), Verdict("51 ok, pool lives", "partial")),
        (lives(ok=0), Verdict("0 ok, pool lives", "bad")),
        (lives(ok=51, alive="dead"), Verdict("51 ok, pool dead", "bad")),
        (lives(ok=99, pending=1), Verdict("99 ok, 1 hangs, pool lives", "bad")),
        ({"hung": True}, Verdict("hangs", "bad")),
    ],
)
def test_what_deliveries_mean(facts: Facts, verdict: Verdict) -> None:
    assert WorkerKilled().judge(facts) == verdict


@pytest.mark.parametrize(
    ("whole", "text", "grade"),
    [
        ("in dereference_null", "", "good"),
        ("", "killed by SIGSEGV", "partial"),
        ("", "exitcode -11", "partial"),
        ("", "terminated abruptly", "partial"),
    ],
)
def test_a_crash_is_good_only_with_its_place(whole: str, text: str, grade: str) -> None:
    assert TaskCrashes().judge(lives(ok=19, error_whole=whole, error_text=text)).grade == grade


def test_every_row_says_what_it_does() -> None:
    for row in ROWS.values():
        assert type(row).__dict__.get("__doc__"), row.name
        assert {"name", "title"} <= set(vars(type(row))), row.name


def test_the_work_ends_where_it_must(tmp_path: Path) -> None:
    """A meeting whose others never come gives up by itself."""
    from rivals.work import meet

    began = time.monotonic()
    assert not meet(str(tmp_path), 0, 2, 0.05)
    assert time.monotonic() - began < 2
    assert os.listdir(tmp_path) == ["0"]
