"""The rows by name, in the order of the matrix. A new one is a class in a file beside this one and a line here."""

from rivals.rows.base import Row
from rivals.rows.bounds import Barrier, Endless, Recycling
from rivals.rows.control import CancelQueued, CancelRunning, HungTask
from rivals.rows.deaths import DeadlyInitializer, IdleKilled, Initializer, Retried, TaskCrashes, TaskExits, WorkerKilled
from rivals.rows.endings import Dropped, ExceptionInBody, InterruptAsleep, InterruptSpinning, ParentKilled
from rivals.rows.pickling import NoGuard, OddArgument, OddException, OddResult, OwnFunctions

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        WorkerKilled(),
        TaskExits(),
        TaskCrashes(),
        IdleKilled(),
        OddException(),
        OddResult(),
        OddArgument(),
        OwnFunctions(),
        NoGuard(),
        HungTask(),
        Retried(),
        CancelRunning(),
        CancelQueued(),
        InterruptAsleep(),
        InterruptSpinning(),
        ExceptionInBody(),
        ParentKilled(),
        Dropped(),
        Endless(),
        Barrier(),
        Initializer(),
        DeadlyInitializer(),
        Recycling(),
    )
}
