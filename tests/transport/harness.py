"""A worker for tests of the codec: a fresh interpreter with a FunctionTable, and no pool around it."""

import marshal
import os
import subprocess
import sys
from pathlib import Path

from procession.transport.codec import Codec
from tests.transport.child import COMMAND, OK

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """`worker(fn, *args)` runs it there. Use as a context manager."""

    def __init__(self, codec=None, main="", path=None):
        self.codec = codec or Codec()
        self.known = set()
        questions, self._questions = os.pipe()
        self._answers, answers = os.pipe()
        words = [sys.executable, "-c", COMMAND, str(questions), str(answers), str(main)]
        self.process = subprocess.Popen(words, pass_fds=(questions, answers), cwd="/")
        os.close(questions)
        os.close(answers)
        self._to = open(self._questions, "wb")  # noqa: SIM115
        self._from = open(self._answers, "rb")  # noqa: SIM115
        marshal.dump(path or [str(ROOT), str(ROOT / "src"), *sys.path], self._to)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._to.close()
        self._from.close()
        self.process.wait()

    def ask(self, *question):
        """Put a question; returns the answer's bytes, raises what was raised there."""
        marshal.dump(question, self._to)
        self._to.flush()
        kind, answer = marshal.load(self._from)
        if kind == OK:
            return answer
        raise self.codec.decode_error(answer)

    def __call__(self, fn, /, *args, **kwargs):
        entry = self.codec.function(fn)
        return self.run(entry, self.codec.encode(entry, args, kwargs))

    def run(self, entry, body):
        """A call that was encoded before."""
        if entry.id and entry.id not in self.known:
            self.known.add(entry.id)
            self.ask("define", entry.id, entry.payload)
        return self.codec.decode_result(self.ask("call", entry.id, body))

    def initialize(self, fn, *args):
        self.ask("initialize", self.codec.encode_call(None, (fn, args, None), {}))
