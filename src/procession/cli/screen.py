"""What the demo shows, on a terminal or into a file: the only module that knows rich.

On a terminal a chart is redrawn while its work runs, and a long job has a progress bar. Anywhere else only the final
lines are written, as plain text. Colours are left to rich, which heeds NO_COLOR, TERM=dumb and FORCE_COLOR.
"""

from __future__ import annotations

import contextlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from procession.cli.timeline import ASCII, PAINTED, Chart, Glyphs, Kind, Segment, draw

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

T = TypeVar("T")

WIDEST = 120
INDENT = 3
TIE = "\N{NO-BREAK SPACE}"
REFRESHES_PER_SECOND = 10

_STYLES: Mapping[Kind, str] = {
    "plain": "",
    "axis": "dim",
    "label": "dim",
    "bar": "black on cyan",
    "other bar": "black on bright_blue",
    "accent": "black on yellow",
    "limit": "red",
    "mark": "bold",
}


class Screen:
    """Standard output; raises ImportError without rich."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console: Console = Console(highlight=False, markup=False, emoji=False)
        console = self._console
        self.live = console.is_terminal and not console.is_dumb_terminal and sys.stdout.isatty()
        self._painted = console.color_system is not None and not console.no_color

    def say(self, text: str = "", style: str = "", hang: int = 0) -> None:
        """A paragraph, folded at the width of the screen but never between a number and its `s` for seconds; all but
        its first line stand in by `hang` more."""
        from rich.text import Text

        tied = re.sub(r"(?<=\d) (?=s\b)", TIE, text)
        lines = textwrap.wrap(tied, self.width, subsequent_indent=" " * hang, break_on_hyphens=False)
        self._print(
            Text("\n").join(Text(" " * INDENT + line.replace(TIE, " "), style) for line in lines) if lines else Text()
        )

    def heading(self, text: str) -> None:
        from rich.text import Text

        self._print(Text(text, "bold"))

    def verdict(self, problems: Sequence[str], text: str) -> None:
        """`ok`, and what holds; or what does not, one line each."""
        from rich.text import Text

        lines = [("FAILED", "bold red", each) for each in problems] or [("ok", "bold green", text)]
        for word, style, each in lines:
            self._print(Text.assemble(" " * INDENT, (word, style), f" {each}"))

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows under headings; the columns of text stand to the left, those of numbers to the right."""
        from rich.text import Text

        head, *lines = columns(heads, rows)
        self._print(
            Text("\n").join(
                Text(" " * INDENT + line, style) for line, style in [(head, "dim"), *((line, "") for line in lines)]
            )
        )

    @contextlib.contextmanager
    def chart(self, look: Callable[[], Chart]) -> Iterator[None]:
        """While the block runs, the chart as it is now; after it, the chart as it was at the end."""
        if self.live:
            from rich.live import Live

            with Live(
                get_renderable=lambda: self._drawn(look()),
                console=self._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
            ):
                yield
        else:
            yield
        self._print(self._drawn(look()))

    def progress(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """The items, with a bar that looks like that of `imap(progress=True)`; silent where nobody can watch."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            yield from progress.track(items, total, description=what)

    def _print(self, text: Text) -> None:
        # What has a width of its own is not to be folded or filled up.
        self._console.print(text, soft_wrap=True)

    @property
    def width(self) -> int:
        """The columns beside the indentation. The last one stays free: some terminals fold when it is written."""
        return min(self._console.width, WIDEST) - INDENT - 1

    def _drawn(self, chart: Chart) -> Text:
        from rich.text import Text

        console = self._console
        glyphs = PAINTED if self._painted else ASCII
        if self._painted and console.options.ascii_only:
            glyphs = Glyphs(" ", " ", " ", ASCII.limit)
        return Text("\n").join(
            Text.assemble(" " * INDENT, *((segment.text, self._style(segment)) for segment in line))
            for line in draw(chart, self.width, glyphs)
        )

    def _style(self, segment: Segment) -> str:
        return _STYLES[segment.kind] if self._painted or segment.kind in ("axis", "label") else ""


def columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with the cells under each other: a column that begins with a digit in each row stands to the right."""
    cells = list(zip(heads, *rows, strict=True))
    sides = [str.rjust if all(cell[:1].isdigit() for cell in each[1:] if cell) else str.ljust for each in cells]
    widths = [max(map(len, each)) for each in cells]
    lines = zip(*cells, strict=True)
    return [
        "   ".join(map(lambda side, cell, width: side(cell, width), sides, line, widths)).rstrip() for line in lines
    ]
