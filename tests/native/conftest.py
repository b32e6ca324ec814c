"""These tests are of the extension. Where it was not built, or is not to be used, there is nothing to be tested."""

import pytest

from procession import accelerated

collect_ignore_glob = [] if accelerated else ["test_rings*", "test_storage*", "test_lane*", "test_channel*"]


def pytest_report_header(config: pytest.Config) -> str:
    return f"procession is {'accelerated' if accelerated else 'pure Python'}"
