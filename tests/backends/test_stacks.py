"""Dumps of faulthandler, real and made up, with procession's frames taken off."""

import io
import multiprocessing
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from procession import Pool, WorkerDied
from procession.backends.stacks import crash, current_frames, trimmed, without_idle
from tests.backends import work

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
METHODS = ("zygote", "fork", "spawn", "forkserver")
HERE = work.__file__


@pytest.fixture(params=METHODS)
def pool(request: pytest.FixtureRequest) -> Any:
    context = None if request.param == "zygote" else multiprocessing.get_context(request.param)
    with Pool(1, mp_context=context) as made:
        yield made


def written(pool: Pool, path: Path, function: Callable[..., None], *args: Any) -> str:
    pool.submit(function, str(path), *args).result()
    return path.read_text()


def without_lines(frames: list[str]) -> list[str]:
    return [re.sub(r":\d+ in ", " ", frame) for frame in frames]


def lines(text: str) -> list[str]:
    """With their ends, of which "\\n" is the only one."""
    return list(io.StringIO(text, newline="\n"))


def is_subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(line in rest for line in part)


# -------------------------------------------------------------------------------------------------- what workers wrote


def test_a_worker_s_dump_keeps_the_task_and_its_threads(pool: Pool, tmp_path: Path) -> None:
    text = written(pool, tmp_path / "dump", work.dump)
    assert "procession/worker/loop.py" in text
    short = trimmed(text)
    assert "procession/worker" not in short
    assert __file__ not in short  # nor what a forked worker has of its parent
    assert without_lines(current_frames(short)) == [f"{HERE} dump"]
    assert current_frames(text)[:1] == current_frames(short)
    other, _, current = short.partition("Current thread 0x")
    assert re.match(r"Thread 0x[0-9a-f]+.*\(most recent call first\):\n", other)
    assert re.search(rf'  File "{re.escape(HERE)}", line \d+ in wait\n', other)
    assert other.endswith("in _bootstrap\n\n")  # threading's frames are not ours
    assert current.endswith(" in dump\n")
    assert trimmed(short) == short


def test_one_thread_s_dump_is_the_current_one(pool: Pool, tmp_path: Path) -> None:
    text = written(pool, tmp_path / "dump", work.dump_this_thread)
    assert text.startswith("Stack (most recent call first):\n")
    assert without_lines(current_frames(trimmed(text))) == [f"{HERE} dump_this_thread"]


def test_a_deep_stack_is_truncated_and_keeps_its_mark(pool: Pool, tmp_path: Path) -> None:
    text = written(pool, tmp_path / "dump", work.dump_deep, 300)
    assert "procession/worker" not in text
    assert trimmed(text) == text
    text = written(pool, tmp_path / "dump", work.dump_deep, 97)  # 99 frames of the task, 1 of ours, and the mark
    ours = [line for line in lines(text) if "procession/worker" in line]
    assert len(ours) == 1
    assert trimmed(text) == text.replace(ours[0], "")
    assert len(current_frames(trimmed(text))) == 99


def test_a_worker_that_crashed(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(WorkerDied):
        pool.submit(work.crash, str(tmp_path / "dump")).result()
    text = (tmp_path / "dump").read_text()
    short = trimmed(text)
    assert short.startswith("Fatal Python error: Segmentation fault\n\nCurrent thread 0x")
    assert without_lines(current_frames(short)) == [f"{HERE} crash"]
    assert re.findall("(?m)^Extension modules: .*$", short) == re.findall("(?m)^Extension modules: .*$", text)
    assert "C stack" not in text or "Binary file" in short


# -------------------------------------------------------------------------------------------- what other programs wrote

ABORTED = """
import faulthandler, os, threading
faulthandler.enable()
def wait():
    there.set()
    threading.Event().wait()
there = threading.Event()
threading.Thread(target=wait, daemon=True).start()
there.wait()
def inner():
    os.abort()
def outer():
    inner()
outer()
"""

TIMEOUT = """
import faulthandler, signal
def hang():
    faulthandler.dump_traceback_later(0.01, exit=True), signal.pause()
hang()
"""

SPAWNED = """
import faulthandler, multiprocessing
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=faulthandler.dump_traceback)
    child.start()
    child.join()
"""


def said(*command: str) -> str:
    """What a program wrote to stderr before it failed, or did not."""
    # A core dump of it would be of no use to anyone.
    limited = ["sh", "-c", 'ulimit -c 0; exec "$@"', "sh", sys.executable, *command]
    return subprocess.run(limited, capture_output=True, text=True, timeout=60, check=False).stderr


def test_a_program_without_procession_keeps_all() -> None:
    text = said("-c", ABORTED)
    assert "Fatal Python error: Aborted" in text
    assert trimmed(text) == text
    assert current_frames(text) == ["<string>:11 in inner", "<string>:13 in outer", "<string>:14 in <module>"]


def test_a_timeout_has_no_current_thread_but_an_only_one() -> None:
    text = said("-c", TIMEOUT)
    assert text.startswith("Timeout (")
    assert trimmed(text) == text
    assert current_frames(text) == ["<string>:4 in hang", "<string>:5 in <module>"]


def test_a_child_that_multiprocessing_made_for_others_keeps_all(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SPAWNED)
    text = said(str(script))
    assert "spawn_main" in text
    assert trimmed(text) == text


# ------------------------------------------------------------------------------------------------------------- made up


def frames(*names: str) -> str:
    """Lines of frames from `file function` each."""
    pairs = (name.rsplit(" ", 1) for name in names)
    return "".join(f'  File "{file}", line {line} in {function}\n' for line, (file, function) in enumerate(pairs, 1))


HOME = "/opt/lib/procession/worker"
LIB = "/usr/lib/python3.11/multiprocessing"
LOOP = (f"{HOME}/loop.py invoke", f"{HOME}/loop.py serve")
FROM_ZYGOTE = (*LOOP, f"{HOME}/boot.py from_zygote", f"{HOME}/zygote.py _become", f"{HOME}/zygote.py main")
ZYGOTE = (*FROM_ZYGOTE, "<string> <module>")
SPAWN = (*LOOP, f"{HOME}/boot.py from_mp", f"{LIB}/process.py run", f"{LIB}/spawn.py spawn_main", "<string> <module>")
FORK = (
    *(*LOOP, f"{HOME}/boot.py from_mp", f"{LIB}/process.py _bootstrap", f"{LIB}/popen_fork.py _launch"),
    *("/opt/lib/procession/backends/launch_mp.py start", "/opt/lib/procession/pool_face.py submit"),
)
HEADER = "Current thread 0x00007f00 (most recent call first):\n"


@pytest.mark.parametrize(
    ("kept", "gone"),
    [
        (("a.py f", "b.py g"), ZYGOTE),
        (("a.py f", "b.py g"), SPAWN),
        (("a.py f", "b.py g"), FORK),
        (("a.py f",), (*FORK, "main.py go", "main.py <module>")),
        (("a.py f",), (*FORK, "<string> <module>")),
        ((), ZYGOTE),
        ((), (*FORK, "main.py <module>")),
        (("a.py f",), (r"C:\lib\procession\worker\loop.py serve", r"C:\lib\procession\worker\boot.py from_mp")),
        (("a.py f",), ("procession/worker/loop.py serve", "procession/worker/boot.py from_zygote")),
        # a task in a program that python -c was given
        (("<string> inner", "<string> task"), ZYGOTE),
        # a task that has forked by multiprocessing, and the children it has
        (("a.py f", f"{LIB}/process.py run", f"{LIB}/popen_fork.py _launch", "a.py task"), ZYGOTE),
        # a task that has a pool of its own: of forked workers, and inline
        (("a.py inner",), (*FORK, "a.py task", *ZYGOTE)),
        (("a.py inner", "/opt/lib/procession/backends/inline.py run", "a.py task"), ZYGOTE),
        # what the codec does for a task is not of the worker alone
        (("a.py __reduce__", "/opt/lib/procession/transport/codec.py encode"), ZYGOTE),
        # the entry is missing: the known frames go
        (("a.py f",), LOOP),
        (("a.py f",), (*LOOP, f"{HOME}/zygote.py main", "<string> <module>")),
        (("a.py f",), (*LOOP, f"{LIB}/process.py run", f"{LIB}/popen_spawn_posix.py x", f"{LIB}/forkserver.py main")),
        # none of these is ours
        (("a.py f", "<string> <module>"), ()),
        (("a.py f", f"{LIB}/process.py run", f"{LIB}/spawn.py spawn_main", "<string> <module>"), ()),
        ((f"{HOME}/loop.py invoke", "main.py <module>"), ()),
        (("a.py f", "/opt/my_procession/worker/loop.py serve"), ()),
        (("a.py f", "/opt/procession/worker/deeper/loop.py serve"), ()),
        (("a.py from_mp", "/opt/worker/boot.py from_mp"), ()),
    ],
)
def test_the_outer_end_goes(kept: tuple[str, ...], gone: tuple[str, ...]) -> None:
    text = HEADER + frames(*kept, *gone)
    assert trimmed(text) == HEADER + frames(*kept)
    expected = [f"{name.rsplit(' ', 1)[0]}:{line} in {name.rsplit(' ', 1)[1]}" for line, name in enumerate(kept, 1)]
    assert current_frames(trimmed(text)) == expected


BEFORE = "what the task said\nFatal Python error: Segmentation fault\n\n"
BETWEEN = "\nCurrent thread 0x00007f00 [procession] (most recent call first):\n  Garbage-collecting\n"
AFTER = (
    "\nCurrent thread's C stack trace (most recent call first):\n"
    '  Binary file "/usr/bin/python3.14", at _Py_DumpStack+0x31 [0x55d0]\n'
    '  Binary file "/opt/lib/procession/worker/loop.py", at +0x2a8f [0x7f01]\n'
    "  <truncated rest of calls>\n"
    "\nExtension modules: numpy._core._multiarray_umath, _native (total: 2)\n"
)


def dump_of(*stacks: tuple[str, ...]) -> str:
    """A dump with all that a dump may have: two other threads and the current one."""
    first, second, current = (frames(*each) for each in stacks)
    return (
        f"{BEFORE}Thread 0x00007f02 [Thread-1 (run)] (most recent call first):\n{first}  ...\n"
        f"\nThread 0x00007f01 (most recent call first):\n{second}  <no Python frame>\n{BETWEEN}{current}{AFTER}"
    )


def test_all_that_is_no_frame_stays() -> None:
    whole = dump_of(("t.py run", *LOOP), ZYGOTE, ("a.py f", *ZYGOTE))
    assert trimmed(whole) == dump_of(("t.py run",), (), ("a.py f",))
    assert current_frames(trimmed(whole)) == ["a.py:1 in f"]


@pytest.mark.parametrize("mark", ["  ...\n", "plus 101 frames\n", "  <invalid frame>\n", "  <freed frame>\n"])
def test_a_mark_behind_our_frames_stays(mark: str) -> None:
    assert trimmed(HEADER + frames("a.py f", *LOOP) + mark) == HEADER + frames("a.py f") + mark


def test_what_is_unknown_is_a_question_mark() -> None:
    text = f'{HEADER}  File ???, line ??? in ???\n  File "a"b.py", line 2 in f\n{frames(*ZYGOTE)}'
    assert current_frames(trimmed(text)) == ["???:??? in ???", 'a"b.py:2 in f']


def test_which_thread_is_current() -> None:
    one, two = ("Thread 0x1 (most recent call first):\n" + frames(name) for name in ("a.py f", "b.py g"))
    assert current_frames("") == []
    assert current_frames(one) == ["a.py:1 in f"]
    assert current_frames(one + "\nTimeout (0:00:01)!\n" + two) == ["b.py:1 in g"]  # the same one, later
    assert current_frames(one + "\n" + two.replace("0x1", "0x2")) == []
    assert current_frames(HEADER + frames("c.py h") + "\n" + one) == ["c.py:1 in h"]
    assert current_frames(HEADER + frames("c.py h") + HEADER + frames("d.py i")) == ["d.py:1 in i"]
    assert current_frames("Stack (most recent call first):\n" + frames("c.py h")) == ["c.py:1 in h"]
    assert current_frames(HEADER) == []


def test_line_ends_of_any_kind_stay() -> None:
    whole, short = (HEADER + frames(*each) for each in (("a.py f", *ZYGOTE), ("a.py f",)))
    assert trimmed(whole.replace("\n", "\r\n")) == short.replace("\n", "\r\n")
    assert current_frames(whole.replace("\n", "\r\n"))[0] == "a.py:1 in f"
    assert trimmed(whole[:-1]) == short
    assert trimmed(HEADER + "  \x0b\x1c\u2028") == HEADER + "  \x0b\x1c\u2028"


@pytest.mark.parametrize("cut", range(0, 900, 7))
def test_a_dump_that_is_cut_off_keeps_the_user_s_frames(cut: int) -> None:
    whole = HEADER + frames("a.py f", "b.py g", *ZYGOTE)
    text = whole[:cut]
    short = trimmed(text)
    users = HEADER + frames("a.py f", "b.py g")
    assert short.startswith(users[:cut])
    assert is_subsequence(lines(short), lines(text))
    assert current_frames(short) == current_frames(text)[:2]


# --------------------------------------------------------------------------------------------------------- any garbage

DUMPS = [
    HEADER + frames("a.py f", *FORK, "main.py <module>"),
    dump_of(("t.py run", *LOOP), ZYGOTE, ("a.py f", "b.py g", *SPAWN)),
    "Stack (most recent call first):\n" + frames("a.py f", *ZYGOTE),
]
HEADERS = re.compile(r"(?:Current thread|Thread) 0x|Stack \(")


def spoilt(dice: random.Random) -> bytes:
    """A dump with some of its bytes lost, changed, repeated or out of order."""
    data = dice.choice(DUMPS).encode()
    for _ in range(dice.randrange(6)):
        a, b = sorted(dice.randrange(len(data) + 1) for _ in range(2))
        match dice.randrange(6):
            case 0:
                data = data[:a] + data[b:]
            case 1:
                data = data[:a] + dice.randbytes(dice.randrange(40)) + data[a:]
            case 2:
                data = data[:b] + data[a:]
            case 3:
                lines = data.split(b"\n")
                dice.shuffle(lines)
                data = b"\n".join(lines)
            case 4:
                data = data[:a]
            case _:
                data = data.replace(dice.choice([b"\n", b'"', b" ", b"0x", b"worker"]), dice.choice([b"", b"\n", b'"']))
    return data


@pytest.mark.parametrize("seed", range(20))
def test_no_garbage_makes_them_raise_or_lose_more_than_frames(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(200):
        data = spoilt(dice) if dice.random() < 0.9 else dice.randbytes(dice.randrange(500))
        text = data.decode(*dice.choice([("utf-8", "replace"), ("utf-8", "surrogateescape"), ("latin-1", "strict")]))
        before, after = lines(text), lines(trimmed(text))
        assert is_subsequence(after, before)
        assert [each for each in before if HEADERS.match(each)] == [each for each in after if HEADERS.match(each)]
        others = [each for each in before if not each.startswith("  File ")]
        assert others == [each for each in after if not each.startswith("  File ")]
        assert all(isinstance(each, str) for each in current_frames(text))
        assert current_frames(trimmed(text)) == current_frames(text)[: len(current_frames(trimmed(text)))]


def test_a_huge_line_takes_no_time() -> None:
    for piece in ('", line 1', "procession/worker/", "multiprocessing/popen_a", '  File "', "/", "1"):
        text = f'{HEADER}  File "{piece * 20_000}", line {"1" * 20_000} in f{piece * 20_000}\n'
        assert trimmed(text) == text
        assert len(current_frames(text + frames("a.py f"))) == 2


# ---------------------------------------------------------------------------------------------------------- what counts


ASKED = """Current thread 0x00007f3a2c1d5740 (most recent call first):
  File "job.py", line 3 in inner
all shown
"""
CRASHED = """Fatal Python error: Segmentation fault

Current thread 0x00007f3a2c1d5740 (most recent call first):
  File "job.py", line 9 in other
"""


@pytest.mark.parametrize(
    ("text", "end"),
    [("", ""), (ASKED, ""), (CRASHED, CRASHED), (ASKED + CRASHED, CRASHED), (CRASHED + CRASHED, CRASHED)],
)
def test_what_had_been_asked_for_says_nothing_of_the_end(text: str, end: str) -> None:
    assert crash(text) == end


def test_threads_that_do_nothing_are_left_out() -> None:
    idle = "Thread 0x1 (most recent call first):\n"
    waits = f'{idle}  File "/x/procession/transport/frames.py", line 128 in read\n'
    at_work = f'{idle}  File "/x/reader.py", line 128 in read\n'
    assert without_idle("") == ""
    assert without_idle(f"{idle}\n{waits}\n{at_work}\n{idle}") == at_work


def test_the_handler_that_writes_a_dump_is_not_in_it() -> None:
    text = """Current thread 0x1 (most recent call first):
  File "/x/procession/worker/showing.py", line 55 in show_stacks
  File "/y/show_stacks.py", line 2 in show_stacks
  File "/x/procession/worker/loop.py", line 230 in invoke
"""
    kept = '  File "/y/show_stacks.py", line 2 in show_stacks\n'
    assert trimmed(text) == f"Current thread 0x1 (most recent call first):\n{kept}"
