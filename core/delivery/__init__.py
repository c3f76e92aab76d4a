"""Delivery, decided without I/O: who may be written to, what happens to a message, and what a signed link says."""
