"""The trace of the reference workload, as viewers that are not ours see it: Perfetto, by SQL, and about:tracing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import procession
from procession import Pool
from procession.cli import workload
from tests.browser.viewers import IMPORT, Page, about_tracing, perfetto

pytestmark = pytest.mark.e2e

WORKERS = 8


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload, run for real: 13 s of work in some 4 s."""
    path = tmp_path_factory.mktemp("viewers") / "run.json"
    with procession.trace(path), Pool(WORKERS) as pool:
        for _ in pool.imap(workload.Work(), workload.ITEMS):
            pass
    return path


@pytest.fixture(scope="module")
def page(trace: Path) -> Iterator[Page]:
    with perfetto(trace) as opened:
        yield opened


OF_WORKERS = """
    from slice join thread_track on slice.track_id = thread_track.id join thread using (utid)
    where thread.name like 'worker %' and slice.depth = 0 and slice.dur > 0
"""


def test_perfetto_finds_nothing_wrong(page: Page) -> None:
    faults = "select name, value from stats where severity in ('error', 'data_loss') and value != 0"
    assert page.query(faults) == []


def test_perfetto_sums_thirteen_seconds_on_overlapping_tracks(page: Page) -> None:
    [[tasks, tracks, work, wall]] = page.query(
        "select count(), count(distinct track_id), sum(slice.dur) / 1e9, (max(ts + slice.dur) - min(ts)) / 1e9"
        + OF_WORKERS
    )
    assert tasks == len(workload.ITEMS)
    assert 4 <= tracks <= WORKERS
    assert 13 <= work < 13 + tasks * 0.5
    assert 4 <= wall < work / 2

    [[together]] = page.query(
        f"""with edges as (select ts as at, 1 as step {OF_WORKERS}
                          union all select ts + slice.dur, -1 {OF_WORKERS}),
                 sums as (select sum(step) over (order by at, step) as running from edges)
            select max(running) from sums"""
    )
    assert together >= 4


def test_perfetto_has_the_arrows_and_the_counters(page: Page) -> None:
    led = page.query(
        """select one.category, other.category, count() from flow
           join slice one on flow.slice_out = one.id join slice other on flow.slice_in = other.id
           group by 1, 2 order by 1"""
    )
    tasks = len(workload.ITEMS)
    assert led == [[None, "results", tasks], ["submitted", None, tasks]]
    counted = page.query(
        """select track.name, count(), max(value) from counter
           join process_counter_track as track on counter.track_id = track.id group by 1"""
    )
    found = {name: most for name, count, most in counted if count > 20}
    assert {
        "queued tasks",
        "running tasks",
        "ready tasks",
        "workers alive",
        "memory bytes",
        "cpu seconds",
    } <= found.keys()
    assert found["workers alive"] == WORKERS
    assert found["memory bytes"] > 1_000_000


def test_perfetto_shows_what_a_task_was_given(page: Page) -> None:
    items = page.query("select display_value from slice join args using (arg_set_id) where key = 'args.item'")
    assert sorted(int(item) for [item] in items) == list(range(len(workload.ITEMS)))


def test_about_tracing_opens_it(trace: Path) -> None:
    with about_tracing(trace) as page:
        model = page.call(IMPORT)
    tasks = len(workload.ITEMS)
    assert model["warnings"] == []
    assert model["loose"] == 0
    assert model["arrows"] == 2 * tasks
    program, pool = model["processes"]  # the number of a pool is that among all of this session
    assert program == "program"
    assert re.fullmatch(rf"pool \d+ \(processes, width {WORKERS}\)", pool)
    events = json.loads(trace.read_text())["traceEvents"]
    codec = sum(each["ph"] == "X" and each.get("cat") == "codec" for each in events)  # what took long to pickle, if any
    assert sum(count for name, count in model["slices"].items() if name.startswith("worker ")) == tasks + codec
