"""In the user's process only one module logs: `backends/saying.py`, whose lines no task waits for.

`backends/notes.py` hands records of workers to the program's loggers, on the same thread.
"""

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "procession"
ALLOWED = (
    "backends/saying.py",
    "backends/notes.py",
    *("worker/loop.py", "worker/surroundings.py"),
    "seeing/logged.py",
)  # in a worker, the initializer's failure is told by who ran it, and what surroundings cannot be had by the task; an
# observer of the user's own logger has a thread of its own


def loggers(source: str) -> list[int]:
    """The lines that get a logger or log by the module's functions."""
    words = {"getLogger", "debug", "info", "warning", "error", "critical", "exception", "log"}
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("logging", "logger")
        and node.attr in words
    ]


def test_who_logs() -> None:
    found = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if loggers(file.read_text(encoding="utf-8"))
    }
    assert found == set(ALLOWED)


def test_a_seeded_fault_is_seen() -> None:
    assert loggers('import logging\nlogging.getLogger("x").error("y")') == [2]
    assert loggers('logger.exception("y")') == [1]
    assert loggers("logging.ERROR") == []
