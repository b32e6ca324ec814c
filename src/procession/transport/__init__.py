"""Bytes between processes: frames, the outcome page, and the codec of calls, results and exceptions. Knows no task."""
