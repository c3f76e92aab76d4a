"""Picking rows of events, attributes and lines, and comparing their values."""
