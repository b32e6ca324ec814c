"""The numbers, read by the parsers of prometheus-client: they are not ours."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from procession.cli.web import metrics
from tests.top import looks

NAMES = ("name", "worker", 'a "quoted" \\ one\nof two lines', "naïve", "{}=,", "")


def stream(**words: Any) -> dict[str, Any]:
    return {"kind": "imap", "name": "work", "taken": 3, "finished": 5, "ready": 2, "unfinished": 7, **words}


LOOK = looks.look(
    looks.pool(0, looks.row(1), looks.row(2, memory=None), done=19, failed=2, died=1, timeouts=3, retries=4),
    looks.pool(3, looks.row(1, memory=None, cpu=None), kind="SpinOff", name="resize", backend="threads"),
    looks.pool(4, kind="stage", name=NAMES[2], auto="", trouble="it cannot be looked at"),
    {"number": 5, "kind": "Pool", "name": "", "backend": "?", "width": 0, "trouble": "it cannot be looked at"},
    streams=[
        stream(),
        stream(name="work", taken=1, finished=1, ready=0, unfinished=0),
        {"kind": "Pipeline", "name": "", "taken": 4, "ready": 1, "unfinished": 9, "engines": [4]},
        {"kind": "SpinOff", "name": "broken", "trouble": "it cannot be looked at"},
    ],
)


def both(look: dict[str, Any], cpu: dict[int, float] | None = None) -> list[dict[str, Any]]:
    """By each parser: family name -> family."""
    cpu = metrics.Tally().take(look) if cpu is None else cpu
    told, kind = metrics.answer(look, cpu, "application/openmetrics-text; version=1.0.0")
    assert kind == metrics.OPEN
    plain, kind = metrics.answer(look, cpu, "")
    assert kind == metrics.PLAIN
    found = []
    for families in (parse_open(told), parse_plain(plain)):
        listed = list(families)
        assert len({each.name for each in listed}) == len(listed)
        found.append({each.name: each for each in listed})
    return found


def values(family: Any, **labels: str) -> list[float]:
    return [each.value for each in family.samples if labels.items() <= each.labels.items()]


def test_what_a_services_owner_asks_for_is_there() -> None:
    for found in both(LOOK):
        done = found["procession_tasks_done"]
        assert done.type == "counter"
        assert values(done, pool="0", kind="Pool", name="", backend="processes") == [19]
        assert values(found["procession_tasks_failed"], pool="0") == [2]
        assert values(found["procession_worker_deaths"], pool="0") == [1]
        assert values(found["procession_task_timeouts"], pool="0") == [3]
        assert values(found["procession_task_retries"], pool="0") == [4]
        assert values(found["procession_tasks_queued"], pool="0") == [1234]
        assert values(found["procession_tasks_running"], pool="0") == [2]
        assert values(found["procession_pool_width"], pool="0") == [4]
        assert values(found["procession_workers"], pool="0", state="busy") == [1]
        assert values(found["procession_workers_memory_bytes"], pool="0") == [12_300_000]
        assert values(found["procession_task_longest_seconds"], pool="0") == [0.214]
        assert values(found["procession_task_longest_seconds"], pool="4") == [0]
        assert values(found["procession_pool_troubled"]) == [0, 0, 1, 1]
        assert values(found["procession_workers_cpu_seconds"], pool="0") == [3]
        assert values(found["procession_program_memory_bytes"]) == [29e6]
        assert values(found["procession_program_cpu_seconds"]) == [3]
        assert values(found["procession_pools"]) == [4]
        assert values(found["procession_stream_items"], kind="imap", name="work", state="unfinished") == [7]
        assert values(found["procession_stream_items"], kind="imap", name="work", state="taken") == [4]


def test_units_and_info_are_those_of_each_format() -> None:
    opened, plain = both(LOOK)
    assert opened["procession_workers_memory_bytes"].unit == "bytes"
    assert opened["procession_program_cpu_seconds"].unit == "seconds"
    assert opened["procession"].type == "info"
    info = {"version": "0.1.0", "python": "3.11.7", "accelerated": "yes", "pid": "4711"}
    assert [each.labels for each in opened["procession"].samples] == [info]
    assert [each.labels for each in plain["procession_info"].samples] == [info]
    assert plain["procession_info"].type == "gauge"


def test_what_is_not_known_is_not_nought() -> None:
    for found in both(LOOK):
        assert values(found["procession_workers_memory_bytes"], pool="3") == []
        assert values(found["procession_tasks_done"], pool="5") == []
        assert values(found["procession_stream_items"], name="broken") == []
        assert values(found["procession_stream_items"], kind="Pipeline", state="finished") == []
    for found in both(looks.look(age=None), {}):
        assert "procession_program_age_seconds" not in found
        assert "procession_tasks_done" not in found


@settings(max_examples=10)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5, unique=True))
def test_any_name_comes_out_as_it_was(names: list[str]) -> None:
    look = looks.look(*(looks.pool(number, name=name) for number, name in enumerate(names)))
    for found in both(look):
        assert [each.labels["name"] for each in found["procession_tasks_done"].samples] == names


def test_names_of_all_kinds_and_no_more_of_them_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    look = looks.look(*(looks.pool(number, name=name) for number, name in enumerate(NAMES)))
    for found in both(look):
        assert [each.labels["name"] for each in found["procession_tasks_done"].samples] == list(NAMES)
    monkeypatch.setattr(metrics, "MOST", 3)
    many = looks.look(
        *(looks.pool(number, name="x" * 1000) for number in range(10)),
        streams=[stream(name=f"{number}") for number in range(10)],
    )
    for found in both(many):
        pools = {each.labels["pool"] for each in found["procession_tasks_done"].samples}
        assert pools == {"7", "8", "9"}
        assert {len(each.labels["name"]) for each in found["procession_tasks_done"].samples} == {100}
        assert len({each.labels["name"] for each in found["procession_stream_items"].samples}) == 3
        assert values(found["procession_pools"]) == [10]


def test_names_that_are_the_same_when_cut_are_one_stream() -> None:
    look = looks.look(streams=[stream(name="x" * 200 + end, ready=1) for end in "ab"])
    for found in both(look):
        assert values(found["procession_stream_items"], state="ready") == [2]


def test_half_a_character_breaks_nothing() -> None:
    for found in both(looks.look(looks.pool(0, name="bad\udcff"))):
        assert [each.labels["name"] for each in found["procession_tasks_done"].samples] == ["bad?"]


# ------------------------------------------------------------------------------------------------------------ counters


def test_what_workers_took_stays_when_they_are_gone() -> None:
    tally = metrics.Tally()
    row, pool = looks.row, looks.pool
    assert tally.take(looks.look(pool(0, row(1, cpu=1.5), row(2, cpu=2.0)))) == {0: 3.5}
    assert tally.take(looks.look(pool(0, row(2, cpu=2.5), row(3, cpu=None)))) == {0: 4.0}
    assert tally.take(looks.look(pool(0, row(4, cpu=0.25)), pool(1))) == {0: 4.25, 1: 0.0}
    assert tally.take(looks.look(pool(0))) == {0: 4.25}
    assert tally.take(looks.look(pool(0), pool(1, row(1, cpu=None), backend="ray"))) == {0: 4.25}
    assert tally.take(looks.look()) == {}


@settings(max_examples=25)
@given(
    st.lists(
        st.dictionaries(st.integers(0, 5), st.one_of(st.none(), st.floats(0, 100)), max_size=5), min_size=2, max_size=20
    )
)
def test_a_counter_never_falls(seen: list[dict[int, float | None]]) -> None:
    tally, before = metrics.Tally(), 0.0
    for workers in seen:
        now = tally.take(looks.look(looks.pool(7, *(looks.row(wid, cpu=cpu) for wid, cpu in workers.items()))))[7]
        assert now >= before - 1e-9
        before = now


# ----------------------------------------------------------------------------------------------------- which of the two


@pytest.mark.parametrize(
    ("accept", "is_open"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("APPLICATION/OpenMetrics-Text; version=1.0.0", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", True),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=nonsense", False),
        (",;,", False),
    ],
)
def test_who_asks_for_openmetrics_gets_it(accept: str, is_open: bool) -> None:
    assert metrics.wants_openmetrics(accept) is is_open
