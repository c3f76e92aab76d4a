"""Whose identifier it is: normal forms, priorities, and when two people turn out to be one."""
