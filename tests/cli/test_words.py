"""The words of the command line, and what is made of their tables: parser, help, completion, manual."""

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from procession.cli import COMMANDS, main
from procession.cli.completion import candidates
from procession.cli.flags import Command, Flag, Group, Positional, completing, helping, kinds, manual
from procession.cli.flags.parsing import parse, parse_command
from procession.cli.flags.tables import commands

SMALL = Command(
    "small",
    "s",
    ("[OPTION...]",),
    "d",
    (),
    groups=(
        Group(
            "All",
            (
                Flag("--shuffle", "h", metavar="SEED", kind=kinds.whole, const=-1),
                Flag("--bar", "h", no=True),
                Flag("--name", "h", metavar="N", many=True),
            ),
        ),
    ),
    positionals=(Positional("INPUT", "h", "inputs", nargs="*"),),
)


# -------------------------------------------------------------------------------------------------------------- tables


def test_there_is_something_to_run_for_each_command_and_no_word_has_two_meanings() -> None:
    assert [each.name for each in commands()] == list(COMMANDS)
    for each in commands():
        names = [name for flag in each.flags for name in flag.names]
        assert len(names) == len(set(names)), each.name
        keys = [flag.key for flag in each.flags] + [word.key for word in each.positionals if word.key]
        assert len(keys) == len(set(keys)), each.name


def test_texts_are_short_sentences_without_an_end() -> None:
    for each in commands():
        assert each.description.endswith(".")
        assert each.examples
        for flag in each.flags:
            assert not flag.help.endswith("."), flag.name
            assert len(flag.help) <= 100, flag.name
            assert not flag.more or flag.more.endswith("."), flag.name


def example_words() -> list[str]:
    return [example.command for each in commands() for example in each.examples]


@pytest.mark.parametrize("command", example_words())
def test_each_example_is_understood(command: str) -> None:
    """What stands between pipes and redirections, parsed as the shell would split it."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|<>;&")
    lexer.whitespace_split = True
    words: list[str] = []
    found = 0
    for token in [*lexer, "|"]:
        if set(token) <= set("|<>;&"):
            if words[:1] == ["procession"] and "--help" not in words:
                found += 1
                assert parse(words[1:]).command == words[1]
            words = []
        else:
            words.append(token)
    assert found


# -------------------------------------------------------------------------------------------------------------- parser


@pytest.mark.parametrize(
    ("argv", "shuffle", "inputs"),
    [
        (["--shuffle", "a"], -1, ["a"]),
        (["--shuffle", "7", "a"], 7, ["a"]),
        (["--shuffle=7", "8"], 7, ["8"]),
        (["a", "--shuffle"], -1, ["a"]),
        (["a", "--name", "--shuffle=3", "b"], None, None),
        (["a", "--name", "n", "b"], None, ["a", "b"]),
    ],
)
def test_a_value_that_may_be_left_out_takes_no_input_for_itself(
    argv: list[str], shuffle: int | None, inputs: list[str] | None
) -> None:
    if inputs is None:
        with pytest.raises(SystemExit) as ended:
            parse_command(SMALL, argv)
        assert ended.value.code == 2
        return
    words = parse_command(SMALL, argv)
    assert (words.shuffle, words.inputs) == (shuffle, inputs)


@pytest.mark.parametrize(("argv", "bar"), [([], None), (["--bar"], True), (["--no-bar"], False)])
def test_a_switch_with_a_contrary_has_three_values(argv: list[str], bar: bool | None) -> None:
    assert parse_command(SMALL, argv).bar is bar


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "procession: a command is needed"),
        (["rport"], "procession: there is no command 'rport'; did you mean report?"),
        (["--verison"], "procession: there is no option '--verison'"),
        (["top", "--wbe"], "procession top: there is no option --wbe; did you mean --web?"),
        (["top", "--interval", "0"], "procession top: --interval: from 0.1 to 3600 seconds; got '0'"),
        (["top", "x"], "procession top: PID: a process has a number from 1 on; got 'x'"),
        (["map", "a:f", "-2..1"], "procession map: there is no option -2..1; behind -- it is no option"),
        (["demo", "--part", "referense"], "did you mean reference?"),
        (["report"], "the following arguments are required: RECORDING"),
        (["completion"], "which shell? bash, zsh, fish"),
    ],
)
def test_wrong_words_end_with_status_two_and_a_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.startswith("usage: procession")
    assert err.rstrip().endswith("--help shows what there is")


# --------------------------------------------------------------------------------------------------------------- kinds


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (kinds.seconds, "1.5", 1.5),
        (kinds.seconds, "10m", 600.0),
        (kinds.seconds, "2h", 7200.0),
        (kinds.seconds, "0", None),
        (kinds.seconds, "-1", None),
        (kinds.seconds, "soon", None),
        (kinds.seconds, "nan", None),
        (kinds.seconds, "inf", None),
        (kinds.rate, "5", 5.0),
        (kinds.rate, "300/m", 5.0),
        (kinds.rate, "5/y", None),
        (kinds.rate, "0", None),
        (kinds.size, "2G", 2 << 30),
        (kinds.size, "500m", 500 << 20),
        (kinds.size, "1.5GiB", 3 << 29),
        (kinds.size, "1kb", 1024),
        (kinds.size, "10", 10),
        (kinds.size, "G", None),
        (kinds.size, "", None),
        (kinds.size, "-1G", None),
        (kinds.size, "infG", None),
        (kinds.workers, "4", 4),
        (kinds.workers, "auto", "auto"),
        (kinds.workers, "50%", kinds.Share(50.0)),
        (kinds.workers, "0", None),
        (kinds.workers, "many", None),
        (kinds.number_or_percent, "3", 3),
        (kinds.number_or_percent, "10%", kinds.Share(10.0)),
        (kinds.number_or_percent, "0%", None),
        (kinds.number_or_percent, "101%", None),
        (kinds.number_or_percent, "nan%", None),
        (kinds.between(-20, 19), "-5", -5),
        (kinds.between(-20, 19), "20", None),
        (kinds.at_least(1), "1_000", 1000),
        (kinds.at_least(1), "0", None),
        (kinds.at_least(1), "1.0", None),
    ],
)
def test_values(kind: Callable[[str], object], text: str, value: object) -> None:
    if value is None:
        with pytest.raises(ValueError, match=re.escape(repr(text))):
            kind(text)
    else:
        assert kind(text) == value


# ---------------------------------------------------------------------------------------------------------------- help


def test_help_has_all_words_with_examples_first() -> None:
    for each in commands():
        text = helping.whole(each)
        assert text.startswith(f"usage: procession {each.name}")
        flat = " ".join(text.split())
        place = text.index("Examples:")
        for example in each.examples:
            assert f"$ {example.command}" in text
        for group in each.groups:
            assert place < text.index(f"\n{group.title}:")
            for flag in group.flags:
                assert all(name in text for name in flag.names)
                assert " ".join(helping.explained(flag).split()) in flat
        for positional in each.positionals:
            assert positional.help in flat
    for each in commands():
        assert each.summary in " ".join(helping.overview().split())


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_help_is_wrapped_to_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for each in commands():
        _, _, text = helping.whole(each).partition("\n\n")  # behind the usage, whose lines are whole
        shown = [line for line in text.splitlines() if "$ " not in line]
        assert max(map(len, shown)) <= min(columns, helping.WIDEST)


def on_a_terminal(**more: str) -> str:
    """`procession top --help`, as a terminal gets it."""
    code = "import sys; from procession.cli import main; sys.exit(main(['top', '--help']))"
    above, below = pty.openpty()
    surroundings = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "TERM")}
    command = [sys.executable, "-c", code]
    done = subprocess.Popen(command, stdout=below, stdin=subprocess.DEVNULL, env={**surroundings, **more})
    os.close(below)
    text = b""
    try:
        while block := os.read(above, 65536):
            text += block
    except OSError:  # how Linux says that nobody is left at the other end
        pass
    os.close(above)
    assert done.wait(30) == 0
    return text.decode()


def test_colours_are_for_terminals_that_want_them() -> None:
    coloured = on_a_terminal(TERM="xterm-256color")
    assert "\x1b[1m" in coloured
    plain = on_a_terminal(TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b" not in plain
    assert "\x1b" not in on_a_terminal(TERM="dumb")
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


# ---------------------------------------------------------------------------------------------------------- completion


def surroundings(folder: Path) -> dict[str, str]:
    """Those in which this very command is the one called procession."""
    (folder / "bin").mkdir(exist_ok=True)
    command = folder / "bin" / "procession"
    start = "import sys; from procession.cli import main; sys.exit(main())"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def bash(line: str, folder: Path) -> list[str]:
    """What bash would offer at the end of `line`, by the script in a bash of its own."""
    program = (
        f"source {shlex.quote(str(folder / 'script'))}\n"
        f"COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}\n"
        "compopt() { :; }\n"
        '_procession\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    (folder / "script").write_text(completing.bash())
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        capture_output=True,
        text=True,
        cwd=folder,
        env=surroundings(folder),
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return [each for each in done.stdout.splitlines() if each]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("procession re", ["report"]),
        ("procession top --w", ["--web"]),
        ("procession demo --part ", ["reference", "stdlib"]),
        ("procession demo --part=s", ["stdlib"]),
        ("procession demo --quick --part r", ["reference"]),
        ("procession completion z", ["zsh"]),
        ("procession report some", ["some file.json"]),
        ("procession report -o some", ["some file.json"]),
        ("procession top ", []),
        ("procession map --workers 3 --backend=t", ["threads"]),
        ("procession map numbers:d", ["double", "drag"]),  # behind the colon, which is where a word begins for bash
        ("procession map --setup ./numbers.py:do", ["double"]),
        ("procession map numbers:double some", ["some file.json"]),
    ],
)
def test_bash_completes(line: str, offered: list[str], tmp_path: Path) -> None:
    (tmp_path / "some file.json").touch()
    (tmp_path / "numbers.py").write_text("def double(x): ...\ndef drag(x): ...\n")
    assert bash(line, tmp_path) == offered


@pytest.mark.e2e
def test_zsh_understands_its_script(tmp_path: Path) -> None:
    (tmp_path / "_procession").write_text(completing.zsh())
    subprocess.run(["zsh", "-n", str(tmp_path / "_procession")], check=True, timeout=60)


@pytest.mark.e2e
def test_fish_completes(tmp_path: Path) -> None:
    (tmp_path / "script.fish").write_text(completing.fish())
    for line, offered in (
        ("procession re", ["report"]),
        ("procession map --wor", ["--workers"]),
        ("procession map --backend thr", ["threads"]),
        ("procession completion f", ["fish"]),
    ):
        ask = f"source {shlex.quote(str(tmp_path / 'script.fish'))}; complete -C {shlex.quote(line)}"
        done = subprocess.run(
            ["fish", "-c", ask],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            cwd=tmp_path,
            env=surroundings(tmp_path),
        )
        assert ([each.split("\t")[0] for each in done.stdout.splitlines()], done.stderr) == (offered, "")


def test_all_scripts_have_all_words() -> None:
    for made in (completing.bash(), completing.zsh(), completing.fish()):
        for each in commands():
            assert each.name in made
            for flag in each.flags:
                assert flag.name.lstrip("-") in made


def test_modules_and_functions_are_found_without_running_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = tmp_path / "ran"
    (tmp_path / "numbers.py").write_text(
        f"open({str(ran)!r}, 'w')\ndef double(x): ...\nasync def drag(x): ...\nclass Doubler: ...\ndef _hidden(): ...\n"
    )
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "package" / "inner").mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").write_text("def start(): ...")
    (tmp_path / "package" / "steps.py").write_text("def first(): ...")
    (tmp_path / "package" / "inner" / "__init__.py").touch()
    assert candidates("numbers:d", []) == ["numbers:double", "numbers:drag"]
    assert candidates("numbers:", []) == ["numbers:double", "numbers:drag", "numbers:Doubler"]
    assert candidates("numbers:_", []) == ["numbers:_hidden"]
    assert candidates("numbers.py:do", []) == ["numbers.py:double"]
    assert candidates("./numbers.py:do", []) == ["./numbers.py:double"]
    assert candidates("broken:", []) == candidates("nowhere:", []) == []
    assert candidates("num", []) == ["numbers.py:", "numbers:"]
    assert candidates("", []) == ["broken:", "numbers:", "package.", "package:"]
    assert candidates("package.", []) == ["package.inner.", "package.inner:", "package.steps:"]
    assert candidates("package.steps:", []) == ["package.steps:first"]
    assert candidates("package:s", []) == ["package:start"]
    assert candidates("package/", []) == ["package/__init__.py:", "package/inner/", "package/steps.py:"]
    assert candidates("json:du", sys.path) == ["json:dump", "json:dumps"]
    assert not ran.exists()


# -------------------------------------------------------------------------------------------------------------- manual


def test_the_manual_has_all_words() -> None:
    page = manual.page()
    for each in commands():
        assert f'.SH "PROCESSION {each.name.upper()}"' in page
        for flag in each.flags:
            assert manual.escaped(flag.name) in page
            assert manual.escaped(helping.explained(flag)) in page
            if flag.more:
                assert manual.escaped(f"{helping.explained(flag)}.") + f"\n{manual.escaped(flag.more)}\n" in page


@pytest.mark.e2e
def test_groff_finds_nothing_wrong_with_it() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=manual.page(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""


@pytest.mark.e2e
def test_mandoc_finds_nothing_wrong_with_it() -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning"],
        input=manual.page(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if "missing date" not in line]  # it is printed on any day
    assert found == []
