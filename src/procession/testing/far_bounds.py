"""The bounds of walks with far workers (far_world.py); see scenario.py."""

from __future__ import annotations

from procession.testing.scenario import DEAR, ENDING_ONE, ENDINGS, EVERYTHING, KEYS, TOO_LONG, Scenario

FAR_BOUNDS = (
    Scenario("calls, an agent lost", 2, (("calls", 2),), losses=1),
    Scenario("calls, a crash", 2, (("calls", 2),), crashes=1),
    Scenario("calls, a cancel, an agent lost", 1, (("calls", 3),), cancels=1, losses=1),
    Scenario("a call, then calls, a cancel", 1, (("calls", 1), ("calls", 2)), cancels=1),
    Scenario("calls, a cancel that kills, a crash", 1, (("calls", 2),), crashes=1, **ENDING_ONE),
    Scenario("calls, a crash, late calls", 1, (("calls", 2),), crashes=1, cancels=1, late_calls=True),
    Scenario("a chunk, closed for good, again, an agent lost", 1, (("chunk", 2),), losses=1, retries=1, **ENDING_ONE),
    Scenario("a chunk that runs again, an error, an agent lost", 1, (("chunk", 3),), losses=1, errors=1, retries=1),
    Scenario("calls that may take too long", 1, (("calls", 2),), timeouts=1),
    Scenario("calls that may take too long, with a grace", 1, (("calls", 2),), timeouts=1, grace=True),
    Scenario("calls, shut down with cancel, an agent lost", 1, (("calls", 2),), ("cancel",), losses=1),
    Scenario("calls, killed, an agent lost", 1, (("calls", 2),), ("kill",), losses=1),
    Scenario("later again, shut down with cancel", 1, (("calls", 1),), ("cancel",), errors=1, retries=1, delay=True),
    Scenario("an item a worker", 1, (("calls", 2),), quota=1),
    Scenario("two items a worker, with heirs", 1, (("calls", 3),), quota=2),
    Scenario("bad starts, an agent lost", 1, (("calls", 2),), failed_starts=1, unfit=1, losses=1, slow_starts=True),
    Scenario("calls that may wait too long, a cancel", 1, (("calls", 2),), lates=1, cancels=1),
    Scenario("priorities, an agent lost", 1, (("calls", 1), ("calls", 2)), ranks=(0, 5, 1), losses=1),
    Scenario("keys, an agent lost", 1, KEYS, losses=1),
    Scenario("turns and a call, a crash, an agent lost", 1, (("turns", 2), ("calls", 1)), losses=1, crashes=1),
    Scenario("too old", 1, (("calls", 1),), dues=1, slow_starts=True),
    Scenario("smaller", 2, (("calls", 2),), sizes=(1,)),
)
"""What is walked with the deep tests."""

FAR_DEEP_BOUNDS = (
    Scenario("three calls, a crash", 2, (("calls", 3),), crashes=1),
    Scenario("three calls, an agent lost, a cancel", 2, (("calls", 3),), losses=1, cancels=1),
    Scenario("a chunk of two workers, closed", 2, (("grain", 2),), cancels=1),
    Scenario("a chunk of three, two agents lost", 2, (("chunk", 3),), losses=2),
    Scenario("a call, then three, a crash, a cancel", 1, (("calls", 1), ("calls", 3)), crashes=1, cancels=1),
    Scenario("calls, two crashes, a cancel, late calls", 1, (("calls", 2),), crashes=2, cancels=1, late_calls=True),
    Scenario("calls, a cancel that kills, an agent lost", 1, (("calls", 2),), losses=1, **ENDING_ONE),
    Scenario(
        "a chunk, too long with a grace, closed for good", 1, (("chunk", 2),), timeouts=1, grace=True, **ENDING_ONE
    ),
    Scenario("two workers, too long", 2, (("calls", 2),), timeouts=1),
    Scenario("two workers, shut down with cancel", 2, (("calls", 2),), ("cancel",), losses=1),
    Scenario("two workers, killed", 2, (("calls", 2),), ("kill",)),
    Scenario("all endings", 1, (("calls", 1),), ENDINGS, losses=1, slow_starts=True),
    Scenario("bad starts, all endings", 1, (("calls", 2),), ENDINGS, failed_starts=3, unfit=1, slow_starts=True),
    Scenario("all at once", 1, (("calls", 1),), losses=1, **{**EVERYTHING, "errors": 0}),
    Scenario("an item a worker, an agent lost", 1, (("calls", 3),), quota=1, losses=1),
    Scenario("later again, all endings", 1, (("calls", 1),), ENDINGS, errors=1, retries=1, delay=True, **ENDING_ONE),
    Scenario("keys, a crash, a cancel, an agent lost", 1, KEYS, losses=1, crashes=1, cancels=1),
    Scenario("turns, too long, a cancel that kills", 1, (("turns", 2),), **TOO_LONG),
    Scenario("two of turns, two agents lost", 2, (("turns", 2), ("turns", 2)), losses=2),
    Scenario("too old, an agent lost", 1, (("calls", 1),), dues=1, losses=1, slow_starts=True),
    Scenario("smaller, then larger, dear calls", 2, (("calls", 2),), sizes=(1, 2), mean_ns=DEAR),
)
"""For a soak."""
