"""The thread engine: what only threads do, and what only they have to prove."""
