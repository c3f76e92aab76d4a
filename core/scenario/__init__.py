"""Scenarios, decided without I/O: what starts a run, what it does next, and when it ends. See README.md."""
