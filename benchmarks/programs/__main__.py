"""`python -m benchmarks.programs`."""

from benchmarks.programs.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
