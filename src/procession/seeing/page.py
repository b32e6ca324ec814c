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
from collections.abc import Iterator
from importlib.resources import files

from procession.seeing.packing import pack
from procession.seeing.recording import OUTCOMES, Recording
from procession.seeing.verdict import HEADS, Verdict, ending, verdict

SCRIPTS = (
    *("words.js", "columns.js", "figures.js", "search.js", "view.js", "tracks.js", "charts.js"),
    *("details.js", "tables.js", "main.js"),
)
"""In the order in which they are joined to one: each uses what stands above it."""


def write_html(recording: Recording, path: str | os.PathLike[str], *, said: Verdict | None = None) -> None:
    """Write the report of `recording` to `path`, a page that needs no network and no other file.

    `said` stands at its top; None: the verdict on it. Raises OSError where `path` cannot be written.
    """
    pieces = list(_pieces(recording, said if said is not None else verdict(recording)))
    with open(path, "wb") as file:
        file.writelines(pieces)


def _pieces(recording: Recording, said: Verdict) -> Iterator[bytes]:
    """The page, from its beginning to its end."""
    packed = pack(recording)
    script = "\n".join(["(() => {", '"use strict";', *map(_text, SCRIPTS), "})();", ""])
    style = _text("report.css")
    about = {**packed.about, **_about(recording, packed.order), "verdict": _said(said)}
    rest = _text("report.html")
    for name, value in (
        ("policy", html.escape(_policy(script, style))),
        ("title", html.escape(_title(recording))),
        ("style", style),
        ("about", _json(about)),
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
    return files("procession.seeing").joinpath("report", name).read_text("utf-8")


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


def _said(said: Verdict) -> dict[str, object]:
    return {
        "headline": said.headline,
        "limit": said.limit,
        "ending": ending(said),
        "numbers": said.numbers,
        "shares": [(head, HEADS.get(head, head), share) for head, share in said.shares.items()],
        "findings": [(each.severity, each.title, each.text, each.advice) for each in said.findings],
    }


def _about(recording: Recording, order: list[int]) -> dict[str, object]:
    """All but the rows and the samples. Times are relative to `since`; None: not known."""

    def relative(time: int) -> int | None:
        return time - recording.since if time else None

    texts: dict[str, int] = {}
    places = {row: place for place, row in enumerate(order) if row in recording.failures}
    return {
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
        "streams": [(*each[:3], relative(each.began), relative(each.ended), *each[5:]) for each in recording.streams],
        "failures": [
            (places[row], *(texts.setdefault(text, len(texts)) for text in failure))
            for row, failure in recording.failures.items()
        ],
        "texts": list(texts),
        "repeats": [(function, *told) for function, told in recording.repeats.items()],
    }
