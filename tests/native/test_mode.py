"""Which mode a program is in: it can be chosen, it can be asked for, and the choice holds for the workers."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import procession

PROGRAM = """
    import sys
    from procession import Pool, accelerated
    from procession.backends.tasks import CallFuture

    def loaded(_):
        return "procession._native._c" in sys.modules, "procession.worker.fast" in sys.modules

    if __name__ == "__main__":
        with Pool(1) as pool:
            print(accelerated, *pool.submit(loaded, None).result(), CallFuture.__mro__[1].__name__)
"""


def said(program: str, **environment: str) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PROCESSION_PURE"} | environment
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_this_run_is_in_the_mode_that_was_asked_for() -> None:
    """CI says what it expects, so that nothing is green because the extension was not there."""
    expected = os.environ.get("PROCESSION_EXPECT")
    if expected is not None:
        assert procession.accelerated is (expected == "accelerated")


@pytest.mark.parametrize("word", ["1", "yes"])
def test_pure_python_can_be_chosen(word: str) -> None:
    assert said(PROGRAM, PROCESSION_PURE=word) == "False False False PlainStorage"


@pytest.mark.skipif(not procession.accelerated, reason="there is no extension, or it is not to be used")
@pytest.mark.parametrize("environment", [{}, {"PROCESSION_PURE": ""}, {"PROCESSION_PURE": "0"}])
def test_without_a_choice_it_is_used_where_it_is_there(environment: dict[str, str]) -> None:
    assert said(PROGRAM, **environment) == "True True True Storage"


def test_an_extension_that_cannot_be_loaded_is_as_good_as_none() -> None:
    program = f"import sys; sys.modules['procession._native._c'] = None\n{textwrap.dedent(PROGRAM)}"
    accelerated, _, served_fast, storage = said(program).split()  # the worker may well find it
    assert (accelerated, served_fast, storage) == ("False", "False", "PlainStorage")


SET_LATER = """
    import multiprocessing, os, sys
    import procession

    if __name__ == "__main__":
        assert procession.accelerated
        os.environ["PROCESSION_PURE"] = "1"
        context = multiprocessing.get_context(sys.argv[1]) if sys.argv[1:] else None
        with procession.Pool(1, mp_context=context) as pool:
            print(pool.submit(os.getenv, "PROCESSION_PURE").result())
"""


@pytest.mark.skipif(not procession.accelerated, reason="there is no extension, or it is not to be used")
@pytest.mark.parametrize("start", ["zygote", "fork", "spawn"])
def test_pure_python_that_is_chosen_too_late_is_for_what_the_program_starts(start: str, tmp_path: Path) -> None:
    """Its workers go on as it has begun; where they cannot, each says why."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(SET_LATER))
    words = [sys.executable, program] if start == "zygote" else [sys.executable, program, start]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if start == "spawn":
        why = "the program has loaded procession's extension, and its worker cannot: PROCESSION_PURE is set"
        assert f"ImportError: {why}" in done.stderr
        assert done.stderr.endswith("before it was ready; what it said is on stderr\n")
    else:
        assert (done.stdout, done.stderr) == ("1\n", "")
