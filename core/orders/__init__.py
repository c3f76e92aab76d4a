"""Orders: their statuses, and what they are worth as these change."""
