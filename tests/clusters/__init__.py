"""Ray and Dask, the real ones, on this machine."""
