"""Completion scripts for bash, zsh and fish, made of the tables.

The scripts hold all commands, options and choices. What depends on the place where one types (modules and functions) is
asked for with `procession completion --for TEXT`, see `cli/completion.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from procession.cli.flags import HELP, VERSION, Command, Flag, Positional
from procession.cli.flags.tables import commands

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    Word = Flag | Positional

ASK = "procession completion --for"
FISH_ASK = "(procession completion (string join '' -- --for= (commandline -ct)))"


def script(shell: str) -> str:
    """The script for "bash", "zsh" or "fish"."""
    made: dict[str, Callable[[], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
    return made[shell]()


def quoted(text: str) -> str:
    """As one word for a shell; all three understand it."""
    return "'" + text.replace("'", "'\\''") + "'"


# ---------------------------------------------------------------------------------------------------------------- bash

BASH = r"""# bash completion of procession
_procession() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$' \t\n'
    local cur="${line##*[[:space:]]}" prev="" command="" typed="" words=()
    read -ra words <<< "${line%"$cur"}"
    command="${words[1]}"
    (( ${#words[@]} > 1 )) && prev="${words[-1]}"
    typed="$cur"
    if [[ "$cur" == --*=* ]]; then prev="${cur%%=*}"; typed="${cur#*=}"; fi
    COMPREPLY=()
    if (( ${#words[@]} < 2 )); then
        COMPREPLY=($(compgen -W "@COMMANDS@" -- "$cur"))
        return
    fi
    case "$command $prev" in
@VALUES@
    esac
    if [[ "$cur" == -* ]]; then
        case "$command" in
@FLAGS@
        esac
    else
        case "$command" in
@WORDS@
        esac
    fi
}
_procession_paths() {
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen "$1" -- "$2"))
}
_procession_functions() {
    local IFS=$'\n' break="${1%"${1##*:}"}"
    compopt -o nospace 2>/dev/null
    COMPREPLY=($(compgen -W "$(@ASK@ "$1" 2>/dev/null)" -- "$1") $(compgen -f -- "$1"))
    [[ -n "$break" && "$COMP_WORDBREAKS" == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"$break"}")
}
complete -F _procession procession
"""


def bash() -> str:
    """For bash, 4 or newer."""
    values, flags, words = [], [], []
    for each in commands():
        for flag in each.flags:
            if flag.metavar and (action := _bash_action(flag)) is not None:
                patterns = "|".join(f'"{each.name} {name}"' for name in flag.names)
                values.append(f"        {patterns}) {action}; return ;;")
        flags.append(f'            {each.name}) COMPREPLY=($(compgen -W "{" ".join(_names(each))}" -- "$cur")) ;;')
        for positional in each.positionals[:1]:
            if (action := _bash_action(positional)) is not None:
                words.append(f"            {each.name}) {action} ;;")
    known = " ".join([*(each.name for each in commands()), HELP.name, VERSION.name])
    text = BASH.replace("@COMMANDS@", known).replace("@ASK@", ASK)
    for mark, lines in (("@VALUES@", values), ("@FLAGS@", flags), ("@WORDS@", words)):
        text = text.replace(mark, "\n".join(lines))
    return text


def _bash_action(word: Word) -> str | None:
    if word.choices:
        return f'COMPREPLY=($(compgen -W "{" ".join(word.choices)}" -- "$typed"))'
    actions = {
        "files": '_procession_paths -f "$typed"',
        "folders": '_procession_paths -d "$typed"',
        "functions": '_procession_functions "$typed"',
        "": ":",
    }
    if isinstance(word, Flag) and word.const is not None:
        return None
    return actions[word.completes]


# ----------------------------------------------------------------------------------------------------------------- zsh

ZSH = r"""#compdef procession
# zsh completion of procession
_procession_functions() {
    local -a found
    found=("${(@f)$(@ASK@ "$PREFIX" 2>/dev/null)}")
    found=(${found:#})
    (( $#found )) && compadd -Q -S '' -- $found
    _files
}
_procession() {
    local curcontext="$curcontext" state
    local -a line
    _arguments -C \
        '(- *)'{-h,--help}'[show this, and end]' \
        '(- *)--version[show the version, and end]' \
        '1:command:((@COMMANDS@))' \
        '*::word:->words'
    [[ $state == words ]] || return
    case $line[1] in
@CASES@
    esac
}
if [[ "$funcstack[1]" == _procession ]]; then _procession "$@"; else compdef _procession procession; fi
"""


def zsh() -> str:
    """For zsh."""
    known = " ".join(f"{each.name}\\:{_zsh_quoted(each.summary)}" for each in commands())
    cases = []
    for each in commands():
        lines = [line for flag in each.flags for line in _zsh_flag(flag)]
        for at, positional in enumerate(each.positionals, 1):
            place = "*" if positional.nargs == "*" else str(at)
            optional = ":" if positional.nargs == "?" else ""
            lines.append(quoted(f"{place}:{optional}{positional.metavar}:{_zsh_action(positional)}"))
        cases.append(f"        {each.name}) _arguments -s \\\n" + " \\\n".join(f"            {line}" for line in lines))
        cases.append("            ;;")
    return ZSH.replace("@COMMANDS@", known).replace("@CASES@", "\n".join(cases)).replace("@ASK@", ASK)


def _zsh_quoted(text: str) -> str:
    """Inside of '...' of an _arguments list."""
    return '"' + text.replace("'", "’").replace(":", "\\:") + '"'


def _zsh_flag(flag: Flag) -> list[str]:
    help = "".join(f"\\{each}" if each in "[]:\\" else each for each in flag.help)
    value = ""
    if flag.metavar and flag.const is None:
        value = f":{flag.metavar}:{_zsh_action(flag)}"
    star = "*" if flag.many else ""
    return [quoted(f"{star}{name}[{help}]{value}") for name in flag.names]


def _zsh_action(word: Word) -> str:
    if word.choices:
        return f"({' '.join(word.choices)})"
    return {"files": "_files", "folders": "_files -/", "functions": "_procession_functions", "": " "}[word.completes]


# ---------------------------------------------------------------------------------------------------------------- fish


def fish() -> str:
    """For fish."""
    lines = ["# fish completion of procession", "complete -c procession -f"]
    none = "__fish_use_subcommand"
    for each in commands():
        lines.append(f"complete -c procession -n {none} -a {each.name} -d {quoted(each.summary)}")
    for flag in (HELP, VERSION):
        lines.append(_fish_flag(none, flag))
    for each in commands():
        seen = quoted(f"__fish_seen_subcommand_from {each.name}")
        for positional in each.positionals:
            if (action := _fish_action(positional)) is not None:
                lines.append(f"complete -c procession -n {seen} {action}")
        for flag in each.flags:
            lines.append(_fish_flag(seen, flag))
            if flag.no:
                lines.append(f"complete -c procession -n {seen} -l no-{flag.name[2:]} -d {quoted('the contrary')}")
    return "\n".join(lines) + "\n"


def _fish_flag(condition: str, flag: Flag) -> str:
    parts = [f"complete -c procession -n {condition}"]
    if flag.name.startswith("--"):
        parts.append(f"-l {flag.name[2:]}")
    if flag.short:
        parts.append(f"-s {flag.short[1:]}")
    if flag.metavar and flag.const is None:
        files = "-r" if flag.completes in ("files", "functions") else "-x"  # -x: nothing but what is said
        parts.append(f"{files} {_fish_action(flag) or ''}".rstrip())
    parts.append(f"-d {quoted(flag.help)}")
    return " ".join(parts)


def _fish_action(word: Word) -> str | None:
    if word.choices:
        return f"-a {quoted(' '.join(word.choices))}"
    if word.completes == "functions":
        return f"-F -a {quoted(FISH_ASK)}"
    if word.completes == "folders":
        return f"-a {quoted('(__fish_complete_directories (commandline -ct))')}"
    return "-F" if word.completes == "files" else None


def _names(each: Command) -> Sequence[str]:
    return [name for flag in each.flags for name in flag.names]


__all__ = ["bash", "fish", "quoted", "script", "zsh"]
