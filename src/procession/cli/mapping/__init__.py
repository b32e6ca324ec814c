"""`procession map`: what it reads, what it writes, and how it runs."""
