"""A user's small project, a depot of parcels, as type checkers see it. It is checked, never run."""
