"""How many items travel together."""

from __future__ import annotations

import pytest

from procession.core import commands, events, policy
from procession.core.policy import GROWTH, MAX_LEASE, TARGET_NS, Profile
from tests.core.stage import Stage, only


def profile(mean_ns: float, items: int = MAX_LEASE) -> Profile:
    made = Profile()
    made.observe(items, int(mean_ns * items))
    return made


def test_nothing_is_known_at_first() -> None:
    fresh = Profile()
    assert fresh.lease_items() == 1
    assert not fresh.worth_prefetching()
    assert fresh.cost_of(2) == 2 * policy.PREFETCH_BELOW_NS


@pytest.mark.parametrize("mean_ns", [1_000, 10_000, 100_000, 1_000_000])
def test_a_lease_holds_three_milliseconds_of_work(mean_ns: int) -> None:
    assert profile(mean_ns).lease_items() == min(TARGET_NS // mean_ns, MAX_LEASE)


def test_a_dear_item_travels_alone_and_without_a_successor() -> None:
    assert profile(1e9).lease_items() == 1
    assert not profile(1e9).worth_prefetching()
    assert profile(1e6).worth_prefetching()


def test_leases_grow_boundedly() -> None:
    """One cold or lucky measurement does not decide alone."""
    made, sizes = Profile(), []
    for _ in range(5):
        sizes.append(made.lease_items())
        made.observe(sizes[-1], sizes[-1] * 100)
    assert sizes == [1, GROWTH, GROWTH**2, MAX_LEASE, MAX_LEASE]


def test_new_figures_weigh_half() -> None:
    made = profile(1000)
    made.observe(10, 30_000)
    assert made.mean_ns == 2000
    made.scale(3)
    assert made.mean_ns == 4000


def test_nothing_run_teaches_nothing_and_time_has_a_floor() -> None:
    made = Profile()
    made.observe(0, 0)
    assert made.mean_ns < 0
    made.scale(5)
    assert made.mean_ns < 0
    made.observe(10, 0)
    assert made.mean_ns == 1.0


def test_a_costly_lease_ends_the_growth() -> None:
    made = profile(100)
    made.observe(4, 2 * TARGET_NS)
    assert made.lease_items() <= 4 * GROWTH


def lease_of(stage: Stage) -> int:
    (send,) = only(stage.submit(*stage.calls(MAX_LEASE + 1)), commands.Send)
    return int(send.tokens)


def test_what_the_core_hears_reaches_the_policy() -> None:
    stage = Stage(1)
    stage.idle(1)
    assert stage.profile.mean_ns == 1000
    assert lease_of(stage) == GROWTH


def test_a_lease_is_never_more_than_fits_the_pipes() -> None:
    stage = Stage(1, mean_ns=1)
    stage.profile.last = MAX_LEASE  # it has grown as far
    stage.idle(1)
    assert lease_of(stage) == MAX_LEASE


def test_functions_may_mix_up_to_the_target() -> None:
    stage = Stage(1)
    stage.idle(1)
    quick, slow = profile(1_000_000), profile(500_000)
    found = stage.submit(*stage.calls(1, quick), *stage.calls(1, slow), *stage.calls(9, quick))
    (send,) = only(found, commands.Send)
    assert send.tokens == 1 + 1 + 1  # 1 ms + 0.5 ms + 1 ms, and the next would be beyond 3 ms
    stage.done(0, 3)
    stage.left(0, 3, 5_000_000)  # twice what was expected: both are scaled
    assert (quick.mean_ns, slow.mean_ns) == (1_500_000, 750_000)


def test_of_a_mixed_lease_that_ran_in_part_the_part_counts() -> None:
    stage = Stage(1)
    stage.idle(1)
    a, b = profile(1000), profile(1000)
    stage.submit(*stage.calls(2, a), *stage.calls(2, b))
    stage.done(0, 2)
    stage.withdrawn(0, 2)  # of the lease's four items two have run
    stage.left(0, 2, 2000)
    assert a.mean_ns == b.mean_ns == 1000


def test_an_unknown_function_travels_alone() -> None:
    stage = Stage(1)
    stage.idle(1)
    (send,) = only(stage.submit(*stage.calls(3, profile(1000)), *stage.calls(3, Profile())), commands.Send)
    assert send.tokens == 3


def test_grain_is_the_users_chunksize() -> None:
    stage = Stage(1)
    stage.idle(1)
    (send,) = only(stage.submit(stage.chunk(10, grain=4)), commands.Send)
    assert send.tokens == 4


def test_grain_gives_way_where_workers_idle() -> None:
    stage = Stage(2)
    stage.idle(2)
    sends = only(stage.submit(stage.chunk(10, grain=10)), commands.Send)
    assert [send.tokens for send in sends] == [5, 5]


def test_a_worker_gets_no_more_than_its_quota() -> None:
    stage = Stage(1, quota=3, mean_ns=1000)
    stage.idle(1)
    found = stage.submit(*stage.calls(10))
    assert [send.tokens for send in only(found, commands.Send)] == [2]
    assert only(found, commands.Spawn) == [commands.Spawn(1)]  # its heir, see test_recycling.py
    found = stage.done(0, 2)
    assert [type(each).__name__ for each in found] == ["Resolve", "Stop", "Send"]
    assert only(found, commands.Send)[0].wid == 1


def test_what_is_taken_back_does_not_count_towards_the_quota() -> None:
    stage = Stage(1, quota=9, mean_ns=1000)
    stage.idle(1)
    calls = stage.calls(4)
    stage.submit(*calls)
    assert stage.worker(0).quota == 9 - 1 - 4
    stage.step(events.CancelAsked(calls[1:]))
    stage.withdrawn(0, 3)
    assert stage.worker(0).quota == 9 - 1 - 1
