"""The same for keys whose state lives in a worker."""

from __future__ import annotations

from tests import warm
from tests.contract import test_sticky as sticky
from tests.contract.conftest import backend, capabilities, gate, last, make_pool, side_by_side
from tests.contract.test_sticky import mortal, pool
from tests.journal.streams import journals

kept_zygote = warm.keep()

FIXTURES = [backend, capabilities, gate, journals, last, make_pool, mortal, pool, side_by_side]

test_a_further_run_after_a_death = sticky.test_a_further_run_after_a_death
test_a_further_run_is_at_home = sticky.test_a_further_run_is_at_home
test_a_stream_that_is_closed_leaves_nothing_bound = sticky.test_a_stream_that_is_closed_leaves_nothing_bound
test_aimap = sticky.test_aimap
test_keys_that_fail_fail_their_items = sticky.test_keys_that_fail_fail_their_items
test_stats_name_the_hot_key = sticky.test_stats_name_the_key_that_most_items_wait_for
test_the_state_of_a_key_lives_in_one_worker = sticky.test_the_state_of_a_key_lives_in_one_worker
test_when_a_worker_dies_its_keys_go_on_elsewhere = sticky.test_when_a_worker_dies_its_keys_go_on_elsewhere
