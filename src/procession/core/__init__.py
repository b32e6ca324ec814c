"""Decisions as a pure function: events in, commands out. No clock, no thread, no file; see README.md."""
