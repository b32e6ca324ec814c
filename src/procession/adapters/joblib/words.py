"""The words of `parallel_config(backend="procession", ...)` and of `Parallel`, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from procession import options
from procession.policies import policy
from procession.pool import Pool
from procession.record import record

POOL = (
    *("initializer", "initargs", "setup", "preload", "mp_context", "stall_after"),
    *("max_tasks_per_child", "max_memory_per_child", "max_age_per_child"),
)
"""Words of `Pool`."""
POLICY = ("timeout", "grace", "retries", "retry_on", "backoff", "priority", "name")
"""Words of `Pool.options`."""
MEANT: Mapping[str, str] = {
    **options.OPTIONS_MEANT,
    **options.POOL_MEANT,
    **dict.fromkeys(("max_workers", "processes", "n_workers", "num_workers", "workers"), "n_jobs"),
    "idle_worker_timeout": "procession.adapters.joblib.shutdown(), which ends idle workers",
    "backend": "pool=procession.Pool(backend=...)",
    "address": "pool=procession.Pool(backend=..., address=...)",
    "capture": "Pool.options(capture=True); joblib has no place for what a task has written",
    "seed": "Pool.imap(seed=)",
    "progress": "verbose",
}


@record
class Words:
    """What was asked for."""

    pool: dict[str, Any]
    """For a pool of ours."""
    policy: dict[str, Any]
    given: Pool | None = None
    """The user's own pool."""


def read(given: Mapping[str, Any]) -> Words:
    """TypeError for a wrong word, with the right one where it is known; ValueError or TypeError for a wrong value."""
    for word in given:
        if word not in POOL and word not in POLICY and word != "pool":
            hint = f"; use {MEANT[word]}" if word in MEANT else f"; there are {', '.join((*POOL, *POLICY, 'pool'))}"
            raise TypeError(f"joblib's backend 'procession' knows no word {word!r}{hint}")
    said = {word: value for word, value in given.items() if value is not None}
    found = Words(
        {word: said[word] for word in POOL if word in said},
        {word: said[word] for word in POLICY if word in said},
        said.get("pool"),
    )
    _check(found)
    return found


def _check(found: Words) -> None:
    pool = found.pool
    if found.given is not None:
        if not hasattr(found.given, "submit") or not hasattr(found.given, "options"):
            raise TypeError(f"pool must be a procession.Pool, not {options.kind(found.given)}")
        if pool:
            raise TypeError(f"{next(iter(pool))} is a word of the pool: give it to the Pool that pool= names")
    options.check_worker(pool.get("initializer"), pool.get("initargs", ()), pool.get("setup"))
    options.check_preload(pool.get("preload", ()))
    options.check_max_tasks(pool.get("max_tasks_per_child"))
    options.memory_limits(pool.get("max_memory_per_child"))
    options.check_seconds("max_age_per_child", pool.get("max_age_per_child"))
    options.check_seconds("stall_after", pool.get("stall_after"))
    options.check_name(found.policy.get("name"))
    policy(**{word: found.policy.get(word) for word in POLICY if word != "name"})


__all__ = ["Words", "read"]
