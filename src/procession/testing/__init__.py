"""The test kit: `explorer` walks every interleaving of a model, `world` is such a model around a real pool core.

For tests only: nothing in the package imports it.
"""
