"""Durable logs of facts: the interface and its in-memory implementation."""
