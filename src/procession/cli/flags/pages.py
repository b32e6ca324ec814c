"""The tables of docs/command-line.md, made of the tables of words."""

from __future__ import annotations

from procession.cli.flags import Command, Flag
from procession.cli.flags.helping import explained


def options(command: Command) -> str:
    """All options of a command, in Markdown: a table for each group."""
    parts = []
    for group in command.groups:
        rows = [f"| {_names(flag)} | {_text(flag)} |" for flag in group.flags]
        parts.append("\n".join([f"### {group.title}", "", "| option | what it does |", "| --- | --- |", *rows]))
    return "\n\n".join(parts) + "\n"


def statuses(command: Command) -> str:
    """Exit statuses, as a table."""
    rows = [f"| {status} | {_escaped(meaning)} |" for status, meaning in command.statuses]
    return "\n".join(["| status | meaning |", "| --- | --- |", *rows]) + "\n"


def _names(flag: Flag) -> str:
    return ", ".join(f"`{name}{flag.value if name == flag.name else ''}`" for name in flag.names)


def _text(flag: Flag) -> str:
    text = explained(flag)
    return _escaped(f"{text}. {flag.more}" if flag.more else text)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "\\<")


__all__ = ["options", "statuses"]
