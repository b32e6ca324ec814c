"""`procession journal`: what a journal has, as text or JSON; its outcomes as lines of JSON; failures that run again."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

from procession.cli.standard import drop_stdout, printable
from procession.errors import JournalError
from procession.journal import reading

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any, TextIO

SHOWN = 10
"""Failures that are shown of a kind, without --all."""
WIDTH = 14
"""Columns of what stands in front."""


def journal(words: Namespace) -> int:
    """Run the command; returns 0, or 1 when something is refused or cannot be read."""
    try:
        if words.retry_failures:
            _retry(words.file, words.quarantined)
        if words.vacuum:
            before, after = reading.vacuum(words.file)
            print(f"{_bytes(before)} before, {_bytes(after)} now")
        sys.stdout.flush()
        if words.export is not None:
            return _export(words.file, words.export)
        if not (words.retry_failures or words.vacuum):
            _show(words.file, as_json=words.json, everything=words.all)
    except BrokenPipeError:
        drop_stdout()
        return 0
    except JournalError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:
            drop_stdout()
        print(f"{error.filename or 'stdout'}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


# -- changes -------------------------------------------------------------------------------------------------------


def _retry(path: str, quarantined: bool) -> None:
    count = reading.retry_failures(path, quarantined=quarantined)
    print(f"{_count(count, 'failure')} forgotten: {'it runs' if count == 1 else 'these run'} again with the next run")
    if not quarantined:
        with reading.Look(path) as look:
            left = len(look.failures())
        if left:
            print(f"{_count(left, 'quarantined item')} kept; --quarantined has them run again, too", file=sys.stderr)


# -- export --------------------------------------------------------------------------------------------------------


def _export(path: str, target: str) -> int:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # classes of results are found as by `python -m`
    with reading.Look(path) as look:
        if target == "-":
            unreadable = _write(look.outcomes(), sys.stdout)
        else:
            _refuse_the_journal(path, target)
            try:
                with open(target, "w", encoding="utf-8") as file:
                    unreadable = _write(look.outcomes(), file)
            except OSError as error:
                raise OSError(error.errno, error.strerror, target) from None
    if unreadable:
        print(f'{_count(unreadable, "outcome")} could not be read: see "unreadable" in their lines', file=sys.stderr)
    return 1 if unreadable else 0


def _refuse_the_journal(path: str, target: str) -> None:
    """The journal, and what SQLite has beside it, is never written over. Raises JournalError."""
    real, written = os.path.realpath(path), os.path.realpath(target)
    beside = [f"{real}{suffix}" for suffix in ("-wal", "-shm", "-journal", "-lock")]
    if written in beside or (os.path.exists(written) and os.path.samefile(real, written)):
        raise JournalError(f"--export {target}: is a file of the journal, and would be lost; name another file")


def _write(outcomes: Iterator[dict[str, Any]], file: TextIO) -> int:
    unreadable = 0
    for each in outcomes:
        file.write(json.dumps(each, allow_nan=False) + "\n")
        unreadable += "unreadable" in each
    file.flush()
    return unreadable


# -- what there is -------------------------------------------------------------------------------------------------


def _show(path: str, *, as_json: bool, everything: bool) -> None:
    with reading.Look(path) as look:
        summary, failures = look.summary(), look.failures()
    if as_json:
        print(json.dumps(_as_json(summary, failures)))
    else:
        for line in _lines(summary, failures, everything):
            print(printable(line))
    sys.stdout.flush()


def _as_json(summary: reading.Summary, failures: list[reading.Failed]) -> dict[str, Any]:
    queue = summary.identity["kind"] == "queue"
    counts = {"done": summary.done, "failed": summary.failed}
    if queue:
        counts |= {"waiting": summary.waiting, "accepted": summary.accepted, "handed_over": summary.handed}
    return {
        "path": summary.path,
        "bytes": summary.size,
        "pid": summary.pid,
        "belongs_to": summary.identity,
        "items": counts,
        "runs": [
            {"run": each.number, "began": each.began, "ended": each.ended, "pid": each.pid, "how": each.how}
            for each in summary.runs
        ],
        "failures": [
            {
                "item": each.item if not isinstance(each.item, bytes) else repr(each.item),
                "shown": each.shown,
                "type": each.type,
                "text": each.text,
                "tries": each.tries,
                "run": each.run,
                "quarantined": each.quarantined,
            }
            for each in failures
        ],
    }


def _lines(summary: reading.Summary, failures: list[reading.Failed], everything: bool) -> Iterator[str]:
    identity = summary.identity
    queue = identity["kind"] == "queue"
    yield _row("journal", f"{summary.path}, {_bytes(summary.size)}")
    if summary.pid is not None:
        yield _row("in use", f"by the program with pid {summary.pid}")
    yield _row("belongs to", f"{'a SpinOff' if queue else 'an imap'} of {identity['function']}")
    known = "their ids (item_id)" if identity["own_ids"] else "the number of their put" if queue else "their positions"
    yield _row("items", f"known by {known}")
    if identity["version"] is not None:
        yield _row("version", repr(identity["version"]))
    if identity["seed"] is not None:
        yield _row("seed", str(identity["seed"]))
    poison = sum([each.quarantined for each in failures])
    told = f"{summary.done:,} done, {summary.failed:,} failed"
    yield _row("outcomes", told + (f", {poison:,} of these quarantined" if poison else ""))
    if queue:
        yield _row("put", f"{summary.accepted:,} in all, {summary.waiting:,} waiting, {summary.handed:,} handed over")
    yield from _runs(summary)
    for title, some in (
        ("failures", [each for each in failures if not each.quarantined]),
        ("quarantined", [each for each in failures if each.quarantined]),
    ):
        yield from _failures(title, some, everything)


def _runs(summary: reading.Summary) -> Iterator[str]:
    for at, run in enumerate(summary.runs):
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.began))
        last = at == len(summary.runs) - 1
        if run.ended is not None:
            told = f"{run.how}, after {max(run.ended - run.began, 0):.3g} s"
        elif last and summary.pid is not None:
            told = "goes on"
        else:
            told = "was killed, or could not write that it ended"
        yield _row("runs" if at == 0 else "", f"{run.number}  {began}  pid {run.pid}  {told}")


def _failures(title: str, failures: list[reading.Failed], everything: bool) -> Iterator[str]:
    if not failures:
        return
    yield ""
    yield f"{title} ({len(failures):,})"
    shown = failures if everything else failures[:SHOWN]
    for each in shown:
        item = f"item {each.item!r}" + (f" = {each.shown}" if each.shown not in (None, repr(each.item)) else "")
        tries = "" if each.tries == 1 else f" ({each.tries} tries)"
        text = each.text.strip().splitlines()
        yield f"  {item}: {each.type}{': ' + text[0] if text else ''}{tries}"
    if len(shown) < len(failures):
        yield f"  and {len(failures) - len(shown):,} more: --all shows them"


def _row(title: str, text: str) -> str:
    return f"{title:<{WIDTH}}{text}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _bytes(size: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024  # type: ignore[assignment]
    return f"{size:,.1f} GiB"
