"""A program without `if __name__ == "__main__"`: run as a script by test_main.py. Prints what failed, if anything."""

import dataclasses
import enum
import os
import pickle

from tests.transport.harness import Worker

limit = 3
state = None


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0

    def moved(self):
        return Point(self.x + limit, self.y)


class Color(enum.Enum):
    RED = "r"


class Oops(ValueError):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code


class Base:
    def hello(self):
        return "base"


class Derived(Base):
    def hello(self):
        return "derived " + super().hello()


def init():
    global state
    state = "set by init"


def fail():
    raise Oops(3, "text")  # a comment


def checks(worker):
    worker.initialize(init)
    yield "function", worker(lambda: limit) == 3
    yield "instance", type(worker(Point(1).moved)) is Point and worker(Point(1).moved) == Point(4)
    yield "made there", type(worker(lambda: Point(5))) is Point
    yield "class", worker(Point, 1, 2) == Point(1, 2)
    yield "enum", worker(lambda c: (c, c is Color.RED), Color.RED) == (Color.RED, True)
    yield "enum identity", worker(lambda: Color.RED) is Color.RED
    yield "super", worker(Derived().hello) == "derived base"
    yield "initializer", worker(lambda: state) == "set by init"
    yield "name", worker(lambda: (__name__, os.path.basename(__file__))) == ("__main__", os.path.basename(__file__))
    yield "function back", worker(lambda: init) is init
    try:
        worker(fail)
    except Oops as error:
        yield "exception", error.code == 3 and "# a comment" in error.__cause__.tb
    else:
        yield "exception", False
    yield "pickling in a task", type(pickle.loads(worker(lambda: pickle.dumps(Point(1))))) is Point
    yield "unpickling in a task", worker(lambda data: pickle.loads(data) == Point(1), pickle.dumps(Point(1)))


with Worker() as worker:
    for name, fine in checks(worker):
        if not fine:
            print(name)
