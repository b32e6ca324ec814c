"""The programs that the probes are: each is run as a script, which is why they are files of their own."""
