"""A worker begins to be as at home, once it asks: logs and warnings come to the parent, pdb comes to the terminal.

`watch` and `news` say whether the parent has changed its filters of warnings: `news[watch[0]] != watch[1]`. Whoever
runs tasks looks at that before each run of them, and calls `hear`. Until `warnings` is imported only some filters
matter (transport/filters.py).
"""

from __future__ import annotations

import mmap
import sys

from procession.worker import notes
from procession.worker.imports import when_imported

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

    from procession.worker.boot import WorkerFiles

_SIZE = 16
_URGENT, _ANY = 0, 1
"""Which word of the boards (transport/boards.py) to look at."""

news: Sequence[int] = (0, 0)
watch: list[int] = [_URGENT, 0]

_filters: Any = None  # `worker.filters.Filters`, once warnings is there


def begin(files: WorkerFiles) -> None:
    """This process is a worker with these channels."""
    global _filters, news
    notes.begin(files.notes)

    def pdb_is_there(pdb: ModuleType) -> None:
        from procession.worker import pdbs

        pdbs.install(pdb, files.levels)

    when_imported("pdb", pdb_is_there)
    if files.notes < 0:
        return
    boards: list[mmap.mmap] = []

    def memory() -> mmap.mmap | None:
        if not boards and files.levels >= 0:
            from procession.transport.boards import view_of

            boards.append(view_of(files.levels))
        return boards[0] if boards else None

    def logging_is_there(logging: ModuleType) -> None:
        from procession.transport.levels import Levels
        from procession.worker import logs

        shared = memory()
        logs.install(logging, None if shared is None else Levels(shared))

    def warnings_is_there(warnings: ModuleType) -> None:
        global _filters
        from procession.worker import logs

        logs.install_warnings(warnings)
        if (shared := memory()) is not None:
            from procession.worker.filters import Filters

            _filters = Filters(shared, warnings)
            watch[:] = _ANY, news[_ANY]
            _filters.apply()

    _filters, watch[:] = None, (_URGENT, 0)
    if files.levels >= 0:
        news = memoryview(mmap.mmap(files.levels, _SIZE, prot=mmap.PROT_READ)).cast("Q")
    when_imported("logging", logging_is_there)
    when_imported("warnings", warnings_is_there)
    if news[watch[0]] != watch[1]:
        hear()


def hear() -> None:
    """Take over what the parent has now."""
    watch[1] = news[watch[0]]
    if _filters is not None:
        _filters.apply()
    elif "warnings" not in sys.modules:
        __import__("warnings")  # at which they are taken over
