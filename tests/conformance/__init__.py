"""The interpreter's own ``test.test_concurrent_futures``, run against procession (see README.md)."""
