"""Rules checked: well-formed, and of names and types that a workspace knows."""
