"""The loader for PyTorch; needs the extra `torch`, and is run by `make torch`."""
