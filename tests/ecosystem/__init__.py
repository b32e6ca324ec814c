"""What other libraries do with our pools; needs the extra `ecosystem`, and is run by `make e2e`."""
