"""An imap with a journal does all that one without does: the tests of the others, with a journal for each stream."""

from __future__ import annotations

from tests import warm
from tests.contract import test_bytes as bytes_
from tests.contract import test_streams as streams
from tests.contract.conftest import backend, capabilities, gate, last, make_pool, pool, side_by_side
from tests.journal.streams import journals

kept_zygote = warm.keep()

FIXTURES = [backend, capabilities, gate, journals, last, make_pool, pool, side_by_side]

test_a_consumer_that_stops = bytes_.test_a_consumer_that_stops
test_a_stream_that_is_closed_lets_its_files_go = bytes_.test_a_stream_that_is_closed_lets_its_files_go
test_an_automatic_window_widens_behind_a_straggler = bytes_.test_an_automatic_window_widens_behind_a_straggler
test_at_the_bound_new_work_waits = bytes_.test_at_the_bound_new_work_waits
test_failures_keep_their_places = bytes_.test_failures_keep_their_places
test_results_heavier_than_the_bound_come_one_by_one = bytes_.test_results_heavier_than_the_bound_come_one_by_one
test_spilled_results_make_room = bytes_.test_spilled_results_make_room
test_what_is_made_by_value = bytes_.test_what_is_made_by_value
test_with_keys = bytes_.test_with_keys
test_workers_that_die = bytes_.test_workers_that_die
test_aimap_with_bytes = bytes_.test_aimap

test_a_live_source_may_wait = streams.test_a_live_source_may_wait
test_a_stream_keeps_its_pool = streams.test_a_stream_keeps_its_pool
test_aimap = streams.test_aimap
test_an_error_is_not_taken_for_the_end = streams.test_an_error_is_not_taken_for_the_end
test_finished_items_come_out = streams.test_finished_items_come_out_though_their_neighbour_is_stuck
test_imap_takes_an_endless_source = streams.test_imap_takes_an_endless_source
test_imap_unordered_hands_over_everything = streams.test_imap_unordered_hands_over_everything
test_the_four_forms_of_on_error = streams.test_the_four_forms_of_on_error
