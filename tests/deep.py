"""What `make test` leaves out; `make deep` has it, and so has `.ci/run`, but for the longer half: it costs more than
half of all, and a change seldom needs it before it is complete.

Walks of many states; faults that are seeded to show that a walk finds them; suites that are run again, with a journal,
say, or with another way to start a process; stories of many random steps; tests of the tests and of the measurements;
and programs that take long to load. Of most there is something shorter that stays: of what hypothesis makes up, a
quarter of the examples (conftest.py).
"""

from __future__ import annotations

import pytest

DEEP = (
    # walks, and faults that they find
    "tests/core/test_auto.py",
    "tests/core/test_auto_random.py",
    "tests/core/test_far_faults.py",
    "tests/core/test_far_explorer.py",
    "tests/core/test_gate.py",
    "tests/core/test_gate_faults.py",
    "tests/core/test_homes.py::test_the_explorer_finds_it",
    "tests/core/test_homes.py::test_without_a_fault_nothing_is_found",
    "tests/core/test_journey.py::test_every_sequence_of_events_of_a_small_journey",
    "tests/core/test_journey.py::test_random_interleavings",
    "tests/core/test_journey.py::test_what_an_item_costs_depends_on_nothing",
    "tests/core/test_journey_faults.py",
    "tests/core/test_pace.py::test_longer_stories_of_promised_tokens",
    "tests/core/test_recycling.py::test_the_explorer_finds_it",
    "tests/core/test_seeded_faults.py",
    "tests/core/test_seeded_supervision.py",
    "tests/core/test_turns.py::test_a_seeded_fault_is_found",
    "tests/core/test_turns.py::test_every_interleaving",
    "tests/arena/test_lending.py::test_a_seeded_fault_is_found",
    "tests/arena/test_lending.py::test_all_that_can_happen",
    "tests/flow/test_flow_core.py::test_every_sequence_of_events_of_a_small_flow",
    "tests/flow/test_flow_core.py::test_long_sequences_of_events",
    "tests/flow/test_flow_together.py::test_every_sequence_of_events_of_a_small_flow",
    "tests/flow/test_flow_together.py::test_random_interleavings",
    "tests/flow/test_ledger.py",
    "tests/native/test_ring_model.py",
    # every point at which a signal may strike, storms, hours of random steps in short
    "tests/failures/test_dropped.py",
    "tests/failures/test_half_frame.py",
    "tests/failures/test_storm.py",
    "tests/failures/test_surroundings.py::test_too_few_descriptors",
    "tests/flow/test_imap_interrupts.py::test_next_interrupted_at_every_point",
    "tests/flow/test_imap_interrupts.py::test_next_interrupted_where_an_item_failed",
    "tests/journal/test_imap_interrupts.py",
    "tests/journal/test_damage.py::test_whatever_is_damaged_nothing_false_is_recalled",
    "tests/journal/test_kills.py",
    "tests/journal/test_spinoff.py::test_a_full_disk_ends_it_and_loses_nothing",
    "tests/journal/test_spinoff.py::test_a_signal_to_the_whole_group_records_nothing",
    "tests/native/test_stress.py",
    "tests/pipeline/test_interrupts.py",
    "tests/pipeline/test_passing.py::test_under_crashes",
    "tests/pipeline/test_properties.py",
    "tests/properties/",
    "tests/context/test_filters.py::test_filters_that_change_all_the_time",
    "tests/soak/test_chaos.py",
    "tests/spinoff/test_batches_together.py",
    "tests/spinoff/test_interrupts.py",
    "tests/threads/test_engine.py::test_every_instruction_of_the_first_submit_may_be_struck",
    "tests/threads/test_sticky.py::test_the_core_keeps_its_invariants_under_load",
    "tests/failures/test_zygote_death.py::test_under_load_again_and_again",
    "tests/transport/test_interrupts.py::test_interrupted_at_any_instruction",
    # the same again, otherwise
    "tests/house/test_house.py",  # `make check` has these two
    "tests/house/test_layers.py",
    "tests/adapters/test_run.py::test_a_module_with_threads",
    "tests/failures/test_migration.py",
    "tests/seeing/test_verdict.py::test_a_pool_that_is_always_busy_is_healthy",
    "tests/seeing/test_verdict.py::test_parts_of_equal_length_say_much_the_same",
    "tests/seeing/test_verdict.py::test_the_shares_are_one",
    "tests/adapters/test_run.py::test_globals_that_only_a_fork_hands_over",
    "tests/adapters/test_run.py::test_a_pool_whose_workers_are_replaced_is_not_forked",
    "tests/adapters/test_multiprocessing_standard.py",
    "tests/conformance/test_conformance.py::test_case[fork-",
    "tests/conformance/test_conformance.py::test_case[forkserver-",
    "tests/conformance/test_conformance.py::test_case[spawn-",
    "tests/conformance/test_conformance.py::test_module_leaves_nothing_behind[fork",
    "tests/conformance/test_conformance.py::test_module_leaves_nothing_behind[spawn",
    "tests/journal/test_imap.py::test_one_that_was_left_goes_on",
    "tests/journal/test_imap_as_ever.py",
    "tests/journal/test_imap_sticky_as_ever.py",
    "tests/journalled/",
    # tests of tests and of measurements
    "tests/benchmarks/",
    "tests/conformance/test_harness.py",
    "tests/house/test_leak_fixture.py",
    "tests/house/test_sharing.py",
    "tests/rivals/",
    # what takes long to load, or starts a hundred programs
    "tests/packaging/test_version.py",
    "tests/cli/test_command_page.py",
    "tests/cli/test_formats_page.py",
    "tests/cli/test_main.py::test_both_times_and_the_ten_most_complex_functions_are_printed",
    "tests/cli/test_main.py::test_each_item_has_a_bar_in_each_run",
    "tests/cli/test_main.py::test_terminals_without_colour_get_brackets",
    "tests/cli/test_main.py::test_the_demo_on_a_terminal_is_drawn_while_it_runs",
    "tests/cli/test_main.py::test_the_demo_piped",
    "tests/context/test_notebook.py",
    "tests/debugging/",
    "tests/cli/test_map_ends.py::test_control_c_on_a_terminal",
    "tests/cli/test_map_ends.py::test_other_signals_are_as_the_second_interrupt",
    "tests/dashboard/test_surroundings.py::test_what_the_program_does_not_load_the_server_does_not_either",
    "tests/examples/",
    "tests/launch/test_quiet.py::test_a_program_in_development_mode",
    "tests/context/test_share.py::test_numpy_that_is_there_already",
    "tests/context/test_share.py::test_what_the_user_has_set_is_obeyed_there_too",
    "tests/typing/",
)
"""Tests by what their ids begin with."""

WALKED = "tests/core/test_explorer.py::test_nothing_that_can_happen_breaks_a_law["
SHORT = (
    "a chunk that runs again, a crash, two errors",
    "a lone call to a lent worker, a crash",
    "calls of unknown cost, a crash",
    "calls that may take too long",
    "calls, a crash, killed",
    "one worker, turns, too old, a crash",
    "two items a worker, with heirs, a crash",
    "turns and a call, smaller",
)
"""The bounds of the core that are walked each time; the others are deep."""

LONGER = (
    "tests/conformance/test_conformance.py::test_case[fork-",
    "tests/conformance/test_conformance.py::test_case[forkserver-",
    "tests/conformance/test_conformance.py::test_case[spawn-",
    "tests/conformance/test_conformance.py::test_module_leaves_nothing_behind[fork",
    "tests/conformance/test_conformance.py::test_module_leaves_nothing_behind[spawn",
    "tests/core/test_homes.py::test_without_a_fault_nothing_is_found[a key that runs again]",
    "tests/core/test_homes.py::test_without_a_fault_nothing_is_found[a key, lent]",
    "tests/core/test_journey.py::test_every_sequence_of_events_of_a_small_journey[a batch of many-",
    "tests/core/test_journey.py::test_every_sequence_of_events_of_a_small_journey[a key of many, filtered-",
    "tests/core/test_journey.py::test_every_sequence_of_events_of_a_small_journey[keys behind a filter-",
    "tests/core/test_journey.py::test_every_sequence_of_events_of_a_small_journey[many-False]",
    "tests/flow/test_flow_together.py::test_every_sequence_of_events_of_a_small_flow[keys, bytes-",
    "tests/flow/test_flow_together.py::test_every_sequence_of_events_of_a_small_flow[spilled-",
    "tests/house/test_leak_fixture.py",
    "tests/house/test_sharing.py",
    "tests/journalled/",
    "tests/native/test_ring_model.py",
)
"""What of the deep `.ci/run`, which has 20 minutes, leaves to `make deep`: to be run by whoever changes the core, the
rings, the journal under a `SpinOff`, how workers start by multiprocessing, or how tests are run."""

LONG_WALKS = (
    "a key, a lone call to a lent worker",
    "a call and a chunk, a crash",
    "all at once, a chunk",
    "bad starts, a bad initializer, a crash",
    "calls, a crash, a cancel",
    "calls, shut down with cancel",
    "keys, a crash",
    "keys, too old",
    "one worker, calls, a crash, a cancel",
    "one worker, keys, a cancel, a crash",
    "one worker, too long, a cancel that kills",
    "smaller, then larger, dear calls",
    "smaller, too old",
    "too old, a crash, a start that fails",
    "too old, too heavy",
    "turns and a call, a crash",
    "turns and calls, an item a worker",
)
"""The same, of the walks."""
ALONE = "-laws alone]"
"""Of what finds seeded faults once with all checks and once without those of the core: the second half."""


def is_deep(nodeid: str) -> bool:
    """`make test` leaves it out."""
    if nodeid.startswith("tests/contract/") and "[inline" in nodeid:
        return True  # where tasks run in their caller there is the least to go wrong
    if nodeid.startswith(WALKED):
        return nodeid[len(WALKED) : -1] not in SHORT
    return nodeid.startswith(DEEP)


def is_longer(nodeid: str) -> bool:
    """And so does `.ci/run`."""
    if nodeid.startswith(WALKED):
        return nodeid[len(WALKED) : -1] in LONG_WALKS
    return nodeid.startswith(LONGER) or (nodeid.startswith("tests/core/") and nodeid.endswith(ALONE))


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    if is_deep(item.nodeid):
        item.add_marker(pytest.mark.deep)
    if is_longer(item.nodeid):
        item.add_marker(pytest.mark.longer)
