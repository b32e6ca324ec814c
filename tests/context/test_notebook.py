"""A notebook, run by a real kernel: functions that are typed, and typed again, output in its cell, the interrupt."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXECUTE = """
import json, sys
import nbformat
from nbclient import NotebookClient

cells = [nbformat.v4.new_code_cell(cell) for cell in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
shown = []
for cell in notebook.cells:
    texts = {}
    for each in cell.outputs:
        kind = each.get("name") or {"execute_result": "result", "error": "error"}[each.output_type]
        text = each.get("text") or each.get("evalue") or each.data["text/plain"]
        texts[kind] = texts.get(kind, "") + text
    shown.append(texts)
print(json.dumps(shown))
"""


def outputs(*cells: str) -> list[dict[str, str]]:
    """What each cell shows: text by stream, "result" and "error". By a program of its own: nbclient keeps its loop."""
    program = [sys.executable, "-c", EXECUTE]
    ran = subprocess.run(program, input=json.dumps(cells), capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr
    shown: list[dict[str, str]] = json.loads(ran.stdout)
    return shown


def test_a_notebook() -> None:
    """Cell by cell, with one pool for all of them, as one works."""
    cells = {
        "begin": "from procession import Pool, SpinOff, shared_pool\npool = Pool(2)",
        "typed": "def f(x):\n    return x * factor\nfactor = 2\nlist(pool.map(f, range(4)))",
        "typed again": "def f(x):\n    return x + factor\nlist(pool.map(f, range(4)))",
        "rebound": "factor = 100\npool.submit(f, 1).result()",
        "a class": "class Point:\n    def __init__(self, x):\n        self.x = x\n"
        "def make(x):\n    return Point(x)\n[type(p) is Point and p.x for p in pool.imap(make, [1, 2])]",
        "the class again": "class Point:\n    name = 'newer'\n    def __init__(self, x):\n        self.x = -x\n"
        "[(type(p) is Point, p.x, p.name) for p in pool.imap(make, [5])]",
        "prints": "def loud(x):\n    print('in the task', x)\n    return x\npool.submit(loud, 1).result()",
        "prints again": "pool.submit(loud, 2).result()",
        "captures": "pool.options(capture=True).submit(loud, 3).result().stdout",
        "captures on threads": "with Pool(2, backend='threads') as threads:\n"
        "    future = threads.options(capture=True).submit(loud, 4)\n    print('in the cell')\n"
        "    found = future.result().stdout\nprint('after it')\nfound",
        "logs": "import logging\ndef logs():\n    logging.getLogger('mine').warning('logged in the task')\n"
        "pool.submit(logs).result()",
        "warns": "import warnings\ndef warns():\n    warnings.warn('warned in the task')\npool.submit(warns).result()",
        "fails": "def fails():\n    raise ValueError('in the task')\npool.submit(fails).result()",
        "spins off": "with SpinOff(lambda x: x * x, workers=2) as spin:\n    spin.put_many(range(5))\nlist(spin)",
        "awaits": "await pool.acall(f, 5), [x async for x in pool.aimap(f, range(3))]",
        "streams": "def numbers():\n    yield from range(3)\nlist(pool.stream(numbers))",
        "progress": "sum(pool.imap(abs, range(50), progress=True))",
        "the old class": "pool.submit(lambda: Point(3).x).result()",
    }
    shown = dict(zip(cells, outputs(*cells.values()), strict=True))
    assert shown.pop("fails")["error"] == "in the task"
    warned = shown.pop("warns")["stderr"]
    assert "UserWarning: warned in the task\n" in warned
    progress = shown.pop("progress")
    assert progress["result"] == "1225"
    assert progress["stderr"].startswith("\rabs ━")
    assert " 50/50 100% " in progress["stderr"]
    assert progress["stderr"].count("\n") == 1
    assert shown == {
        "begin": {},
        "typed": {"result": "[0, 2, 4, 6]"},
        "typed again": {"result": "[2, 3, 4, 5]"},
        "rebound": {"result": "101"},
        "a class": {"result": "[1, 2]"},
        "the class again": {"result": "[(True, -5, 'newer')]"},
        "prints": {"stdout": "in the task 1\n", "result": "1"},
        "prints again": {"stdout": "in the task 2\n", "result": "2"},
        "captures": {"result": "'in the task 3\\n'"},
        "captures on threads": {"stdout": "in the cell\nafter it\n", "result": "'in the task 4\\n'"},
        "logs": {"stderr": "logged in the task\n"},
        "spins off": {"result": "[0, 1, 4, 9, 16]"},
        "awaits": {"result": "(105, [100, 101, 102])"},
        "streams": {"result": "[0, 1, 2]"},
        "the old class": {"result": "-3"},
    }


INTERRUPT = """
import sys
from jupyter_client.manager import KernelManager

manager = KernelManager(kernel_name="python3")
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)


def run(code):
    reply = client.execute_interactive(code, timeout=60, output_hook=lambda _: None)["content"]
    if reply["status"] == "ok":
        return
    sys.exit("\\n".join([code, repr(reply), *reply.get("traceback", [])]))


begin = '''
import time
from procession import Pool
pool = Pool(2, backend=BACKEND)
import os
def held(x, path):
    while not os.path.exists(path):
        time.sleep(0.01)
    return x
def same(x):
    return x
assert pool.submit(same, 0).result() == 0
'''.replace("BACKEND", repr(sys.argv[1]))
run(begin)
path = sys.argv[2]
code = f"future = pool.submit(held, 7, {path!r})\\nprint('waits', flush=True)\\nfuture.result()"
# Else the kernel answers "aborted" to what it is asked before it has told all its threads of the error.
waits = client.execute(code, stop_on_error=False)
while True:
    message = client.get_iopub_msg(timeout=60)
    if message["parent_header"].get("msg_id") == waits and message["content"].get("text") == "waits\\n":
        break
manager.interrupt_kernel()
reply = client.get_shell_msg(timeout=60)
while reply["parent_header"].get("msg_id") != waits:
    reply = client.get_shell_msg(timeout=60)
assert reply["content"]["ename"] == "KeyboardInterrupt", reply
open(path, "x").close()
run("assert future.result() == 7 and pool.submit(same, 8).result() == 8")
run("assert list(pool.map(same, [1, 2])) == [1, 2]")
run("pool.shutdown()")
client.stop_channels()
manager.shutdown_kernel(now=True)
print(reply["content"]["ename"])
"""


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_the_interrupt_button(backend: str, tmp_path: Path) -> None:
    """`result()` is interrupted, and the pool is whole: what runs goes on, and it takes work."""
    program = [sys.executable, "-c", INTERRUPT, backend, str(tmp_path / "go on")]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr
