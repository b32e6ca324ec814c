"""Each line that ends in a comment is an error: so does mypy call it, and so pyright."""

import procession
from depot.work import Parcel, Scale, label, load, numbers, pack, pack_all, price, route, split, weigh
from procession import (
    Pipeline,
    Pool,
    SpinOff,
    Stage,
    WorkerDied,
    observe,
)
from procession.errors import WorkerDead  # attr-defined | reportAttributeAccessIssue
from procession.events import TaskEnded, WorkerEnded

procession.Poool  # attr-defined | reportAttributeAccessIssue


def names() -> None:
    from procession import Poool  # attr-defined | reportAttributeAccessIssue


def calls(pool: Pool) -> None:
    pool.submit(label, "one")  # arg-type | reportArgumentType
    pool.submit(label)  # call-arg | reportCallIssue
    pool.submit(label, 1, z=2)  # call-arg | reportCallIssue
    pool.submit(pack, 1, 2.0)  # call-arg | reportCallIssue
    pool.submit(3)  # arg-type | reportArgumentType
    pool.submit(label, 1).result().real  # attr-defined | reportAttributeAccessIssue
    pool.sumbit(label, 1)  # attr-defined | reportAttributeAccessIssue


def maps(pool: Pool) -> None:
    pool.map(label, ["one"])  # arg-type | reportArgumentType
    pool.map(label, 3)  # call-overload | reportArgumentType
    pool.map(price, [1])  # arg-type | reportArgumentType
    pool.map(price, [1], [2])  # arg-type | reportArgumentType
    pool.map(route, [1], ["a"], ["b"])  # arg-type | reportArgumentType
    pool.map(label, [1], chunk_size=3)  # call-overload | reportCallIssue
    pool.map(label, [1], chunksize="3")  # call-overload | reportArgumentType
    pool.map(label, [1], on_error="skip")  # call-overload | reportCallIssue


def streams(pool: Pool) -> None:
    pool.imap(label, ["one"])  # arg-type | reportArgumentType
    pool.imap(label, [1], on_error="retrun")  # call-overload | reportArgumentType
    pool.imap(label, [1], on_error=label)  # arg-type | reportArgumentType
    pool.imap(label, [1], window="3")  # call-overload | reportArgumentType
    pool.imap(label, [1], journal=3)  # call-overload | reportArgumentType
    pool.imap(label, [1], maxsize=3)  # call-overload | reportCallIssue
    pool.imap(label, [1], 100)  # call-overload | reportArgumentType
    pool.imap_unordered(label, [1], ordered=False)  # call-overload | reportCallIssue
    pool.imap_unordered(price, ["a"], [1])  # arg-type | reportArgumentType
    pool.aimap(label, ["one"])  # arg-type | reportArgumentType
    pool.stream(numbers, "3")  # arg-type | reportArgumentType
    pool.stream(label, 1).real  # attr-defined | reportAttributeAccessIssue
    pool.stream(abs, -1)  # arg-type | reportArgumentType
    results: list[str] = list(pool.imap(label, [1], on_error="return"))  # arg-type | reportAssignmentType


def views(pool: Pool) -> None:
    pool.options(retry=3)  # call-overload | reportCallIssue
    pool.options(timeout="3")  # call-overload | reportArgumentType
    pool.options(retry_on=["a"])  # call-overload | reportArgumentType
    pool.options(retries=1).sumbit(label, 1)  # attr-defined | reportAttributeAccessIssue
    pool.options(retries=1).submit(label, "one")  # arg-type | reportArgumentType


def captured(pool: Pool) -> None:
    pool.options(capture="yes")  # call-overload | reportArgumentType
    pool.options(capture=True).submit(label, "one")  # arg-type | reportArgumentType
    pool.options(capture=True).imap(label, ["one"])  # arg-type | reportArgumentType
    pool.options(capture=True).submit(label, 1).result().upper()  # attr-defined | reportAttributeAccessIssue


async def coroutines(pool: Pool) -> None:
    await pool.acall(label, "one")  # arg-type | reportArgumentType


def made() -> None:
    Pool("4")  # arg-type | reportArgumentType
    Pool(max_workers="automatic")  # arg-type | reportArgumentType
    Pool(processes=4)  # call-arg | reportCallIssue
    Pool(backend="celery")  # arg-type | reportArgumentType
    Pool(overflow="drop")  # arg-type | reportArgumentType
    Pool(initializer=3)  # arg-type | reportArgumentType
    Pool(dashboard="8080")  # arg-type | reportArgumentType


def spins() -> None:
    SpinOff(label).put("one")  # arg-type | reportArgumentType
    SpinOff(label).put_many(["one"])  # list-item | reportArgumentType
    SpinOff(label, wokers=2)  # call-overload | reportCallIssue
    SpinOff(label, workers="2")  # call-overload | reportArgumentType
    SpinOff(label, on_result=label)  # misc | reportArgumentType
    SpinOff(label, on_error="retrun")  # call-overload | reportArgumentType
    SpinOff(label, overflow="drop")  # call-overload | reportArgumentType
    SpinOff(label, batch=3)  # arg-type | reportArgumentType
    SpinOff(pack_all, batch=3, capture=True)  # call-overload | reportArgumentType
    SpinOff(label, capture=True, wokers=2)  # call-overload | reportCallIssue
    SpinOff(weigh)  # arg-type | reportArgumentType
    SpinOff(weigh, setup=int)  # misc | reportArgumentType
    SpinOff(weigh, setup=load).put(1)  # arg-type | reportArgumentType
    SpinOff(label, journal=3)  # call-overload | reportArgumentType
    SpinOff(label, item_id=lambda n: n / 2)  # arg-type | reportArgumentType
    SpinOff(pack_all, batch=3).put([1])  # arg-type | reportArgumentType
    total: int = next(SpinOff(label))  # assignment | reportAssignmentType


def pipes() -> None:
    Stage(label, wokers=2)  # call-overload | reportCallIssue
    Stage(label, batch=3)  # arg-type | reportArgumentType
    Stage(price)  # arg-type | reportArgumentType
    Stage(weigh, setup=int)  # misc | reportArgumentType
    Stage(pack, many=True)  # call-overload | reportArgumentType
    Pipeline(Stage(label), Stage(label))  # misc | reportArgumentType
    Pipeline(Stage(pack), Stage(split, many=True), Stage(label))  # misc | reportArgumentType
    Pipeline(label, stages=3)  # call-overload | reportCallIssue
    Pipeline(label).run(["one"])  # list-item | reportArgumentType
    Pipeline(label).run([1], on_error="retrun")  # call-overload | reportArgumentType
    totals: list[int] = list(Pipeline(label).run([1]))  # arg-type | reportAssignmentType


def failures_alone(event: TaskEnded) -> None: ...


def observed() -> None:
    observe(failures_alone)  # arg-type | reportArgumentType
    observe(failures_alone, events=WorkerEnded)  # arg-type | reportArgumentType
    observe(failures_alone, event=TaskEnded)  # call-overload | reportCallIssue
    observe(3)  # call-overload | reportArgumentType


def errors(error: WorkerDied, scale: Scale, parcel: Parcel) -> None:
    error.exit_code  # attr-defined | reportAttributeAccessIssue
