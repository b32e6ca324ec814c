"""Being looked at by another program of the same user: where one is found, what is said, and who answers."""
