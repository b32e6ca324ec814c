"""What a task costs as the pool, the queue and the work grow: `python -m benchmarks.growth`."""
