"""Looks, as a program tells them."""

from typing import Any


def row(wid: int, **words: Any) -> dict[str, Any]:
    made = {"wid": wid, "pid": 4700 + wid, "state": "runs", "for": 0.214, "hand": 1, "done": 12, "note": ""}
    return {**made, "task": f"work({wid})", "memory": 12_300_000, "cpu": 1.0 * wid, **words}


def pool(number: int, *rows: dict[str, Any], **words: Any) -> dict[str, Any]:
    made = {"number": number, "kind": "Pool", "name": "", "backend": "processes", "width": 4, "workers": len(rows)}
    counts = {"idle": 0, "busy": 1, "starting": 0, "queued": 1234, "running": 2, "done": 19, "failed": 0, "died": 0}
    more = {"timeouts": 0, "retries": 0, "abandoned": 0, "auto": "", "trouble": "", "rows": list(rows)}
    lately = {"rate": 8.04, "p50": 0.0123, "p99": 0.25, "failures": 0, "errors": []}
    return {**made, **counts, **more, **lately, **words}


def error(text: str, at: float = 99.0, **words: Any) -> dict[str, Any]:
    return {"at": at, "worker": 1, "function": "work", "kind": "ValueError", "text": text, "stack": "a\nb", **words}


def look(
    *pools: dict[str, Any], streams: Any = (), at: float = 100.0, cpu: float = 3.0, **words: Any
) -> dict[str, Any]:
    program = {"pid": 4711, "python": "3.11.7", "procession": "0.1.0", "host": "h", "accelerated": "yes"}
    program |= {"command": "python job.py", "age": 3723.0, "cpus": 2, "memory": 29e6, "cpu": cpu, "threads": 3}
    return {
        "v": 1,
        "program": {**program, "trouble": "", **words},
        "at": at,
        "pools": list(pools),
        "streams": list(streams),
    }
