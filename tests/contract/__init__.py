"""One suite for every backend: what a pool promises whoever runs its work."""
