"""What a journal says it belongs to, beside what is to be run now: what differs is refused, with both."""

from __future__ import annotations

import sys

from procession.journal.refusals import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from procession.journal.identity import Identity

MAP, QUEUE = "map", "queue"
_KINDS = {MAP: "an imap", QUEUE: "a SpinOff"}
_IDS = {True: "ids of its items (item_id)", False: "the positions of its items"}


def described(kind: str, identity: Identity, own_ids: bool, version: str | int | None) -> dict[str, Any]:
    """What is kept in the file, as JSON. Code is kept by Python version: bytecode is another in each."""
    code = {} if version is not None else {_python(): identity.code}
    return {
        "kind": kind,
        "function": identity.function,
        "code": code,
        "version": version,
        "seed": identity.seed,
        "own_ids": own_ids,
    }


def _python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def differences(path: str, was: dict[str, Any], now: dict[str, Any], force: bool) -> None:
    """Raise JournalError unless `now` may go on with a journal of `was`; codes of other versions are taken over."""
    if was["kind"] != now["kind"]:
        text = f"it belongs to {_KINDS.get(was['kind'], was['kind'])}, and this is {_KINDS[now['kind']]}"
        raise refusal(path, f"{text}; take another file")
    if was["own_ids"] != now["own_ids"]:
        text = f"its items are known by {_IDS[was['own_ids']]}, now they would be by {_IDS[now['own_ids']]}"
        raise refusal(path, f"{text}; take another file")
    found = list(_differ(was, now))
    if not found:
        now["code"] = {**was["code"], **now["code"]}
    elif not force:
        text = f"it belongs to another run: {'; '.join(found)}"
        raise refusal(path, f"{text}. To go on all the same: Journal(path, force=True); else take another file")


def _differ(was: dict[str, Any], now: dict[str, Any]) -> Any:
    if was["function"] != now["function"]:
        yield f"the function was {was['function']}, now it is {now['function']}"
    if was["version"] != now["version"]:
        yield f"version was {was['version']!r}, now it is {now['version']!r}"
    elif now["version"] is None:
        old, new = was["code"].get(_python()), now["code"][_python()]
        if _python() in was["code"] and old != new:
            yield f"the code of {now['function']} was another one ({old}, now {new})"
    if was["seed"] != now["seed"]:
        yield f"seed was {was['seed']!r}, now it is {now['seed']!r}"
