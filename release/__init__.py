"""What is given away: archives, what is looked at before they go out, and lists of what comes with them. `make dist`.

`building.py` builds all twice and compares; `archives.py` looks into what was built; `emptied.py` installs it where
nothing else is, not even a compiler, and runs `smoke.py` there; `materials.py` writes what is installed with each
extra; `ready.py` says what a release still lacks. docs/releasing.md walks through all of it.
"""
