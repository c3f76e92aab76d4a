"""Loops over many rows, kept apart from the meaning that calls them; every kernel has a NumPy form."""
