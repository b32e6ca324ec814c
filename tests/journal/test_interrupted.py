"""Signal handlers that raise in whoever posts to a journal, closes it, or waits for it."""

from __future__ import annotations

from pathlib import Path

from procession.journal import Journal
from procession.journal.identity import identity_of
from procession.journal.queued import QueueJournal, Ticket
from tests.flow.interrupts import Interrupter, at_every_point


def double(x: int) -> int:
    return 2 * x


def test_a_number_that_was_left_out_is_not_counted_and_not_given_again(tmp_path: Path) -> None:
    settings = Journal(tmp_path / "q", sync=False)
    journal = QueueJournal.open(settings, identity_of(double), None)
    for seq in (0, 1, 4, 3):
        ticket = Ticket()
        journal.accept([(seq, None, *journal.encoded(seq))], ticket)
        ticket.wait()
    assert journal.accepted == 4
    journal.close()
    again = QueueJournal.open(settings, identity_of(double), None)
    assert (again.accepted, again.next_seq, [row.seq for row in again.pending()]) == (4, 5, [0, 1, 3, 4])
    again.close()


def test_a_close_that_is_interrupted_at_every_point_closes(tmp_path: Path) -> None:
    def scenario(interrupter: Interrupter) -> None:
        journal = QueueJournal.open(Journal(tmp_path / "q", sync=False), identity_of(double), None)
        try:
            interrupter.run(journal.close)
        except KeyboardInterrupt:
            journal.close()
        assert journal.writer.ended

    at_every_point(scenario, 5)
