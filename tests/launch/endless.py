"""An import that holds the GIL in C code and takes a minute."""

import ctypes

ctypes.PyDLL(None).sleep(60)
