"""The help: usage, examples first, then the options in groups; wrapped to the terminal, in colour only there."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence

from procession.cli.flags import HELP, VERSION, Command, Example, Flag
from procession.cli.flags.tables import commands

WIDEST = 100
"""Columns that are used at most."""
COLUMN = 26
"""Where the explanations begin."""
BOLD, GREEN, CYAN, PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[36m", "\x1b[0m"


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    try:
        columns = int(os.environ.get("COLUMNS", "")) or os.get_terminal_size(sys.stdout.fileno()).columns
    except ValueError:
        try:
            columns = os.get_terminal_size(sys.stdout.fileno()).columns
        except (OSError, ValueError):
            columns = 80
    except OSError:
        columns = 80
    return max(40, min(columns, WIDEST))


def coloured() -> bool:
    """Whether stdout is a terminal that shows colours, and nobody has asked for none."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return sys.stdout.isatty()


def usage(chosen: Command | None) -> str:
    """The first lines: how it is called."""
    if chosen is None:
        return "usage: procession COMMAND [OPTION...]"
    forms = [f"procession {chosen.name} {form}".rstrip() for form in chosen.usage]
    return "usage: " + "\n       ".join(forms)


def overview() -> str:
    """`procession --help`."""
    page = _Page()
    page.line(usage(None))
    page.paragraph("Runs functions in parallel, with results in order; and looks at programs that do.")
    page.heading("Examples")
    page.examples([each.examples[0] for each in commands()])
    page.heading("Commands")
    for each in commands():
        page.entry(each.name, each.summary)
    page.heading("General")
    for flag in (HELP, VERSION):
        page.flag(flag)
    page.line("\nprocession COMMAND --help shows the options of a command.")
    return page.text


def whole(chosen: Command) -> str:
    """`procession COMMAND --help`."""
    page = _Page()
    page.line(usage(chosen))
    page.paragraph(chosen.description)
    page.heading("Examples")
    page.examples(chosen.examples)
    if chosen.positionals:
        page.heading("Words")
        for each in chosen.positionals:
            page.entry(each.metavar, each.help)
    for group in chosen.groups:
        page.heading(group.title)
        for flag in group.flags:
            page.flag(flag)
    if chosen.statuses:
        page.heading("Exit status")
        for status, meaning in chosen.statuses:
            page.entry(status, meaning)
    return page.text


def explained(flag: Flag) -> str:
    """Its line, with what may be said and what is so if it is not."""
    text = flag.help
    if flag.choices:
        text += f": {', '.join(flag.choices)}"
    default = flag.shown or (str(flag.default) if flag.default not in (None, False, True) else "")
    return f"{text} (default: {default})" if default else text


class _Page:
    def __init__(self) -> None:
        self.text = ""
        self._width = width()
        self._coloured = coloured()

    def line(self, text: str) -> None:
        self.text += text + "\n"

    def paragraph(self, text: str) -> None:
        self.line("\n" + textwrap.fill(text, self._width, break_on_hyphens=False))

    def heading(self, text: str) -> None:
        self.line("\n" + self._in(BOLD, f"{text}:"))

    def examples(self, examples: Sequence[Example]) -> None:
        for each in examples:
            self.line(
                textwrap.fill(
                    each.text, self._width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
                )
            )
            self.line("    " + self._in(GREEN, f"$ {each.command}"))

    def flag(self, flag: Flag) -> None:
        names = ", ".join(flag.names) if flag.short else "    " + ", ".join(flag.names)
        self.entry(names + flag.value, explained(flag))

    def entry(self, name: str, text: str) -> None:
        room = COLUMN - 4
        lines = textwrap.wrap(text, self._width - COLUMN, break_on_hyphens=False) or [""]
        shown = self._in(CYAN, name)
        if len(name) > room:
            self.line(f"  {shown}")
        else:
            self.line(f"  {shown}{' ' * (room - len(name))}  {lines.pop(0)}".rstrip())
        for each in lines:
            self.line(" " * COLUMN + each)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._coloured else text


__all__ = ["coloured", "explained", "overview", "usage", "whole", "width"]
