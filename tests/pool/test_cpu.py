"""The CPUs that a process may use, from control groups made up of files."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import procession
from procession import Pool, cpu, sharing

V2 = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
V1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
CONTAINER = "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"

Build = Callable[[Mapping[str, str]], str]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def write(files: Mapping[str, str]) -> str:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return str(tmp_path)

    return write


def system(mounts: str, group: str, **files: str) -> dict[str, str]:
    found = {"proc/self/mountinfo": mounts, "proc/self/cgroup": group}
    return found | {
        f"sys/fs/cgroup/{name.replace('__', '/').replace('cpu_', 'cpu.')}": text for name, text in files.items()
    }


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        (system(V2, "0::/\n", cpu_max="150000 100000\n"), 1.5),
        (system(V2, "0::/\n", cpu_max="max 100000\n"), None),
        (system(V2, "0::/a/b\n", cpu_max="max", a__cpu_max="400000 100000", a__b__cpu_max="800000 100000"), 4.0),
        (system(V2, "0::/a/b\n", a__b__cpu_max="50000 100000"), 0.5),
        (system(V2, "0::/a\n", a__cpu_max="200000"), 2.0),
        (system(V2, "0::/gone\n", cpu_max="300000 100000"), 3.0),
        (system(V2, "0::/../../elsewhere\n", cpu_max="300000 100000"), 3.0),
        (system(V2, "0::/a\n", a__cpu_max=""), None),
        (system(V2, "0::/a\n", a__cpu_max="some nonsense"), None),
        (system(V2, "0::/a\n", a__cpu_max="0 0"), None),
        (system(V2, "0::/a\n", a__cpu_max="100000 0"), None),
        (system(V2, "", cpu_max="100000 100000"), None),
        (system("", "0::/\n", cpu_max="100000 100000"), None),
        (system("nonsense\n\n - \n", "nonsense\n:\n", cpu_max="100000 100000"), None),
        (system(V1, "4:cpu,cpuacct:/\n", cpu__cpu_cfs_quota_us="250000", cpu__cpu_cfs_period_us="100000"), 2.5),
        (system(V1, "4:cpu,cpuacct:/\n", cpu__cpu_cfs_quota_us="-1", cpu__cpu_cfs_period_us="100000"), None),
        (system(V1, "4:cpu,cpuacct:/\n", cpu__cpu_cfs_quota_us="250000"), None),
        (system(V1, "4:memory:/\n", cpu__cpu_cfs_quota_us="250000", cpu__cpu_cfs_period_us="100000"), None),
        (
            system(CONTAINER, "4:cpu:/docker/abc\n", cpu__cpu_cfs_quota_us="100000", cpu__cpu_cfs_period_us="100000"),
            1.0,
        ),
        (
            system(
                HYBRID,
                "4:cpu,cpuacct:/a\n0::/a\n",
                cpu__a__cpu_cfs_quota_us="300000",
                cpu__a__cpu_cfs_period_us="100000",
                unified__a__cpu_max="200000 100000",
            ),
            2.0,
        ),
    ],
)
def test_the_smallest_quota_counts(build: Build, files: dict[str, str], quota: float | None) -> None:
    assert cpu.cgroup_quota(build(files)) == quota


def test_affinity_and_quota(build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 6, raising=False)
    assert cpu.available(str(tmp_path)) == 6
    assert cpu.available(build(system(V2, "0::/\n", cpu_max="150000 100000"))) == 2
    assert cpu.available(build(system(V2, "0::/\n", cpu_max="10000 100000"))) == 1
    assert cpu.available(build(system(V2, "0::/\n", cpu_max="900000 100000"))) == 6


def test_what_the_environment_allows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 6, raising=False)
    for said, cpus in [("4", 4), ("1", 1), ("64", 6), ("0", 6), ("-2", 6), ("many", 6), ("", 6), ("2.5", 6)]:
        monkeypatch.setenv(sharing.ENVIRONMENT, said)
        assert cpu.available(str(tmp_path)) == cpus, said


def test_a_budget_says_why(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 6, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.delenv(sharing.ENVIRONMENT, raising=False)
    root = build(system(V2, "0::/a/b\n", cpu_max="max", a__cpu_max="450000 100000", a__b__cpu_max="900000 100000"))
    text = str(cpu.budget(1, root)).replace(root, "")
    assert [line.strip() for line in text.replace("process_cpu_count()", "sched_getaffinity").splitlines()] == [
        "5 CPUs",
        "os.cpu_count(): 64 in this machine",
        "os.sched_getaffinity: 6",
        "control groups: a quota of 4.5, rounded up to 5 (/sys/fs/cgroup/a: cpu.max 450000 100000)",
        "PROCESSION_CPUS: not set",
        "so 5: the least of these",
    ]
    monkeypatch.setenv(sharing.ENVIRONMENT, "lots")
    shared = cpu.budget(3, root)
    assert shared.cpus == int(shared) == 1
    assert shared.reasons[-3:] == (
        "PROCESSION_CPUS='lots': not an integer of at least 1, so it says nothing",
        "3 workers have 5 together",
        "so 1: the least of these",
    )
    assert [cpu.budget(by, root).cpus for by in (1, 2, 5, 6, 100)] == [5, 2, 1, 1, 1]


def test_a_budget_is_a_number() -> None:
    budget = procession.cpu_budget()
    assert int(budget) == budget.cpus == len(range(budget)) == cpu.available()
    with pytest.raises(AttributeError, match="never changes"):
        budget.cpus = 64  # type: ignore[misc]


def test_a_quota_of_a_real_control_group(tmp_path: Path) -> None:
    """A program that is moved into a group with a quota, where this machine lets one be made (as root, version 1)."""
    groups = Path("/sys/fs/cgroup/cpu")
    group = groups / f"procession-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")  # the trees of files above stand for it
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text("70000")
        program = (
            "import os, procession, pathlib\n"
            f"pathlib.Path({str(group / 'cgroup.procs')!r}).write_text(str(os.getpid()))\n"
            "print(procession.cpu_budget().cpus, procession.Pool().stats().max_workers, procession.cpu_budget())\n"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    finally:
        group.rmdir()
    assert ran.stdout.startswith("1 1 1 CPU\n")
    assert f"a quota of 0.7, rounded up to 1 ({group}: cpu.cfs_quota_us 70000, cpu.cfs_period_us 100000)" in ran.stdout


def test_a_pool_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "available", lambda: 3)
    with Pool(backend="threads") as pool:
        assert pool.stats().max_workers == 3


def test_this_machine_has_a_cpu() -> None:
    assert 1 <= cpu.available() <= (os.cpu_count() or 1)
