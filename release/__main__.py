"""`python -m release dist` and `python -m release check`."""

from release.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
