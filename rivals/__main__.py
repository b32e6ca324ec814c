"""`python -m rivals`."""

from rivals.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
