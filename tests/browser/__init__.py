"""Tests that need a browser: Debian's chromium, with its driver. Marker e2e; `make e2e` runs them."""
