"""A recording as a file of trace events: nothing is lost on the way there and back, and it is what viewers take."""

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.seeing.chrome import arrows, read, write, writing
from procession.seeing.recording import CANCELLED, COLUMNS, DIED, ERROR, FailureText, Pool, Recording, Stream, Worker
from tests.seeing.made import BEGAN, MS, NONE, Faults, made

KEPT = (
    *("columns", "pools", "workers", "functions", "streams", "failures", "counters", "repeats"),
    *("since", "until", "cpus", "lost", "about"),
)


def same(one: Recording, other: Recording) -> None:
    for name in KEPT:
        assert getattr(one, name) == getattr(other, name), name
    assert vars(one).keys() == {*KEPT}, "a new part of a recording is to be kept in the file, too"


def there_and_back(recording: Recording, path: Path) -> Recording:
    write(recording, path)
    return read(path)


def events(path: Path) -> list[dict[str, Any]]:
    """By a parser that knows nothing of lines."""
    whole = json.loads(path.read_bytes())
    return list(whole["traceEvents"])


# ---------------------------------------------------------------------------------------------------- nothing is lost


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["run.json", "run.json.gz"])
def test_what_is_read_is_what_was_written(tmp_path: Path, seed: int, name: str) -> None:
    recording = made(300 * seed, 3, 1 + seed, seed=seed)
    recording.lost, recording.repeats = seed, {1: (3, 240_000_000), 0: (2, 1)}
    same(there_and_back(recording, tmp_path / name), recording)


def test_an_empty_recording(tmp_path: Path) -> None:
    same(there_and_back(Recording(), tmp_path / "run.json"), Recording())


CODES = {"i": 31, "q": 62, "H": 16, "B": 8, "I": 32}
RANGES = {name: st.integers(0, (1 << CODES[code]) - 1) for name, code in COLUMNS.items()}
RANGES |= {name: st.integers(-1, 4) for name in ("worker", "index", "function", "stream")}
RANGES["outcome"] = st.integers(0, 5)
SMALL = {name: st.integers(0, 40) for name in ("queued", "sent", "started", "ended", "done", "load", "dump")}
ROW = st.one_of(st.fixed_dictionaries(RANGES), st.fixed_dictionaries(RANGES | SMALL))
TEXT = st.text(max_size=8)


@given(
    st.lists(ROW, max_size=6),
    st.lists(TEXT, max_size=4),
    st.lists(st.tuples(st.integers(-1, 2), TEXT, st.integers(1, 1 << 62), st.floats(allow_nan=False)), max_size=4),
    TEXT,
)
def test_nothing_that_a_recording_can_hold_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, int]],
    functions: list[str],
    samples: list[tuple[int, str, int, float]],
    text: str,
) -> None:
    """Whatever the columns take, lawful or not: names that are the same, workers not there, times in disorder."""
    recording = Recording()
    recording.functions = functions
    recording.pools = [Pool(0, "threads", 2, text)]
    recording.workers = [Worker(0, 0, 7, 1, 0), Worker(0, 1, 8, 1, 1 << 62, text)]
    recording.streams.append(Stream(text, text))
    recording.about = {text: text}
    for row in rows:
        at = recording.add(**row)
        if row["outcome"]:
            recording.failures[at] = FailureText(text, text, text)
    for sample in samples:
        recording.sample(*sample)
    path = tmp_path_factory.getbasetemp() / "any.json"
    same(there_and_back(recording, path), recording)
    assert all(event["ts"] >= 0 for event in events(path) if "ts" in event)


def test_times_stay_exact_on_a_machine_that_has_been_up_for_ten_years(tmp_path: Path) -> None:
    """A float of microseconds holds nanoseconds for a hundred days."""
    recording = made(50)
    shift = 315_360_000_000_000_123
    for name in ("queued", "sent", "started", "ended", "done"):
        for row, value in enumerate(recording.columns[name]):
            recording.columns[name][row] = value + shift if value else 0
    recording.since += shift
    recording.until += shift
    recording.workers = [worker._replace(started=0, ended=0) for worker in recording.workers]
    recording.counters.clear()
    path = tmp_path / "run.json"
    same(there_and_back(recording, path), recording)
    slices = [event for event in events(path) if event["ph"] == "X" and "cat" not in event]
    assert [round(event["ts"] * 1000) + shift + BEGAN for event in slices] == [at for at in recording.started if at]


# ------------------------------------------------------------------------------------------------- what viewers take


def tracks(path: Path) -> dict[int, list[tuple[int, int]]]:
    """The slices of each track, in nanoseconds."""
    found = defaultdict(list)
    for event in events(path):
        if event["ph"] == "X":
            start = round(event["ts"] * 1000)
            found[event["tid"]].append((start, start + round(event["dur"] * 1000)))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_on_a_track_slices_lie_inside_each_other_or_apart(tmp_path: Path, seed: int) -> None:
    write(made(300, 3, 2, seed=seed, faults=Faults(killing=0.1)), path := tmp_path / "run.json")
    for slices in tracks(path).values():
        open_slices: list[int] = []
        for start, end in sorted(slices, key=lambda slice_: (slice_[0], -slice_[1])):
            while open_slices and open_slices[-1] <= start:
                open_slices.pop()
            assert not open_slices or end <= open_slices[-1]
            open_slices.append(end)


def test_a_task_that_never_ended_is_drawn_until_the_next_one_starts_there(tmp_path: Path) -> None:
    recording = Recording()
    recording.pools, recording.workers = [Pool(0, "threads", 1)], [Worker(0, 0, 7, 1, 0)]
    recording.add(worker=0, queued=1000, started=2000, done=9000, outcome=DIED)
    recording.add(worker=0, queued=1000, started=5000, ended=6000, done=9000)
    recording.add(worker=0, queued=1000, started=8000, done=9500, outcome=DIED)
    write(recording, path := tmp_path / "run.json")
    worker = {event["tid"] for event in events(path) if event.get("args", {}).get("unended")}
    assert tracks(path)[worker.pop()] == [(1999, 4999), (4999, 5999), (7999, 9499)]


def test_every_arrow_has_three_events_and_a_slice_at_each(tmp_path: Path) -> None:
    recording = made(200, faults=NONE)
    write(recording, path := tmp_path / "run.json")
    found = defaultdict(list)
    slices = tracks(path)
    for event in events(path):
        if event.get("cat") == "arrow":
            found[event["id"]].append(event["ph"])
            at = round(event["ts"] * 1000)
            assert any(start <= at < end for start, end in slices[event["tid"]])
    assert len(found) == len(recording)
    assert {"".join(sorted(phases)) for phases in found.values()} == {"fst"}


def test_of_many_tasks_the_long_and_the_failed_have_arrows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrows, "ARROWS", 3)
    recording = Recording()
    recording.workers = [Worker(0, 0, 7, 1, 0)]
    for long, outcome in ((1, 0), (2, ERROR), (3 * MS, 0), (5 * MS, 0), (4 * MS, 0), (2, CANCELLED), (9 * MS, 0)):
        recording.add(worker=0, queued=5, started=7, ended=7 + long, done=7 + long, outcome=outcome)
    recording.add(worker=-1, queued=5, done=10 * MS, outcome=CANCELLED)
    assert arrows.chosen(recording) == [3, 4, 6]
    monkeypatch.setattr(arrows, "ARROWS", 5)
    assert arrows.chosen(recording) == [1, 2, 3, 4, 6]


def test_decoding_and_encoding_are_drawn_where_they_count(tmp_path: Path) -> None:
    recording = Recording()
    recording.workers = [Worker(0, 0, 7, 1, 0)]
    recording.add(worker=0, started=1000, ended=2000, load=300, dump=5)
    recording.add(worker=0, started=3000, ended=4000, load=10, dump=500)
    write(recording, path := tmp_path / "run.json")
    drawn = [(e["name"], e["ts"], e["dur"]) for e in events(path) if e.get("cat") == "codec"]
    assert drawn == [("decode", 1.0, 0.299), ("encode", 3.499, 0.5)]


def test_failures_and_dead_workers_are_marked(tmp_path: Path) -> None:
    recording = made(400, faults=Faults(failing=0.1, killing=0.05))
    write(recording, path := tmp_path / "run.json")
    marks = defaultdict(list)
    for event in events(path):
        if event["ph"] == "i":
            marks[event.get("cat")].append(event["name"])
    failed = [failure.kind for row, failure in recording.failures.items()]
    assert sorted(marks["failure"]) == sorted(failed)
    assert sorted(marks["worker"]) == sorted(worker.end for worker in recording.workers if worker.end)
    assert len(marks[None]) == sum(not started for started in recording.started)


def test_it_is_said_what_is_on_which_track(tmp_path: Path) -> None:
    recording = made(40, 2, 2)
    write(recording, path := tmp_path / "run.json")
    names = {(e["name"], e["pid"], e.get("tid")): e["args"]["name"] for e in events(path) if e["name"][-5:] == "_name"}
    assert sorted(name for (kind, *_), name in names.items() if kind == "process_name") == [
        "pool 0 (processes, width 2)",
        "pool 1 (threads, width 2)",
        "program",
    ]
    workers = [name for (kind, pid, _), name in names.items() if kind == "thread_name" and pid > 1]
    assert workers == [f"worker {worker.wid} (pid {worker.pid})" for worker in recording.workers]
    pids, tids = {e["pid"] for e in events(path)}, {e["tid"] for e in events(path) if "tid" in e}
    assert not pids & tids


def test_of_many_tasks_each_takes_few_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound of arrows a task is one event. The rows here say all that a row can."""
    monkeypatch.setattr(arrows, "ARROWS", 0)
    monkeypatch.setattr(writing, "ARROWS", 0)
    recording = made(5000, 8, faults=NONE)
    write(recording, path := tmp_path / "run.json")
    rest = sum(len(line) for line in path.read_text().splitlines() if '"args":{"item"' not in line)
    assert (path.stat().st_size - rest) / len(recording) < 260


# ------------------------------------------------------------------------------------------------ what is wrong with it


def written(path: Path) -> bytes:
    write(made(30, 2), path)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["run.json", "run.json.gz"])
def test_a_file_that_was_cut_off_says_so(tmp_path: Path, name: str) -> None:
    whole = written(path := tmp_path / name)
    for length in {*range(60, len(whole) - 1, len(whole) // 50), len(whole) - 3}:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"{name} ends too early"):
            read(path)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "{}", "[]", "17", "no JSON", '{"traceEvents":[\n]}', '{"traceEvents":[{"ph":"X"}]}', "\x80\x81", "a\nb"],
)
def test_a_file_of_somebody_else_is_refused(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "other.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"other\.json is no recording of procession"):
        read(path)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    whole = written(path := tmp_path / "run.json")
    path.write_bytes(whole.replace(b'"form":1', b'"form":2', 1))
    with pytest.raises(ValueError, match="of form 2, of another version"):
        read(path)


def damage(lines: list[str]) -> dict[str, list[str]]:
    task = next(at for at, line in enumerate(lines) if '"waited_ns"' in line)
    return {
        "no event": [*lines[:task], "nonsense,", *lines[task:]],
        "line": [*lines[:task], lines[task].replace('"args"', '"agrs"'), *lines[task + 1 :]],
        "1 of the": [*lines[:task], *lines[task + 1 :]],
        "-1 of the": [*lines[:task], lines[task], *lines[task:]],
    }


@pytest.mark.parametrize("word", ["no event", "line", "1 of the", "-1 of the"])
def test_a_damaged_file_says_where(tmp_path: Path, word: str) -> None:
    lines = written(path := tmp_path / "run.json").decode().splitlines()
    path.write_text("\n".join(damage(lines)[word]) + "\n")
    with pytest.raises(ValueError, match=f"is damaged: .*{word}"):
        read(path)


def test_a_damaged_archive_says_so(tmp_path: Path) -> None:
    whole = bytearray(written(path := tmp_path / "run.json.gz"))
    whole[len(whole) // 2] ^= 255
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"run\.json\.gz (is damaged|ends too early)"):
        read(path)
    path.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(ValueError, match="is no recording"):
        read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "run.json")
