"""The manual page, in roff, made of the tables."""

from __future__ import annotations

from procession._version import __version__
from procession.cli.flags import Command, Flag
from procession.cli.flags.helping import explained
from procession.cli.flags.tables import commands


def page() -> str:
    """procession(1)."""
    lines = [
        f'.TH PROCESSION 1 "" "procession {__version__}" "User Commands"',
        ".SH NAME",
        r"procession \- run functions in parallel, with results in order",
        ".SH SYNOPSIS",
        *_forms(commands()),
        ".SH DESCRIPTION",
        "Runs functions of Python in parallel, with results in order; and looks at programs that do.",
        "Each of the commands has a section below.",
    ]
    for each in commands():
        lines += _section(each)
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """As roff shows it to the letter."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + text if text.startswith(".") else text


def _forms(known: tuple[Command, ...]) -> list[str]:
    lines = []
    for each in known:
        for form in each.usage:
            lines += (
                [".B procession " + escaped(each.name), escaped(form), ".br"]
                if form
                else [
                    ".B procession " + escaped(each.name),
                    ".br",
                ]
            )
    return lines[:-1]


def _section(each: Command) -> list[str]:
    lines = [f'.SH "PROCESSION {each.name.upper()}"', escaped(each.description)]
    for positional in each.positionals:
        lines += [".TP", f".I {escaped(positional.metavar)}", *_told(positional.help, positional.more)]
    for group in each.groups:
        lines += [f'.SS "{escaped(group.title)}"']
        for flag in group.flags:
            lines += _entry(flag)
    if each.statuses:
        lines.append('.SS "Exit status"')
        for status, meaning in each.statuses:
            lines += [".TP", f".B {escaped(status)}", escaped(meaning)]
    lines.append('.SS "Examples"')
    for example in each.examples:
        shown = [".RS 4", ".nf", escaped(example.command), ".fi", ".RE"]
        lines += [*([".PP"] if example is not each.examples[0] else []), escaped(example.text), *shown]
    return lines


def _entry(flag: Flag) -> list[str]:
    names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in flag.names)
    value = f"\\fI{escaped(flag.value)}\\fR" if flag.metavar else ""
    return [".TP", names + value, *_told(explained(flag), flag.more)]


def _told(text: str, more: str) -> list[str]:
    """What there is to say: the sentence, which has no full stop, and those behind it."""
    return [escaped(f"{text}."), escaped(more)] if more else [escaped(text)]


__all__ = ["escaped", "page"]
