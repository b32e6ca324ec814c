"""These tests are of the extension. Where it was not built, or is not to be used, there is nothing to be tested."""

import pytest

from procession import accelerated

PARTS = ("rings", "storage", "lane", "channel", "ring_model", "stress")

collect_ignore_glob = [] if accelerated else [f"test_{part}*" for part in PARTS]


def pytest_report_header(config: pytest.Config) -> str:
    return f"procession is {'accelerated' if accelerated else 'pure Python'}"
