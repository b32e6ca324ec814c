"""What surrounds a task: logging, warnings, and what else a function finds at home."""
