"""`procession top --web`, and what `Pool(dashboard=True)` starts: a server for browsers, in a process of its own."""
