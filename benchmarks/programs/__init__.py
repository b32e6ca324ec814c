"""Programs from PyPI on their own pools and on procession's, with the same source and the same input, side by side.

    python -m benchmarks.programs                 all of them, three rounds, in an environment made for it
    python -m benchmarks.programs --only black --rounds 1 --corpus json --python .venv-x/bin/python

What comes out is compared byte for byte: what the program prints, its exit status, and the files that it has changed.
docs/programs.md has the table and tells how a program is run so.
"""
