"""What a worker takes, and the OOM killer's counters in control groups made up of files."""

import gc
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from procession import Pool
from procession.backends import memory
from procession.backends.memory import OomWatch, resident
from procession.options import LEAST_MEMORY

linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


# ------------------------------------------------------------------------------------------------------------- resident


@linux
def test_what_this_process_touches_is_resident() -> None:
    gc.collect()  # what others have left is given back before, not meanwhile
    before = resident(os.getpid())
    assert before is not None
    with mmap.mmap(-1, 256 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(b"x" * len(block))
        after = resident(os.getpid())
    assert after is not None
    assert after - before > 32 << 20


@linux
def test_a_process_that_is_gone_has_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert resident(process.pid)
        process.communicate(b"\n")
    assert resident(process.pid) is None


@linux
def test_a_zombie_has_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert resident(process.pid) is None
    finally:
        process.wait()


@pytest.mark.parametrize("pid", [-1, 10**30])
def test_a_number_that_is_no_process_has_nothing(pid: int) -> None:
    assert resident(pid) is None


@pytest.mark.parametrize("text", ["", "12", "12 x 3", "12 " + "9" * 5000, "\0\0"])
def test_an_odd_statm_says_nothing(tmp_path: Path, text: str) -> None:
    for pid in ("self", "7"):
        (tmp_path / "proc" / pid).mkdir(parents=True)
    (tmp_path / "proc/7/statm").write_text(text)
    assert resident(7, str(tmp_path)) is None


def test_without_proc_psutil_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psutil")
    root = str(tmp_path)
    assert (resident(os.getpid(), root) or 0) > LEAST_MEMORY // 4
    assert resident(-1, root) is None
    assert resident(10**30, root) is None
    monkeypatch.setitem(sys.modules, "psutil", None)  # as if it were not installed
    assert resident(os.getpid(), root) is None


def test_psutil_is_not_imported_with_it() -> None:
    program = "import sys, procession, procession.backends.memory; sys.exit('psutil' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


@linux
def test_the_floor_is_near_what_a_bare_worker_takes() -> None:
    with Pool(1) as pool:
        pid = pool.submit(os.getpid).result()  # of all functions the one that imports nothing
        taken = resident(pid)
    assert taken is not None
    assert taken < 4 * LEAST_MEMORY
    assert taken / 2 <= LEAST_MEMORY <= taken * 3  # its zygote may have been caught before all was imported


# ------------------------------------------------------------------------------------------------------------- OomWatch

V2 = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
V1_CPU = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
CONTAINER = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"


def events(kills: object) -> str:
    return f"low 0\nhigh 3\nmax 17\noom 9\noom_kill {kills}\noom_group_kill 8\n"


def control(kills: object) -> str:
    return f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n"


def vmstat(kills: object) -> str:
    return f"nr_free_pages 12\noom_kill {kills}\nnuma_hit 5\n"


Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files below tmp_path, named from there; None removes one."""

    def write(files: Mapping[str, str | None]) -> None:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                file.unlink()
            else:
                file.write_text(text)

    return write


def watch(tmp_path: Path, write: Write, mounts: str, group: str, files: Mapping[str, str]) -> OomWatch:
    write({"proc/self/mountinfo": mounts, "proc/self/cgroup": group, **files})
    return OomWatch(str(tmp_path))


@pytest.mark.parametrize(
    ("mounts", "group", "file", "say"),
    [
        (V2, "0::/a\n", "sys/fs/cgroup/a/memory.events", events),
        (V2, "0::/\n", "sys/fs/cgroup/memory.events", events),
        (V2, "0::/a/b/c\n", "sys/fs/cgroup/a/b/c/memory.events", events),
        (V2, "0::/a/b/c\n", "sys/fs/cgroup/a/memory.events", events),  # the controller ends above us
        (V1, "4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.oom_control", control),
        (V1, "4:memory:/\n", "sys/fs/cgroup/memory/memory.oom_control", control),
        (CONTAINER, "4:memory:/docker/abc\n", "sys/fs/cgroup/memory/memory.oom_control", control),
        (CONTAINER, "4:memory:/docker/abc/d\n", "sys/fs/cgroup/memory/d/memory.oom_control", control),
        (HYBRID, "4:memory:/a\n0::/a\n", "sys/fs/cgroup/memory/a/memory.oom_control", control),
        (HYBRID, "4:cpu:/a\n0::/a\n", "sys/fs/cgroup/unified/a/memory.events", events),
        (V1_CPU, "4:cpu:/a\n", "proc/vmstat", vmstat),
        (V2, "0::/\n", "proc/vmstat", vmstat),
        ("", "", "proc/vmstat", vmstat),
        ("nonsense\n - \n", ":\n\0\n4\n", "proc/vmstat", vmstat),
        (V1, "4:memory:/a\0b\n", "proc/vmstat", vmstat),
    ],
)
def test_a_counter_that_rises_is_seen_once(
    tmp_path: Path, write: Write, mounts: str, group: str, file: str, say: Callable[[object], str]
) -> None:
    oom = watch(tmp_path, write, mounts, group, {file: say(4)})
    assert oom.struck() is False
    write({file: say(5)})
    assert oom.struck() is True
    assert oom.struck() is False
    write({file: say(105)})
    assert OomWatch(str(tmp_path)).struck() is False  # what was before it is not its own
    assert oom.struck() is True
    assert oom.struck() is False


@pytest.mark.parametrize("text", ["", "oom_kill", "oom_kill \n", "oom_kill x\n", "oom_kill 1 2\n", "oom_killer 3\n"])
def test_without_a_counter_nobody_knows(tmp_path: Path, write: Write, text: str) -> None:
    files = dict.fromkeys(("sys/fs/cgroup/a/memory.events", "proc/vmstat"), text)
    assert OomWatch(str(tmp_path)).struck() is None
    assert watch(tmp_path, write, V2, "0::/a\n", files).struck() is None


def test_our_own_group_counts_and_no_other(tmp_path: Path, write: Write) -> None:
    ours, above, beside = (f"sys/fs/cgroup/{name}memory.events" for name in ("a/b/", "a/", "a/c/"))
    start = {ours: events(0), above: events(0), beside: events(0), "proc/vmstat": vmstat(0)}
    oom = watch(tmp_path, write, V2, "0::/a/b\n", start)
    write({above: events(1), beside: events(1), "proc/vmstat": vmstat(1)})
    assert oom.struck() is False
    write({ours: events(1)})
    assert oom.struck() is True


def test_by_version_1_a_group_above_says_nothing_of_us(tmp_path: Path, write: Write) -> None:
    above = "sys/fs/cgroup/memory/memory.oom_control"
    oom = watch(tmp_path, write, V1, "4:memory:/a\n", {above: control(0)})
    write({above: control(1)})
    assert oom.struck() is None
    write({"proc/vmstat": vmstat(0)})
    oom = OomWatch(str(tmp_path))
    write({"proc/vmstat": vmstat(1)})
    assert oom.struck() is True


def test_a_counter_that_falls_begins_again(tmp_path: Path, write: Write) -> None:
    file = "sys/fs/cgroup/a/memory.events"
    oom = watch(tmp_path, write, V2, "0::/a\n", {file: events(7)})
    write({file: events(0)})
    assert oom.struck() is False
    write({file: events(1)})
    assert oom.struck() is True


def test_a_counter_that_comes_late_is_no_strike(tmp_path: Path, write: Write) -> None:
    file = "sys/fs/cgroup/a/memory.events"
    oom = watch(tmp_path, write, V2, "0::/a\n", {})
    assert oom.struck() is None
    write({file: events(7)})
    assert oom.struck() is None
    assert oom.struck() is False
    write({file: events(8)})
    assert oom.struck() is True


def test_a_process_that_is_moved_counts_where_it_is(tmp_path: Path, write: Write) -> None:
    here, there = "sys/fs/cgroup/a/memory.events", "sys/fs/cgroup/b/memory.events"
    oom = watch(tmp_path, write, V2, "0::/a\n", {here: events(1), there: events(9)})
    write({"proc/self/cgroup": "0::/b\n"})
    assert oom.struck() is None
    write({there: events(10)})
    assert oom.struck() is True
    write({here: None})
    assert oom.struck() is False


@linux
def test_here_it_is_known_or_not() -> None:
    assert memory.OomWatch().struck() in (None, False, True)


# ------------------------------------------------------------------------------------------------------------ available

MEMINFO = "MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\n"


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 8 kB\n"}, None),
        ({"proc/meminfo": MEMINFO}, 4000 * 1024),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/mountinfo": V2,
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/memory.max": "3000000\n",
                "sys/fs/cgroup/a/memory.current": "2500000\n",
                "sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 100000\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/b/memory.current": "2000000\n",
            },
            600_000,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/mountinfo": V1,
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "1500000\n",
                "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 100\n",
            },
            0,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/mountinfo": V1,
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "odd\n",
            },
            4000 * 1024,
        ),
    ],
)
def test_how_much_memory_there_is(files: dict[str, str], free: int | None, tmp_path: Path, write: Write) -> None:
    write(files)
    assert memory.available(str(tmp_path)) == free


@linux
def test_there_is_memory_here() -> None:
    free = memory.available()
    assert free is not None
    assert free > 1 << 20
