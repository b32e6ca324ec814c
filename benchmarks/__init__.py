"""procession against its peers, in one run: `python -m benchmarks` (see README.md beside this file)."""
