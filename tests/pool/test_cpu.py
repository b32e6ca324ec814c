"""The CPUs that a process may use, from control groups made up of files."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from procession import Pool, cpu

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


def test_a_pool_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "available", lambda: 3)
    with Pool(backend="threads") as pool:
        assert pool.stats().max_workers == 3


def test_this_machine_has_a_cpu() -> None:
    assert 1 <= cpu.available() <= (os.cpu_count() or 1)
