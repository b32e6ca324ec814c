"""What the command lines of `benchmarks` and `rivals` have in common."""

import argparse
from collections.abc import Iterable


def names(text: str) -> list[str]:
    """Names, separated by commas."""
    return [name for name in text.split(",") if name]


def refuse_unknown(words: argparse.ArgumentParser, flag: str, given: list[str], known: Iterable[str]) -> None:
    """End with a usage error that lists those that there are, if one is not among them."""
    if unknown := [name for name in given if name not in known]:
        words.error(f"argument {flag}: no {', '.join(unknown)}; there is {', '.join(known)}")
