"""The fixtures of the failure tests are in kit.py."""

from tests.failures.kit import fifo, gate, notes

__all__ = ["fifo", "gate", "notes"]
