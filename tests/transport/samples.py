"""What tests send by reference: a worker imports this module."""

import dataclasses


@dataclasses.dataclass
class Point:
    x: int
    y: int


def double(x):
    return 2 * x


def whoami():
    return __name__


model = None


def initialize(value):
    global model
    model = value


def read():
    return model


def reader():
    return lambda: model
