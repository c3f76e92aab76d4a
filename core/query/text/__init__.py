"""The text form: reading and writing rules."""
