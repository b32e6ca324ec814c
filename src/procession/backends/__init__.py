"""What runs the work: one contract, one file for each implementation; nothing is imported before it is used."""
