"""Where a bar is drawn: on a terminal by rich (`terminal.py`), in a notebook as one line, and else nowhere.

What stderr is when a stream begins decides. A terminal that cannot move its cursor (TERM=dumb), or on which a live
display of rich is shown that is the program's own, gets the last line of each bar; a file or a pipe gets nothing.
"""

from __future__ import annotations

import os
import sys

from procession.seeing.display import Display, Dumb, Line

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any


def check() -> None:
    """Raise ImportError, naming the extra, where rich would draw, and is missing."""
    if _kind(sys.stderr) != "terminal":
        return
    from importlib.util import find_spec

    if find_spec("rich") is None:
        text = "progress=True draws with the package rich, which is not installed: pip install procession[progress]"
        raise ImportError(text, name="rich")


def current() -> Display | None:
    """Where a stream that begins now is shown; None: nowhere."""
    file: Any = sys.stderr
    kind = _kind(file)
    if kind == "notebook":
        return _kept(Line, file)
    if kind == "dumb":
        return _kept(Dumb, file)
    if kind == "terminal":
        from procession.seeing.terminal import Terminal, same_terminal

        if isinstance(_latest, Terminal) and not _latest.broken and same_terminal(file, _latest_file):
            return _latest  # whatever stands for it meanwhile
        return _kept(Terminal, file)
    return None


_latest: Display | None = None
_latest_file: Any = None


def _kept(kind: type[Any], file: Any) -> Display:
    """One for a file: all bars share it."""
    global _latest, _latest_file
    display = _latest
    if display is None or not isinstance(display, kind) or _latest_file is not file or display.broken:
        display = kind(file)
        _latest, _latest_file = display, file
    return display


def _kind(file: Any) -> str | None:
    if isinstance(file, getattr(sys.modules.get("ipykernel.iostream"), "OutStream", ())):
        return "notebook"
    try:
        if file is None or not file.isatty():
            return None
    except Exception:  # it is closed, or no file at all
        return None
    if hasattr(file, "rich_proxied_file"):  # a live display of the program's own is there: what is printed is above it
        return "dumb"
    return "dumb" if os.environ.get("TERM", "").lower() in ("dumb", "unknown") else "terminal"
