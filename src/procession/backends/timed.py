"""The part of a channel that has its worker write down when it runs each item (transport/timesheet.py)."""

from __future__ import annotations

from contextlib import suppress

from procession import tapping

TYPE_CHECKING = False  # see `lean`
if TYPE_CHECKING:
    from procession.transport.page import OutcomePage
    from procession.transport.timesheet import Columns, TimeSheet


class Timed:
    """See the module."""

    page: OutcomePage
    _page_fd: int
    _sheet: TimeSheet | None = None
    pid = 0
    """As the worker has said when it was ready; the launcher may tell it earlier or later."""

    def begin_times(self) -> None:
        """Its worker is about to be started."""
        if tapping.tasks_wanted():
            self.time(True)

    def time(self, on: bool) -> None:
        """Let the worker write down when it runs each item, or not; its next batch is the first."""
        self.page.time(on)

    def times(self, first: int, count: int) -> Columns:
        """When `count` items were run, those of the outcomes number `first`, `first + 1`, ... Raises OSError."""
        return self._times_sheet().columns(first, count)

    def _times_sheet(self) -> TimeSheet:
        if self._sheet is None:
            from procession.transport.timesheet import TimeSheet

            self._sheet = TimeSheet(self._page_fd)
        return self._sheet

    def drop_times(self) -> None:
        """Nobody will ask for what is written down now: its memory is given back."""
        with suppress(OSError):
            self._times_sheet().clear()

    def close_sheet(self) -> None:
        """Nothing is asked any more."""
        if self._sheet is not None:
            self._sheet.close()
