"""What each kind of condition says of contacts: one module a kind, and what they share."""
