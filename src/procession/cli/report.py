"""`procession report`: a recording that `procession.trace` has written, as a page for any browser."""

from __future__ import annotations

import sys
from pathlib import Path

from procession.seeing import chrome
from procession.seeing.page import write_html


def report(recording: str, output: str | None, *, show: bool) -> int:
    """Write the page and print where it is; return the exit status: 1, with a sentence on stderr, if it cannot be."""
    source = Path(recording)
    target = Path(output) if output is not None else beside(source)
    try:
        if target.exists() and source.exists() and target.samefile(source):
            raise ValueError(f"{target} is the recording itself: say another file with -o")
        write_html(chrome.read(source), target)
    except OSError as error:
        print(f"procession report: {error.filename or source}: {error.strerror or error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"procession report: {error}", file=sys.stderr)
        return 1
    print(target)
    return 0 if not show or shown(target) else 1


def beside(source: Path) -> Path:
    """Where the page goes if nobody has said so: run.json and run.json.gz become run.html."""
    name = source.name.removesuffix(".gz").removesuffix(".json")
    return source.with_name(f"{name}.html")


def shown(page: Path) -> bool:
    """Have the user's browser open it; False, and a sentence on stderr, if there is none."""
    import webbrowser

    if webbrowser.open(page.resolve().as_uri()):
        return True
    print(f"procession report: no browser was found to open {page}", file=sys.stderr)
    return False
