"""Ingest: calls in, one durable log of accepted facts out. Also keeps the registry of workspaces and keys."""
