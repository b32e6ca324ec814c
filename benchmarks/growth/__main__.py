"""`python -m benchmarks.growth`."""

from benchmarks.growth.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
