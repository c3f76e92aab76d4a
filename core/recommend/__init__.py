"""Products for contacts, by their own events and those of all."""
