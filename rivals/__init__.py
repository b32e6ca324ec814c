"""The failure table, run for real against procession and against the others: `make rivals`."""
