"""A worker begins to be as at home, once it asks: logs and warnings come to the parent, pdb comes to the terminal."""

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

    def pdb_is_there(pdb: ModuleType) -> None:
        from procession.worker import pdbs

        pdbs.install(pdb, files.levels)

    when_imported("pdb", pdb_is_there)
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
