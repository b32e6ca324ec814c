"""The words of the command line, as data.

Each command is one `Command` in one of the tables (`tables.py`, `mapping.py`). From these records alone are made the
parser (`parsing.py`), the help (`helping.py`), the completion of three shells (`completing.py`), the manual page
(`manual.py`), and the tables of docs/command-line.md (`pages.py`). So a word is written down once.

Laws
1. Importing these modules loads nothing that a command runs with: `--help` answers at once.
2. A `kind` is a function of the text that was typed; it returns the value, or raises ValueError with a sentence that
   says what would be right.
"""

from __future__ import annotations

from collections.abc import Callable

from procession.record import frozen

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any

    Kind = Callable[[str], Any]


@frozen
class Flag:
    """One option."""

    name: str
    """With its dashes: "--workers"."""
    help: str
    """One line."""
    short: str = ""
    """"-j", or none."""
    metavar: str = ""
    """What its value is called; a flag without one is a switch."""
    kind: Kind | None = None
    """From text to value; None: the text itself."""
    choices: tuple[str, ...] = ()
    default: Any = None
    shown: str = ""
    """The default as people read it, where that is not the value."""
    many: bool = False
    """It may be given several times; its value is a list."""
    const: Any = None
    """Its value may be left out, and is this then. What follows is taken for the value only if `kind` takes it."""
    no: bool = False
    """There is a --no-... as well."""
    more: str = ""
    """What else there is to say, for the manual and the page."""
    completes: str = ""
    """What a shell offers for its value: "files", "folders" or "functions"; or nothing."""
    dest: str = ""
    """What its value is called, if not as the flag is."""

    @property
    def key(self) -> str:
        """The name of its value."""
        return self.dest or self.name.lstrip("-").replace("-", "_")

    @property
    def names(self) -> tuple[str, ...]:
        """All that may be typed."""
        no = (f"--no-{self.name.lstrip('-')}",) if self.no else ()
        return (*((self.short,) if self.short else ()), self.name, *no)

    @property
    def value(self) -> str:
        """How its value is shown behind its name: " N", "[=N]", or nothing."""
        if not self.metavar:
            return ""
        return f"[={self.metavar}]" if self.const is not None else f" {self.metavar}"


@frozen
class Positional:
    """A word that is no option."""

    metavar: str
    help: str
    key: str
    """The name of its value; "" for one that is there to be read about, since another one takes its words."""
    nargs: str | None = None
    """As argparse has it: None is one, "?" one or none, "*" any number."""
    kind: Kind | None = None
    choices: tuple[str, ...] = ()
    more: str = ""
    completes: str = ""


@frozen
class Group:
    """Options that belong together."""

    title: str
    flags: tuple[Flag, ...]


@frozen
class Example:
    """A command, and what it does."""

    text: str
    command: str


@frozen
class Command:
    """One command of `procession`."""

    name: str
    summary: str
    """One line, for the list of commands."""
    usage: tuple[str, ...]
    """What follows "procession NAME", in each of its forms."""
    description: str
    examples: tuple[Example, ...]
    positionals: tuple[Positional, ...] = ()
    groups: tuple[Group, ...] = ()
    statuses: tuple[tuple[str, str], ...] = ()
    """Exit statuses and what they mean."""
    literals: bool = False
    """What stands behind ::: is taken as it is."""

    @property
    def flags(self) -> tuple[Flag, ...]:
        """All of them."""
        return tuple(flag for group in self.groups for flag in group.flags)


HELP = Flag("--help", "show this, and end", short="-h")
VERSION = Flag("--version", "show the version, and end")


def general(*flags: Flag) -> Group:
    """The last group of a command."""
    return Group("General", (*flags, HELP))


__all__ = ["HELP", "VERSION", "Command", "Example", "Flag", "Group", "Positional", "general"]
