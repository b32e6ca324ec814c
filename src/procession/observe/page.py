"""A recording as one page of HTML: all that it needs is inside, and it may reach nothing outside.

What recorded tasks say (names of functions, texts of errors, stacks) is hostile until it is shown as text:

1. It stands in the page only as JSON in which "<" is escaped, so that no text ends the element that holds it.
2. The scripts write it to the page as text, never as markup; Trusted Types refuse anything else.
3. The policy in the head names the page's own script and style by their hashes, and nothing else: no other script runs,
   nothing is loaded, nothing can be sent.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from procession.observe.packing import pack
from procession.observe.recording import OUTCOMES, Recording

SCRIPTS = (
    *("words.js", "columns.js", "figures.js", "search.js", "view.js", "tracks.js", "charts.js"),
    *("details.js", "tables.js", "main.js"),
)
"""In the order in which they are joined to one: each uses what stands above it."""


class Finding(NamedTuple):
    """One thing that is to be said of a recording."""

    severity: str
    """"problem", "hint" or "note"."""
    title: str
    text: str
    advice: str = ""


class Findings(NamedTuple):
    """What is said at the top of the page."""

    headline: str
    findings: Sequence[Finding] = ()


def write_html(recording: Recording, path: str | os.PathLike[str], *, findings: Findings | None = None) -> None:
    """Write the report of `recording` to `path`, a page that needs no network and no other file.

    `findings` are shown at its top. Raises OSError where `path` cannot be written.
    """
    pieces = list(_pieces(recording, findings))
    with open(path, "wb") as file:
        file.writelines(pieces)


def _pieces(recording: Recording, findings: Findings | None) -> Iterator[bytes]:
    """The page, from its beginning to its end."""
    packed = pack(recording)
    script = "\n".join(["(() => {", '"use strict";', *map(_text, SCRIPTS), "})();", ""])
    style = _text("report.css")
    rest = _text("report.html")
    for name, value in (
        ("policy", html.escape(_policy(script, style))),
        ("title", html.escape(_title(recording))),
        ("style", style),
        ("about", _json(_about(recording, packed.about, packed.order, findings))),
        ("data", base64.b64encode(packed.data).decode("ascii")),
        ("script", script),
    ):
        before, found, rest = rest.partition("{{" + name + "}}")
        if not found:
            raise LookupError(f"report.html has no place for {name}")
        yield before.encode()
        yield value.encode("utf-8", "replace")
    yield rest.encode()


def _text(name: str) -> str:
    return files("procession.observe").joinpath("report", name).read_text("utf-8")


def _title(recording: Recording) -> str:
    return f"procession: {recording.about.get('command', '') or 'a recording'}"


def _policy(script: str, style: str) -> str:
    """The page's Content-Security-Policy."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _json(value: object) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _about(
    recording: Recording, packed: dict[str, Any], order: list[int], findings: Findings | None
) -> dict[str, object]:
    """All but the rows and the samples. Times are relative to `since`; None: not known."""

    def relative(time: int) -> int | None:
        return time - recording.since if time else None

    texts: dict[str, int] = {}
    places = {row: place for place, row in enumerate(order) if row in recording.failures}
    return {
        **packed,
        "since": str(recording.since),
        "until": recording.until - recording.since,
        "outcomes": OUTCOMES,
        "cpus": recording.cpus,
        "lost": recording.lost,
        "about": recording.about,
        "pools": recording.pools,
        "workers": [
            (each.pool, each.wid, each.pid, relative(each.started), relative(each.ended), each.end)
            for each in recording.workers
        ],
        "functions": recording.functions,
        "streams": recording.streams,
        "failures": [
            (places[row], *(texts.setdefault(text, len(texts)) for text in failure))
            for row, failure in recording.failures.items()
        ],
        "texts": list(texts),
        "repeats": [(function, *told) for function, told in recording.repeats.items()],
        "findings": findings and {"headline": findings.headline, "findings": findings.findings},
    }
