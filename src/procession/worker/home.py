"""A worker begins to be as at home: what it logs, and what it warns of, comes to the parent, once it does either."""

from __future__ import annotations

from procession.worker import notes
from procession.worker.imports import when_imported

TYPE_CHECKING = False  # typing costs a worker milliseconds; the checkers know this name
if TYPE_CHECKING:
    from types import ModuleType

    from procession.worker.boot import WorkerFiles


def begin(files: WorkerFiles) -> None:
    """This process is a worker with these channels."""
    notes.begin(files.notes)
    if files.notes < 0:
        return

    def logging_is_there(logging: ModuleType) -> None:
        from procession.transport.levels import Levels
        from procession.worker import logs

        logs.install(logging, Levels(files.levels) if files.levels >= 0 else None)

    def warnings_is_there(warnings: ModuleType) -> None:
        from procession.worker import logs

        logs.install_warnings(warnings)

    when_imported("logging", logging_is_there)
    when_imported("warnings", warnings_is_there)
