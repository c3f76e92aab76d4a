"""Imports of whole files: contacts, events and orders from CSV, NDJSON and Parquet."""
