"""The parser, made of the tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from procession._version import __version__
from procession.cli.flags import HELP, VERSION, Command, Flag, Positional
from procession.cli.flags.tables import command, commands

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from typing import Any, NoReturn

LITERALS = ":::"
USAGE = 2
"""The exit status of words that make no sense."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """What was said; `.command` is the name of the command.

    Raises SystemExit: with 0 for --help and --version, which are printed; with 2, and a sentence on stderr, for words
    that are not known or make no sense.
    """
    first = argv[0] if argv else ""
    if first in HELP.names:
        from procession.cli.flags.helping import overview

        show(overview())
        raise SystemExit(0)
    if first == VERSION.name:
        show(f"procession {__version__}\n")
        raise SystemExit(0)
    if not argv:
        refuse(None, "a command is needed")
    chosen = command(first)
    if chosen is None:
        what = "option" if first.startswith("-") else "command"
        refuse(None, f"there is no {what} {first!r}{nearest(first, [each.name for each in commands()])}")
    return parse_command(chosen, argv[1:])


def parse_command(chosen: Command, argv: Sequence[str]) -> argparse.Namespace:
    """The words that follow the name of a command; what stands behind `:::` is `.literals`, or None."""
    words = argparse.Namespace(command=chosen.name, literals=None)
    if chosen.literals and LITERALS in argv:
        at = argv.index(LITERALS)
        argv, words.literals = argv[:at], list(argv[at + 1 :])
    _parser(chosen).parse_intermixed_args([*_with_values(chosen, argv)], words)
    return words


def refuse(chosen: Command | None, message: str) -> NoReturn:
    """End with status 2: `message` is what is wrong."""
    from procession.cli.flags.helping import usage

    name = "procession" if chosen is None else f"procession {chosen.name}"
    print(usage(chosen), file=sys.stderr)
    print(f"{name}: {message}", file=sys.stderr)
    print(f"{name} --help shows what there is", file=sys.stderr)
    raise SystemExit(USAGE)


def nearest(word: str, known: Sequence[str]) -> str:
    """A guess at what was meant, as the end of a sentence; nothing if none is near."""
    from difflib import get_close_matches

    found = get_close_matches(word, known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""


class _Parser(argparse.ArgumentParser):
    def __init__(self, chosen: Command) -> None:
        super().__init__(prog=f"procession {chosen.name}", add_help=False, allow_abbrev=False)
        self.chosen = chosen

    def error(self, message: str) -> NoReturn:
        wrong, _, rest = message.partition(": ")
        if wrong == "unrecognized arguments":
            word = rest.split()[0]
            known = [name for flag in self.chosen.flags for name in flag.names]
            what = f"there is no option {word}" if word.startswith("-") else f"{rest!r} is more than is understood"
            negative = word[1:2].isdecimal()  # a range
            message = what + ("; behind -- it is no option" if negative else nearest(word.partition("=")[0], known))
        refuse(self.chosen, message.removeprefix("argument "))


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from procession.cli.flags.helping import whole

        assert isinstance(parser, _Parser)
        show(whole(parser.chosen))
        raise SystemExit(0)


class _Version(argparse.Action):
    def __call__(self, *_: Any) -> NoReturn:
        show(f"procession {__version__}\n")
        raise SystemExit(0)


def _parser(chosen: Command) -> _Parser:
    parser = _Parser(chosen)
    for positional in chosen.positionals:
        if positional.key:
            _add_positional(parser, positional)
    for flag in chosen.flags:
        if flag.name == HELP.name:
            parser.add_argument(*flag.names, action=_Help, nargs=0)
        elif flag.name == VERSION.name:
            parser.add_argument(*flag.names, action=_Version, nargs=0)
        else:
            _add_flag(parser, flag)
    return parser


def _add_positional(parser: argparse.ArgumentParser, positional: Positional) -> None:
    words: dict[str, Any] = {"metavar": positional.metavar}
    if positional.nargs is not None:
        words["nargs"] = positional.nargs
    kind = _chosen(positional.choices) if positional.choices else positional.kind
    if kind is not None:
        words["type"] = _typed(kind)
    parser.add_argument(positional.key, **words)


def _add_flag(parser: argparse.ArgumentParser, flag: Flag) -> None:
    words: dict[str, Any] = {"dest": flag.key, "default": flag.default}
    names = [name for name in flag.names if not name.startswith("--no-") or not flag.no]
    if not flag.metavar:
        parser.add_argument(*names, action="store_true", **{**words, "default": flag.default or False})
        if flag.no:
            words["default"] = None
            parser.set_defaults(**{flag.key: None})
            parser.add_argument(flag.names[-1], action="store_false", **words)
        return
    kind = _chosen(flag.choices) if flag.choices else flag.kind
    if flag.const is not None:
        kind = _or_const(kind, flag.const)
    if kind is not None:
        words["type"] = _typed(kind)
    parser.add_argument(*names, action="append" if flag.many else "store", metavar=flag.metavar, **words)


def _typed(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def typed(text: str) -> Any:
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def _chosen(choices: Sequence[str]) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)} is needed; got {text!r}{nearest(text, choices)}")
        return text

    return choose


def _or_const(kind: Callable[[str], Any] | None, const: Any) -> Callable[[str], Any]:
    def either(text: str) -> Any:
        if not text:
            return const
        return text if kind is None else kind(text)

    return either


def _with_values(chosen: Command, argv: Sequence[str]) -> Sequence[str]:
    """Options whose value may be left out, written with an equals sign: argparse would take what follows for it."""
    optional = {flag.name: flag for flag in chosen.flags if flag.const is not None}
    found: list[str] = []
    rest = iter(range(len(argv)))
    for at in rest:
        word = argv[at]
        if word == "--":
            return [*found, *argv[at:]]
        if word in optional:
            following = argv[at + 1] if at + 1 < len(argv) else ""
            taken = _takes(optional[word], following)
            word = f"{word}={following if taken else ''}"
            if taken:
                next(rest)
        found.append(word)
    return found


def _takes(flag: Flag, text: str) -> bool:
    try:
        if flag.kind is not None and text:
            flag.kind(text)
            return True
    except ValueError:
        pass
    return False


def show(text: str) -> None:
    """To stdout; a reader that has gone is no error. Raises SystemExit(1) for a full disk, after saying so."""
    from procession.cli.standard import drop_stdout

    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        drop_stdout()
    except OSError as error:
        drop_stdout()
        print(f"procession: stdout: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None


__all__ = ["USAGE", "nearest", "parse", "parse_command", "refuse", "show"]
