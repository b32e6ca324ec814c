"""A program with a guard, whose workers have run it again as `__mp_main__`: run as a script by test_main.py."""

import os
import threading

from tests.transport.harness import Worker

state = os.getpid()
lock = threading.Lock()


class Point:
    def __init__(self, x):
        self.x = x


class Oops(ValueError):
    pass


def init():
    global state
    state = "set by init"


def make(x):
    return Point(x)


def mine(point):
    return isinstance(point, Point)


def fail():
    raise Oops("text")


def locked():
    with lock:
        return helper(), lock is not None


def helper():
    return lock.locked()


class Locker:
    def locked(self):
        return helper()


def pid():
    return state


def checks(worker):
    yield "what the worker had from its start is the parent's", worker(pid) == os.getpid()
    worker.initialize(init)
    yield "initializer", worker(lambda: state) == "set by init"
    yield "what the worker set is kept", worker(pid) == "set by init"
    yield "made there", type(worker(make, 1)) is Point
    yield "sent", worker(mine, Point(1))
    yield "class back", worker(lambda: Point) is Point
    yield "function back", worker(lambda: make) is make
    worker.codec.own_main = True
    yield "a lock of its own", worker(locked) == (True, True)
    yield "a lock of its own, in a method", worker(Locker().locked) is False
    old, globals()["Point"] = Point, type("Point", (), {"redefined": True, "__module__": "__main__"})
    yield "redefined class", worker(lambda: (Point.redefined, Point)) == (True, Point)
    yield "old class", type(worker(lambda p: p, old(1))) is old
    try:
        worker(fail)
    except Oops as error:
        yield "exception", type(error) is Oops
    else:
        yield "exception", False


if __name__ == "__main__":
    with Worker(main=__file__) as worker:
        for name, fine in checks(worker):
            if not fine:
                print(name)
