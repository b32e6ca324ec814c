"""The page of a recording holds all of it, and what tasks say in it is never more than text."""

import hashlib
import html
import re
from array import array
from base64 import b64encode
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession import Pool, trace
from procession.seeing import packing
from procession.seeing.packing import pack
from procession.seeing.page import write_html
from procession.seeing.recording import COLUMNS, OK, FailureText, Recording, Samples
from procession.seeing.verdict import Finding, Verdict, verdict
from tests.seeing.made import NONE, made
from tests.seeing.test_made import laws
from tests.seeing.unpacked import about_of, element, unpacked

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "{{data}}{{script}}",
    "\"&quot;'`${1}\\",
    "line\u2028and\u2029line\n\x00\x7f",
    "\ud800 alone",
)


def page_of(recording: Recording, tmp_path: Path, said: Verdict | None = None) -> str:
    write_html(recording, tmp_path / "run.html", said=said)
    return (tmp_path / "run.html").read_text("utf-8")


def rows(recording: Recording) -> Counter[tuple[object, ...]]:
    """What each row says, with its failure; rows have no order."""
    columns = zip(*(recording.columns[name] for name in COLUMNS), strict=True)
    return Counter((*row, recording.failures.get(number)) for number, row in enumerate(columns))


def rest(recording: Recording) -> dict[str, object]:
    return {name: value for name, value in vars(recording).items() if name not in ("columns", "failures")}


def check_same(recording: Recording, page: str) -> None:
    back = unpacked(page)
    assert rows(back) == rows(recording)
    assert rest(back) == rest(recording)


@pytest.mark.parametrize(("tasks", "workers", "pools"), [(0, 1, 1), (1, 1, 1), (900, 4, 1), (1200, 9, 3)])
def test_it_holds_the_whole_recording(tasks: int, workers: int, pools: int, tmp_path: Path) -> None:
    recording = made(tasks, workers, pools, seed=tasks)
    recording.lost = 3
    recording.repeats = {1: (12, 80_000_000)} if recording.functions else {}
    check_same(recording, page_of(recording, tmp_path))


def test_it_holds_a_recording_in_which_there_is_nothing(tmp_path: Path) -> None:
    check_same(Recording(), page_of(Recording(), tmp_path))


TIME = st.one_of(st.just(0), st.integers(1, 2**51), st.integers(10**15, 10**15 + 10**6))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "worker": st.integers(-1, 3),
            "function": st.integers(0, 300),
            "stream": st.integers(0, 2),
            "index": st.integers(-1, 2**40),
            "attempt": st.integers(1, 2**16 - 1),
            "outcome": st.integers(0, 5),
            **dict.fromkeys(("queued", "sent", "started", "ended", "done"), TIME),
            "pickle": st.integers(0, 2**40),
            **dict.fromkeys(("load", "dump"), st.integers(0, 2**32 - 1)),
            **dict.fromkeys(("bytes_in", "bytes_out"), st.integers(0, 2**45)),
        }
    ),
    max_size=12,
)


@given(given_rows=ROWS, since=TIME)
def test_any_numbers_come_back(given_rows: list[dict[str, int]], since: int) -> None:
    recording = Recording()
    recording.since = recording.until = since
    for row in given_rows:
        recording.add(**row)
    recording.counters[0, "queued"] = Samples(array("q", [since, since + 5, since + 3]), array("d", [0.1, -1e300, 2.5]))
    with TemporaryDirectory() as folder:
        back = unpacked(page_of(recording, Path(folder)))
    assert rows(back) == rows(recording)
    assert back.counters == recording.counters


def test_rows_of_a_worker_lie_together_in_the_order_of_time(tmp_path: Path) -> None:
    back = unpacked(page_of(made(800, 5, 2, seed=8), tmp_path))
    keys = [(w, s or t or q) for w, s, t, q in zip(back.worker, back.started, back.sent, back.queued, strict=True)]
    assert keys == sorted(keys)


def test_of_many_rows_times_are_told_coarser_and_the_laws_still_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "EXACT", 500)
    recording = made(900, 4, seed=2)
    back = unpacked(page_of(recording, tmp_path))
    laws(back)
    (unit,) = {unit for name, coding, _, unit in about_of(page_of(recording, tmp_path))["columns"] if coding == "time"}
    assert unit == 1000  # of 2 ms a half per mille
    order = pack(recording).order
    for name in packing.TIMES:
        for told, row in zip(back.columns[name], order, strict=True):
            meant = recording.columns[name][row]
            assert (told == 0) == (meant == 0)
            assert 0 <= meant - told < unit
    for name in ("worker", "function", "index", "attempt", "outcome", "bytes_in", "bytes_out"):
        assert list(back.columns[name]) == [recording.columns[name][row] for row in order]


def test_a_task_costs_few_bytes(tmp_path: Path) -> None:
    small = len(page_of(Recording(), tmp_path))
    assert len(page_of(made(20_000, 8, faults=NONE), tmp_path)) - small < 45 * 20_000


def hostile() -> Recording:
    """Wherever a text may stand there is one that would like to be more."""
    recording = made(30, 2, functions=HOSTILE)
    recording.about = {name: HOSTILE[at % len(HOSTILE)] for at, name in enumerate(recording.about)} | {
        "command": HOSTILE[0]
    }
    recording.pools[:] = [pool._replace(name=HOSTILE[0], backend=HOSTILE[1]) for pool in recording.pools]
    recording.streams[:] = [stream._replace(name=HOSTILE[0]) for stream in recording.streams]
    recording.workers[:] = [worker._replace(end=HOSTILE[0]) for worker in recording.workers]
    for row in range(len(recording)):
        recording.columns["outcome"][row] = row % 6
        text = HOSTILE[row % len(HOSTILE)]
        if row % 6 != OK:
            recording.failures[row] = FailureText(text, text, text)
    return recording


def hostile_verdict() -> Verdict:
    return Verdict(HOSTILE[0], [Finding(*(HOSTILE[0],) * 5)], {}, {HOSTILE[0]: 0.5}, HOSTILE[0])


def test_what_is_judged_stands_in_it(tmp_path: Path) -> None:
    recording = made(300, 4)
    told, meant = about_of(page_of(recording, tmp_path))["verdict"], verdict(recording)
    assert (told["headline"], told["limit"], told["numbers"]) == (meant.headline, meant.limit, meant.numbers)
    assert [tuple(each) for each in told["findings"]] == [each[:4] for each in meant.findings]
    assert {head: share for head, _, share in told["shares"]} == meant.shares


def test_hostile_texts_end_no_element(tmp_path: Path) -> None:
    recording = hostile()
    page = page_of(recording, tmp_path, hostile_verdict())
    check_same(recording, page)
    plain = page_of(Recording(), tmp_path)
    for tag in ("<script", "</script", "<img", "<!--", "onerror=", "<style", "</style"):
        # In the title it is markup that means text.
        title = html.escape(HOSTILE[0]).count(tag)
        assert page.count(tag) - element(page, "about").count(tag) - title == plain.count(tag), tag
    assert "<" not in element(page, "about")
    assert about_of(page)["verdict"]["headline"] == HOSTILE[0]
    assert about_of(page)["verdict"]["findings"] == [[HOSTILE[0]] * 4]


def test_the_policy_allows_the_page_s_own_script_and_style_and_nothing_else(tmp_path: Path) -> None:
    page = page_of(made(50), tmp_path)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    for name, text in (("script-src", script), ("style-src", style)):
        assert rules[name] == f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert "unsafe" not in policy
    assert not re.findall(
        r"https?://|\bfetch\(|XMLHttpRequest|innerHTML|\beval\b", page.replace(element(page, "data"), "")
    )
    assert not re.findall(r'<[^>]* (?:style|on\w+)="', page)


def test_a_trace_writes_it_by_itself(tmp_path: Path) -> None:
    with trace(tmp_path / "run.html") as traced, Pool(backend="inline") as pool:
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        assert isinstance(pool.submit(divmod, 7, 0).exception(), ZeroDivisionError)
    assert len(traced.recording) == 2
    check_same(traced.recording, (tmp_path / "run.html").read_text("utf-8"))


def test_a_path_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_html(made(3), tmp_path / "nowhere" / "run.html")
